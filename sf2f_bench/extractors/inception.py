"""TensorFlow's Inception v3 of 2015, the network of FID, KID and the Inception Score.

It tells pictures of ImageNet's objects apart, not people: a distance by it says how photographic the generated
faces look and hardly depends on the face itself (Kynkäänniemi et al., "The Role of ImageNet Classes in Frechet
Inception Distance", arXiv 2203.06026). Blocks and names are those of pytorch-fid over torchvision.
"""

from __future__ import annotations

import torch.nn.functional as F
from pytorch_fid.inception import FIDInceptionA, FIDInceptionC, FIDInceptionE_1, FIDInceptionE_2
from torch import Tensor
from torchvision.models import Inception3

from sf2f_bench.extractors.frozen import PublishedExtractor
from sf2f_bench.extractors.weights import FILES
from sf2f_bench.types import ExtractorCard

CLASSES = 1008  # of 2015's TensorFlow: ImageNet's 1000 and a few unused outputs
SIZE = 299  # pixels, the side of the network's input


class Inception2015(Inception3):
    """torchvision's Inception v3 with the blocks in which the network of 2015 differs."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__(num_classes=classes, aux_logits=False, init_weights=False)
        self.Mixed_5b = FIDInceptionA(192, pool_features=32)
        self.Mixed_5c = FIDInceptionA(256, pool_features=64)
        self.Mixed_5d = FIDInceptionA(288, pool_features=64)
        self.Mixed_6b = FIDInceptionC(768, channels_7x7=128)
        self.Mixed_6c = FIDInceptionC(768, channels_7x7=160)
        self.Mixed_6d = FIDInceptionC(768, channels_7x7=160)
        self.Mixed_6e = FIDInceptionC(768, channels_7x7=192)
        self.Mixed_7b = FIDInceptionE_1(1280)
        self.Mixed_7c = FIDInceptionE_2(2048)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images float 0..1 ``[B, 3, H, W]`` -> (features ``[B, 2048]``, logits ``[B, classes]``).

        The features are those of the last average pool, not brought to length 1. The logits leave the last
        layer's bias out, as the Inception Score's first code did and all that compare with it do.
        """
        x = F.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False)
        x = 2 * x - 1
        for name, layer in self.named_children():
            if name == "dropout":
                break
            x = layer(x)
        features = x.flatten(1)
        return features, F.linear(features, self.fc.weight)


class InceptionExtractor(PublishedExtractor):
    """The Inception network of 2015 as the harness uses it: `InceptionExtractor("inception-2015")`.

    Pictures are resized as pytorch-fid does it, bilinearly without antialiasing; TensorFlow of 2015 put the grid of
    its bilinear resizing elsewhere, so values differ a little from those of the first FID code. Embeddings are the
    features of the last pool ``[B, 2048]``, not negative and of any length.
    """

    NAMES = ("inception-2015",)
    VERSION = 1
    FILE = "pt_inception-2015-12-05-6726825d.pth"
    RESIZE = f"bilinear-{SIZE}"

    recognises = False
    card = ExtractorCard(
        title="By Inception, which tells pictures apart and not people",
        order=0,
        trained_on="ImageNet, 1,008 classes",
        licence=FILES[FILE].licence,
        convention="inception",
        files=(FILE,),
    )

    def build(self, name: str) -> Inception2015:
        """Inception of 2015."""
        return Inception2015()
