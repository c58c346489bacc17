"""Speech Fusion to Face: all networks, from the voice to the face, and the discriminators.

Shapes: B batch, S segments of one identity, T frames, E = 512 * width channels of an embedding.
Images leave the generator in ImageNet-normalised space. Source: arXiv 2006.05888 (ACM MM 2022) and its
supplement; where they leave something open, the official code decides. `official` has its names.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sf2f_bench import BenchError, scaled

EMBEDDING = 512
VOICE_CHANNELS = (256, 384, 576, 864)
VOICE_KERNELS = {2: 1, 3: 1, 5: 2, 7: 3}  # kernel: padding
FACE_CHANNELS = {64: (512, 256, 128, 64, 32), 128: (512, 256, 128, 64, 32, 16)}
PLAIN_FACE_CHANNELS = (1024, 512, 256, 128, 64)
DISCRIMINATOR_CHANNELS = {64: (64, 128, 256), 128: (64, 128, 256, 512)}
DISCRIMINATOR_EMBEDDING = 1024
GENERATORS = {  # name: (image size, fuser)
    "sf2f-64": (64, False),
    "sf2f-64-fuser": (64, True),
    "sf2f-128": (128, False),
    "sf2f-128-fuser": (128, True),
}


def resolutions(image_size: int) -> tuple[int, ...]:
    """The sizes that a generator generates, lowest first. Raises BenchError for a size SF2F does not have."""
    sizes = tuple(size for size in FACE_CHANNELS if size <= image_size)
    if image_size not in FACE_CHANNELS:
        raise BenchError(
            f"SF2F generates faces of {' or '.join(map(str, FACE_CHANNELS))} pixels, not {image_size}: "
            "choose a benchmark of one of these sizes"
        )
    return sizes


# ---------------------------------------------------------------- from the voice to an embedding


class InceptionBlock(nn.Module):
    """Four parallel convolutions over time that halve it: ``[B, C, T] -> [B, channels, ceil(T / 2)]``.

    The 1-D inception module of the paper's voice encoder: Conv1d, BatchNorm, ReLU with kernels 2, 3, 5, 7 at
    stride 2, a quarter of the channels each, concatenated in that order. For an even T the kernel 2 gives
    one frame more, and its last one is dropped.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(inputs, channels // 4, kernel, stride=2, padding=padding, bias=False),
                nn.BatchNorm1d(channels // 4),
                nn.ReLU(),
            )
            for kernel, padding in VOICE_KERNELS.items()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T] -> [B, channels, ceil(T / 2)]``."""
        frames = (x.shape[2] + 1) // 2
        return torch.cat([branch(x)[:, :, :frames] for branch in self.branches], dim=1)


class PlainBlock(nn.Sequential):
    """One convolution over time that halves it: ``[B, C, T] -> [B, channels, ceil(T / 2)]``.

    voice2face's block (arXiv 1905.10604), the "baseline encoder" of the supplement's Table 2.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__(
            nn.Conv1d(inputs, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        )


class VoiceEncoder(nn.Module):
    """Normalised log filter-bank ``[B, 40, T]`` -> unit embedding ``[B, E]``.

    Four blocks, a convolution to E channels, the mean over time and L2 normalisation, so that speech of any
    length gives one embedding. block: `InceptionBlock`, or `PlainBlock` for the ablation.
    """

    def __init__(
        self, width: float, filters: int = 40, block: Callable[[int, int], nn.Module] = InceptionBlock
    ) -> None:
        super().__init__()
        channels = [filters, *(scaled(c, width) for c in VOICE_CHANNELS)]
        self.blocks = nn.Sequential(*(block(a, b) for a, b in pairwise(channels)))
        self.project = nn.Conv1d(channels[-1], scaled(EMBEDDING, width), 3, stride=2, padding=1)

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, 40, T] -> [B, E]``, each row of length 1."""
        return F.normalize(self.project(self.blocks(voices)).mean(dim=2), dim=1)


class Fuser(nn.Module):
    """General attention over the segments' embeddings: ``[B, S, E] -> [B, E]``, each row of length 1.

    The paper's embedding fuser, its second stage: q = W_in e, weights = softmax(q e^T) unscaled, out = mean
    over segments of W_out [weights e ; q]. It is the attention of Luong et al. (2015) without their tanh.
    """

    def __init__(self, width: float = 1.0, embedding: int = EMBEDDING) -> None:
        super().__init__()
        size = scaled(embedding, width)
        self.query = nn.Linear(size, size, bias=False)
        self.out = nn.Linear(2 * size, size, bias=False)

    def start_at_mean(self) -> None:
        """Make the fused embedding the (nearly uniformly weighted) mean embedding, as a start of training."""
        size = self.out.out_features
        with torch.no_grad():
            self.query.weight.copy_(torch.eye(size))
            self.out.weight.copy_(torch.eye(size, 2 * size))

    def attend(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, S, E]`` -> the fused embedding before normalisation ``[B, E]`` and weights ``[B, S, S]``."""
        query = self.query(embeddings)
        weights = torch.softmax(query @ embeddings.transpose(1, 2), dim=2)
        mixed = self.out(torch.cat([weights @ embeddings, query], dim=2))
        return mixed.mean(dim=1), weights

    def forward(self, embeddings: Tensor) -> Tensor:
        """``[B, S, E] -> [B, E]``."""
        return F.normalize(self.attend(embeddings)[0], dim=1)


