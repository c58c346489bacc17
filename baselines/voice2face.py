"""voice2face (Wen et al., NeurIPS 2019): the baseline of SF2F's comparison, in one file.

As that comparison has it: retrained jointly on the front end of SF2F, one resolution (64), no image
discriminator, no perceptual loss. Shapes: B batch, S segments, T frames, E = 512 * width.
Modules are created in the order of the official state dict, so checkpoints are imported by order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from sf2f_bench import BenchError
from torch import Tensor, nn

if TYPE_CHECKING:
    from sf2f_bench import TrainContext, TrainingData

EMBEDDING = 512
VOICE_CHANNELS = (256, 384, 576, 864)
FACE_CHANNELS = (1024, 512, 256, 128, 64)
JUDGE_CHANNELS = (32, 64, 128, 256, 512)
JUDGE_EMBEDDING = 1024


def scaled(channels: int, width: float) -> int:
    """A published channel count times the width factor, as a positive multiple of 4."""
    return max(4, 4 * round(channels * width / 4))


class VoiceEncoder(nn.Module):
    """Plain 1-D convolutional encoder: ``[B, 40, T]`` -> unit embedding ``[B, E]``."""

    def __init__(self, width: float, filters: int = 40) -> None:
        super().__init__()
        channels = [filters, *(scaled(c, width) for c in VOICE_CHANNELS)]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers += [
                nn.Conv1d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
            ]
        layers.append(nn.Conv1d(channels[-1], scaled(EMBEDDING, width), 3, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, voices: Tensor) -> Tensor:
        """``[B, 40, T] -> [B, E]``, each row of length 1."""
        return F.normalize(self.layers(voices).mean(dim=2), dim=1)


class FaceDecoder(nn.Module):
    """Transposed convolutions from an embedding ``[B, E]`` to an image ``[B, 3, 64, 64]``."""

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [scaled(c, width) for c in FACE_CHANNELS]
        layers: list[nn.Module] = [nn.ConvTranspose2d(scaled(EMBEDDING, width), channels[0], 4), nn.ReLU()]
        for inputs, outputs in pairwise(channels):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU()]
        layers.append(nn.ConvTranspose2d(channels[-1], 3, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, embedding: Tensor) -> Tensor:
        """``[B, E] -> [B, 3, 64, 64]``, ImageNet-normalised."""
        return self.layers(embedding[:, :, None, None])


class Generator(nn.Module):
    """Voice to face; the embedding is blurred by gaussian noise while a standard deviation is given."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = VoiceEncoder(width)
        self.decoder = FaceDecoder(width)

    def forward(
        self, voices: Tensor, noise: float = 0.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """One segment ``[B, 40, T]`` or several ``[B, S, 40, T]`` -> (image, conditioning ``[B, E]``).

        noise: standard deviation per channel, drawn from `generator` for every segment. The conditioning
        of several segments is their mean embedding, normalised again.
        """
        segments = voices if voices.dim() == 4 else voices[:, None]
        embedding = self.encoder(segments.flatten(0, 1))
        if noise:
            blur = torch.randn(
                embedding.shape, generator=generator, device=embedding.device, dtype=embedding.dtype
            )
            embedding = F.normalize(embedding + noise * blur, dim=1)
        if voices.dim() == 4:
            embedding = F.normalize(embedding.unflatten(0, segments.shape[:2]).mean(dim=1), dim=1)
        return self.decoder(embedding), embedding


class IdentityDiscriminator(nn.Module):
    """Is the image real, and who is it? ``[B, 3, 64, 64]`` -> (score ``[B, 1]``, logits ``[B, identities]``)."""

    def __init__(self, identities: int, width: float = 1.0) -> None:
        super().__init__()
        first, *middle, last = (scaled(c, width) for c in JUDGE_CHANNELS)
        layers: list[nn.Module] = [nn.Conv2d(3, first, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise([first, *middle]):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(middle[-1], last, 4))
        self.trunk = nn.Sequential(*layers)
        hidden = scaled(JUDGE_EMBEDDING, width)
        self.project = nn.Linear(last, hidden)
        self.real = nn.Linear(hidden, 1)
        self.identity = nn.Linear(hidden, identities)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, 64, 64] -> ([B, 1], [B, identities])``."""
        hidden = self.project(self.trunk(images).mean(dim=(2, 3)))
        return self.real(hidden), self.identity(hidden)
