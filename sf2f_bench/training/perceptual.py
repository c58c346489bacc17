"""The perceptual loss of SF2F, for any system that trains on photos. Source: arXiv 2006.05888 and its supplement."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sf2f_bench.faces import from_imagenet
from sf2f_bench.types import BenchError

PERCEPTUAL_WEIGHTS = (1 / 16, 1 / 8, 1 / 4, 1.0)  # three feature maps, then the embedding


class FeatureNetwork(Protocol):
    """A frozen network whose features of faces enter the training loss."""

    def features(self, images: Tensor) -> list[Tensor]:
        """Images in 0..1 ``[B, 3, H, W]`` -> three feature maps and the embedding."""
        ...


def perceptual_loss(network: FeatureNetwork, fake: Tensor, real: Tensor) -> Tensor:
    """Weighted L1 between the features of two batches of images ``[B, 3, H, W]`` (Johnson et al. 2016).

    De-normalising clamps to 0..1, so pixels beyond black or white get no gradient, as in the official code.
    Raises BenchError when the network does not give four tensors.
    """
    with torch.no_grad():
        wanted = network.features(from_imagenet(real))
    given = network.features(from_imagenet(fake))
    if len(given) != len(PERCEPTUAL_WEIGHTS):
        raise BenchError(
            f"the perceptual network gave {len(given)} feature tensors; expected three feature maps and an "
            "embedding: choose a network made for the training loss"
        )
    pairs = zip(PERCEPTUAL_WEIGHTS, given, wanted, strict=True)
    return torch.stack([w * F.l1_loss(a, b) for w, a, b in pairs]).sum()