# ---------------------------------------------------------------- from the embedding to a face


class UpsamplingConv(nn.Conv2d):
    """Nearest x2 upsampling and a 3x3 convolution in one: ``[B, C, H, W] -> [B, O, 2H, 2W]``.

    The same sum, regrouped: a pixel that is copied four times is multiplied by sums of neighbouring weights, which is
    a transposed convolution with a 4x4 kernel: 4 products per output pixel instead of 9, and no copies.
    """

    sums: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, bias=False)
        # Which of three weights add up in each of four. On the CPU also where a network without memory is built.
        rows = torch.tensor([[0.0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], device="cpu")
        self.register_buffer("sums", torch.kron(rows, rows).T.contiguous(), persistent=False)  # [9, 16]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W] -> [B, O, 2H, 2W]``."""
        kernel = (self.weight.flatten(2) @ self.sums).unflatten(2, (4, 4))  # [O, C, 4, 4]
        return F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)


def upsampling_block(inputs: int, outputs: int) -> nn.Sequential:
    """``[B, inputs, H, W] -> [B, outputs, 2H, 2W]``, gated (GLU): first half times sigmoid of second half."""
    return nn.Sequential(UpsamplingConv(inputs, 2 * outputs), nn.BatchNorm2d(2 * outputs), nn.GLU(dim=1))


