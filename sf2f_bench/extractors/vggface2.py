"""The ResNet-50 of VGGFace2 (8,631 people): a recogniser that no training loss here has seen.

Cao et al., "VGGFace2: A dataset for recognising faces across pose and age" (arXiv 1710.08092), in the shape of
its Caffe release: the stride sits in the first 1x1 convolution of a bottleneck, and max pooling has no padding
and rounds up. Names as in the conversion to PyTorch that SF2F's VGGFace Score uses (cydonia999/VGGFace2-pytorch).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sf2f_bench.extractors.frozen import frozen, look
from sf2f_bench.extractors.weights import FILES, load_checked, read_tensors, sha256_of, weights_file
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard

CLASSES = 8631  # identities of VGGFace2's training set
SIZE = 224  # pixels, the side of the picture that the network looks at
MEAN_BGR = (91.4953, 103.8827, 131.0912)  # of 0..255, as published with the weights
STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))  # blocks, inner channels, stride of the first


class Bottleneck(nn.Module):
    """1x1 (with the stride), 3x3 and 1x1 convolutions around a shortcut: ``-> [B, 4 * inner, h', w']``."""

    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * inner
        self.conv1 = nn.Conv2d(inputs, inner, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, h, w] -> [B, 4 * inner, h / stride, w / stride]``, not negative."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y)) + self.downsample(x)
        return F.relu(y, inplace=True)


def stage(inputs: int, blocks: int, inner: int, stride: int) -> nn.Sequential:
    """Bottlenecks one after the other, the first with the stride: ``-> [B, 4 * inner, h', w']``."""
    first = Bottleneck(inputs, inner, stride)
    return nn.Sequential(first, *(Bottleneck(4 * inner, inner, 1) for _ in range(blocks - 1)))


class VggFace2(nn.Module):
    """ResNet-50 with VGGFace2's preprocessing in front: images 0..1 in, embeddings and classes out.

    rgb: leave the channels in the order red, green, blue (with the means in the same order), as the official
    SF2F code does although the weights were trained on blue, green, red.
    """

    def __init__(self, rgb: bool = False, classes: int = CLASSES) -> None:
        super().__init__()
        self.rgb = rgb
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            stage(inputs, *shape) for inputs, shape in zip((64, 256, 512, 1024), STAGES, strict=True)
        )
        self.fc = nn.Linear(2048, classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images float 0..1 ``[B, 3, H, W]`` -> (L2-normalised embeddings ``[B, 2048]``, logits ``[B, classes]``)."""
        pooled = self.pooled(images)
        return F.normalize(pooled, dim=1), self.fc(pooled)

    def pooled(self, images: Tensor) -> Tensor:
        """What the 7x7 average pool gives: images float 0..1 ``[B, 3, H, W] -> [B, 2048]``, not negative."""
        x = F.relu(self.bn1(self.conv1(self.standardise(images))), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))

    def standardise(self, images: Tensor) -> Tensor:
        """The whole picture at 224 x 224 (bilinear, corners aligned), channels in order, minus their means."""
        x = F.interpolate(images * 255, (SIZE, SIZE), mode="bilinear", align_corners=True)
        mean = torch.tensor(MEAN_BGR, dtype=x.dtype, device=x.device)[:, None, None]
        return x - mean.flip(0) if self.rgb else x.flip(1) - mean


class VggFace2Extractor:
    """The VGGFace2 ResNet-50 as the harness uses it: `VggFace2Extractor("vggface2-resnet50")`.

    `vggface2-resnet50-rgb` is the same network fed as the official SF2F code feeds it: comparable with the
    paper's VGGFace Score alone. Raises BenchError for another name and for weights that are missing or not the
    published ones.
    """

    NAMES = ("vggface2-resnet50", "vggface2-resnet50-rgb")
    VERSION = 1
    FILE = "resnet50_ft_weight.pkl"

    recognises = True

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of one of `NAMES`; raises BenchError for another name."""
        if name not in cls.NAMES:
            raise BenchError(unknown("VGGFace2 extractor", name, list(cls.NAMES)))
        channels = ", its channels in the order of the published code" if name.endswith("-rgb") else ""
        return ExtractorCard(
            title=f"By VGGFace2's classifier{channels}",
            order=1,
            trained_on="MS-Celeb-1M, then VGGFace2, 8,631 people",
            licence=FILES[cls.FILE].licence,
            convention="vggface2",
            files=(cls.FILE,),
        )

    def __init__(self, name: str = NAMES[0]) -> None:
        self.card = self.card_of(name)
        path = weights_file(self.FILE)
        self.sha256 = sha256_of(path)
        self.id = f"{name}/{self.VERSION}@{self.sha256[:8]}/bilinear-{SIZE}"
        network = VggFace2(rgb=name.endswith("-rgb"))
        load_checked(network, read_tensors(path), path)
        self.module = frozen(network)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees, the same for any batch size.

        images: uint8 ``[B, 3, H, W]`` of any size, not cropped. Returns L2-normalised embeddings float32
        ``[B, 2048]`` and probabilities over VGGFace2's identities ``[B, 8631]``, on the device of `module`, in
        full precision.
        """
        return look(self.module, images)
