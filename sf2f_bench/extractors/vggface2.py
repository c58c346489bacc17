"""The ResNet-50 of VGGFace2 (8,631 people): a recogniser that no training loss here has seen.

Cao et al., "VGGFace2: A dataset for recognising faces across pose and age" (arXiv 1710.08092), in the shape of
its Caffe release. Names as in the conversion to PyTorch that SF2F's VGGFace Score uses
(cydonia999/VGGFace2-pytorch), which are torchvision's.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from sf2f_bench.extractors.frozen import PublishedExtractor
from sf2f_bench.extractors.weights import FILES
from sf2f_bench.types import ExtractorCard

CLASSES = 8631  # identities of VGGFace2's training set
SIZE = 224  # pixels, the side of the network's input
MEAN_BGR = (91.4953, 103.8827, 131.0912)  # of 0..255, as published with the weights


class VggFace2(ResNet):
    """torchvision's ResNet-50 as Caffe had it, with VGGFace2's preprocessing in front.

    The stride is in a bottleneck's first 1x1 convolution, and max pooling has no padding and rounds up.
    rgb: leave the channels in the order red, green, blue (with the means in the same order), as the official
    SF2F code does although the weights were trained on blue, green, red.
    """

    def __init__(self, rgb: bool = False, classes: int = CLASSES) -> None:
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes=classes)
        self.rgb = rgb
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for layer in (self.layer2, self.layer3, self.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images float 0..1 ``[B, 3, H, W]`` -> (L2-normalised embeddings ``[B, 2048]``, logits ``[B, classes]``)."""
        pooled = self.pooled(images)
        return F.normalize(pooled, dim=1), self.fc(pooled)

    def pooled(self, images: Tensor) -> Tensor:
        """The output of the 7x7 average pool: images float 0..1 ``[B, 3, H, W] -> [B, 2048]``, not negative."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.standardise(images)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3))

    def standardise(self, images: Tensor) -> Tensor:
        """The whole picture at 224 x 224 (bilinear, corners aligned), channels in order, minus their means."""
        x = F.interpolate(images * 255, (SIZE, SIZE), mode="bilinear", align_corners=True)
        mean = torch.tensor(MEAN_BGR, dtype=x.dtype, device=x.device)[:, None, None]
        return x - mean.flip(0) if self.rgb else x.flip(1) - mean


class VggFace2Extractor(PublishedExtractor):
    """The VGGFace2 ResNet-50 as the harness uses it: `VggFace2Extractor("vggface2-resnet50")`.

    `vggface2-resnet50-rgb` is the same network fed as the official SF2F code feeds it: comparable with the paper's
    VGGFace Score alone. Faces are not cropped; embeddings have length 1 and 2048 dimensions.
    """

    NAMES = ("vggface2-resnet50", "vggface2-resnet50-rgb")
    VERSION = 1
    FILE = "resnet50_ft_weight.pkl"
    RESIZE = f"bilinear-{SIZE}"

    recognises = True
    card = ExtractorCard(
        title="By VGGFace2's classifier",
        order=1,
        trained_on="MS-Celeb-1M, then VGGFace2, 8,631 people",
        licence=FILES[FILE].licence,
        convention="vggface2",
        files=(FILE,),
    )

    def __init__(self, name: str = NAMES[0]) -> None:
        super().__init__(name)
        self.card = self.card_of(name)

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of one of `NAMES`."""
        channels = ", its channels in the order of the published code" if name.endswith("-rgb") else ""
        return replace(cls.card, title=f"{cls.card.title}{channels}")

    def build(self, name: str) -> VggFace2:
        """The network, with its channels in the order of the name."""
        return VggFace2(rgb=name.endswith("-rgb"))