def image_head(channels: int) -> nn.Sequential:
    """``[B, channels, H, W] -> [B, 3, H, W]``; no bounded activation, the space is ImageNet-normalised."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.01), nn.Conv2d(channels, 3, 1)
    )


class FaceDecoder(nn.Module):
    """Embedding ``[B, E]`` -> images ``[B, 3, 64, 64]`` and, at 128, ``[B, 3, 128, 128]`` from one trunk.

    The paper's enhanced decoder: a gated linear layer to 4x4, then one gated upsampling block for every
    doubling; at 128 each of the two resolutions has a head of its own.
    """

    def __init__(self, image_size: int, width: float) -> None:
        super().__init__()
        channels = [scaled(c, width) for c in FACE_CHANNELS[image_size]]
        heads = len(resolutions(image_size))
        flat = channels[0] * 4 * 4
        self.start = nn.Sequential(
            nn.Linear(scaled(EMBEDDING, width), 2 * flat, bias=False), nn.BatchNorm1d(2 * flat), nn.GLU(dim=1)
        )
        self.blocks = nn.ModuleList(upsampling_block(a, b) for a, b in pairwise(channels))
        self.heads = nn.ModuleList(image_head(c) for c in channels[-heads:])

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """``[B, E]`` -> one image tensor per head, lowest resolution first."""
        x = self.start(embedding)
        x = x.view(x.shape[0], -1, 4, 4)
        trunk = len(self.blocks) - len(self.heads)
        images = []
        for depth, block in enumerate(self.blocks):
            x = block(x)
            if depth >= trunk:
                images.append(self.heads[depth - trunk](x))
        return tuple(images)


class PlainFaceDecoder(nn.Module):
    """Embedding ``[B, E]`` -> a tuple of one image ``[B, 3, 64, 64]``, ImageNet-normalised.

    voice2face's decoder (arXiv 1905.10604), the "baseline decoder" of the supplement's Table 2: transposed
    convolutions k4 s1 to 4x4, k4 s2 p1 for every doubling, k1 to three channels, ReLU in between.
    """

    def __init__(self, image_size: int, width: float) -> None:
        super().__init__()
        if image_size != 64:
            raise BenchError(f"the plain decoder generates 64 pixels, not {image_size}: use decoder='gated'")
        channels = [scaled(c, width) for c in PLAIN_FACE_CHANNELS]
        layers: list[nn.Module] = [nn.ConvTranspose2d(scaled(EMBEDDING, width), channels[0], 4), nn.ReLU()]
        for inputs, outputs in pairwise(channels):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(channels[-1], 3, 1))

    def forward(self, embedding: Tensor) -> tuple[Tensor]:
        """``[B, E]`` -> a tuple of one image tensor."""
        return (self.layers(embedding[:, :, None, None]),)


ENCODERS: dict[str, Callable[[int, int], nn.Module]] = {"inception": InceptionBlock, "plain": PlainBlock}
DECODERS: dict[str, Callable[[int, float], nn.Module]] = {"gated": FaceDecoder, "plain": PlainFaceDecoder}


class Generator(nn.Module):
    """Voice to face: encoder, optional fuser over several segments, decoder.

    encoder "inception" or "plain", decoder "gated" or "plain": plain is voice2face's, for the ablations of
    the supplement's Table 2. Raises BenchError for another name and for an image size that the parts do not have.
    """

    def __init__(
        self,
        image_size: int = 64,
        width: float = 1.0,
        fuser: bool = False,
        encoder: str = "inception",
        decoder: str = "gated",
    ) -> None:
        super().__init__()
        for part, kind, kinds in (("encoder", encoder, ENCODERS), ("decoder", decoder, DECODERS)):
            if kind not in kinds:
                raise BenchError(f"SF2F has no {part} {kind!r}: choose one of {', '.join(kinds)}")
        resolutions(image_size)
        self.encoder = VoiceEncoder(width, block=ENCODERS[encoder])
        self.fuser = Fuser(width) if fuser else None
        self.decoder = DECODERS[decoder](image_size, width)

    def forward(self, voices: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """One segment ``[B, 40, T]`` or several ``[B, S, 40, T]`` -> (images, conditioning ``[B, E]``).

        Images are ``[B, 3, H, W]`` each, lowest resolution first.
        """
        embedding = self.encoder(voices) if voices.dim() == 3 else self.fuse(voices)
        return self.decoder(embedding), embedding

    def fuse(self, segments: Tensor) -> Tensor:
        """Segments ``[B, S, 40, T]`` -> one embedding ``[B, E]``: the fuser's, or without one their mean.

        The mean is normalised again to the length the decoder was trained on; the official evaluation of
        "average_voice_embedding" decodes it as it is, shorter than 1.
        """
        embeddings = self.encoder(segments.flatten(0, 1)).unflatten(0, segments.shape[:2])
        return F.normalize(embeddings.mean(dim=1), dim=1) if self.fuser is None else self.fuser(embeddings)


def build_generator(name: str, width: float = 1.0) -> Generator:
    """One of the four published generators by its name in `GENERATORS`; BenchError for another name."""
    if name not in GENERATORS:
        raise BenchError(f"SF2F has no generator {name!r}: choose one of {', '.join(GENERATORS)}")
    image_size, fuser = GENERATORS[name]
    return Generator(image_size, width, fuser)


# ---------------------------------------------------------------- the discriminators


def discriminator_trunk(image_size: int, width: float) -> nn.Sequential:
    """``[B, 3, H, W] -> [B, C, 6, 6]``: strided convolutions, normalised and rectified only in between."""
    channels = [3, *(scaled(c, width) for c in DISCRIMINATOR_CHANNELS[image_size])]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        if layers:
            layers += [nn.BatchNorm2d(inputs), nn.LeakyReLU(0.1)]
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2))
    return nn.Sequential(*layers)


class ImageDiscriminator(nn.Module):
    """Tells real images from generated ones: ``[B, 3, H, W]`` -> patch scores (logits) ``[B, 1, 6, 6]``.

    The generator is trained against one for every resolution.
    """

    def __init__(self, image_size: int = 64, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = discriminator_trunk(image_size, width)
        self.score = nn.Conv2d(scaled(DISCRIMINATOR_CHANNELS[image_size][-1], width), 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W] -> [B, 1, 6, 6]``."""
        return self.score(self.trunk(images))


class IdentityDiscriminator(nn.Module):
    """Scores realness and identity: ``[B, 3, H, W]`` -> (score ``[B, 1]``, logits ``[B, identities]``).

    voice2face's idea of an auxiliary classifier, on SF2F's trunk; one for every resolution.
    """

    def __init__(self, identities: int, image_size: int = 64, width: float = 1.0) -> None:
        super().__init__()
        self.trunk = discriminator_trunk(image_size, width)
        hidden = scaled(DISCRIMINATOR_EMBEDDING, width)
        self.project = nn.Linear(scaled(DISCRIMINATOR_CHANNELS[image_size][-1], width), hidden)
        self.real = nn.Linear(hidden, 1)
        self.identity = nn.Linear(hidden, identities)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, H, W] -> ([B, 1], [B, identities])``."""
        hidden = self.project(self.trunk(images).mean(dim=(2, 3)))
        return self.real(hidden), self.identity(hidden)
