"""LPIPS with AlexNet, version 0.1: how unlike two pictures look, as people judged it.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (arXiv 1801.03924). The
network is torchvision's AlexNet; the weights of its channels are the authors'.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import alexnet

from sf2f_bench.extractors.frozen import PublishedExtractor
from sf2f_bench.extractors.tensors import read_tensors
from sf2f_bench.extractors.weights import FILES, sha256_of, weights_file
from sf2f_bench.types import ExtractorCard

# Of pictures in -1..1, as the authors' code has them.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
LAYERS = {1: 64, 4: 192, 7: 384, 9: 256, 11: 256}  # of AlexNet, after each rectifier: its channels
TINY = 1e-10  # beside a norm, as in the authors' code


class LpipsNetwork(nn.Module):
    """Features whose squared Euclidean distance is LPIPS."""

    def __init__(self) -> None:
        super().__init__()
        self.features = alexnet(weights=None).features
        weights = [nn.Parameter(torch.zeros(channels)) for channels in LAYERS.values()]
        self.channels = nn.ParameterList(weights)

    def forward(self, images: Tensor) -> Tensor:
        """Images float 0..1 ``[B, 3, H, W]``, 63 pixels or more a side -> ``[B, D]``, D by the pictures' size.

        LPIPS adds over layers the mean over places of the weighted squared differences of features at length 1: so
        each feature, times the root of its weight over the number of places, gives it as a squared distance.
        """
        shift, scale = (images.new_tensor(values)[:, None, None] for values in (SHIFT, SCALE))
        x, found = (2 * images - 1 - shift) / scale, []
        weights = dict(zip(LAYERS, self.channels, strict=True))
        for number, layer in enumerate(self.features[: max(LAYERS) + 1]):
            x = layer(x)
            if number in weights:
                unit = x / (x.norm(dim=1, keepdim=True) + TINY)
                places = x.shape[2] * x.shape[3]
                found.append((unit * (weights[number] / places).sqrt()[:, None, None]).flatten(1))
        return torch.cat(found, dim=1)


class LpipsExtractor(PublishedExtractor):
    """LPIPS as the harness uses it: `LpipsExtractor("lpips-alex")`, shown the generated faces alone.

    The squared Euclidean distance of two embeddings ``[B, D]`` is the LPIPS of the two pictures; D is 31,872 at 64
    pixels. No checksum of torchvision's file is known here: that of the file found goes into the id.
    """

    NAMES = ("lpips-alex",)
    VERSION = 1
    FILE = "alexnet-owt-7be5be79.pth"
    CHANNELS_FILE = "lpips-v0.1-alex.pth"
    RESIZE = "as-is"

    recognises = False
    card = ExtractorCard(
        title="By LPIPS, which tells pictures apart as people do",
        order=5,
        trained_on="ImageNet; its channels' weights on people's judgements of pictures (BAPPS)",
        licence=FILES[CHANNELS_FILE].licence,
        files=(FILE, CHANNELS_FILE),
    )

    def build(self, name: str) -> LpipsNetwork:
        """The untrained network."""
        return LpipsNetwork()

    def find_weights(self) -> Path:
        """AlexNet's file, once the other one is known to be here too."""
        self.channels_path = weights_file(self.CHANNELS_FILE)
        return super().find_weights()

    def checksum(self, path: Path) -> str:
        """Of both files' checksums together."""
        both = "".join(sha256_of(file) for file in (path, self.channels_path))
        return hashlib.sha256(both.encode()).hexdigest()

    def tensors(self, path: Path) -> dict[str, Tensor]:
        """Of both files, under the network's names; AlexNet's classifier is not used."""
        of_alexnet = {
            name: value for name, value in super().tensors(path).items() if name.startswith("features.")
        }
        of_channels = {
            f"channels.{name.split('.')[0].removeprefix('lin')}": value.flatten()
            for name, value in read_tensors(self.channels_path).items()
        }
        return of_alexnet | of_channels
