"""What the official code computes, rebuilt from our networks: for a ratio that no difference of machines enters.

The same losses and updates, done the long way: upsampled pixels are copied and convolved; FaceNet has its batch
norms, and gradients for its weights, which are thrown away; so are the discriminators' in the generator's turn.
It is not the official code. It is what its number of operations says that it does (tests/golden/model_facts.json).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from reference_model import recipe, sf2f
from sf2f_bench.extractors.facenet import FaceNet


class PlainUpsampling(nn.Module):
    """Nearest x2 upsampling, then the 3x3 convolution: ``[B, C, H, W] -> [B, O, 2H, 2W]``."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), self.weight, padding=1)


def long_way(generator: sf2f.Generator) -> sf2f.Generator:
    """The generator with the same weights and plain upsampling, changed in place."""
    for block in generator.decoder.blocks:
        assert isinstance(block[0], sf2f.UpsamplingConv)
        block[0] = PlainUpsampling(block[0].weight)
    return generator


def facenet() -> nn.Module:
    """FaceNet in evaluation mode and not frozen."""
    return FaceNet().eval()


class FirstStage(recipe.FirstStage):
    """The step in which the generator's turn computes the discriminators' gradients too."""

    def _train_discriminators(self, wanted: bool) -> None:
        """Always."""
