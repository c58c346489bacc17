"""FaceNet: Inception-ResNet-v1 trained on VGGFace2, the network of SF2F's perceptual loss.

Architecture: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning" (arXiv 1602.07261), under the state-dict names of facenet-pytorch. Input, crop and features: SF2F
(arXiv 2006.05888).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.inception import BasicConv2d  # convolution, batch norm, ReLU

from sf2f_bench.extractors.frozen import PublishedExtractor
from sf2f_bench.extractors.weights import FILES
from sf2f_bench.faces import vgg_crop
from sf2f_bench.types import ExtractorCard

CLASSES = 8631  # identities of VGGFace2's training set
EMBEDDING = 512
SIZE = 140  # pixels, the side of the network's input

Kernel = int | tuple[int, int]


def same(inputs: int, *layers: tuple[int, Kernel]) -> nn.Sequential:
    """Convolutions of (outputs, kernel), one after the other, that keep height and width."""
    blocks = []
    for outputs, kernel in layers:
        rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        blocks.append(BasicConv2d(inputs, outputs, kernel_size=kernel, padding=(rows // 2, columns // 2)))
        inputs = outputs
    return nn.Sequential(*blocks)


class Inception(nn.Module):
    """Branches on the same input, their outputs concatenated: ``branch0``, ``branch1``, ..."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        for number, branch in enumerate(branches):
            self.add_module(f"branch{number}", branch)
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, h, w] -> [B, sum of the branches' channels, h', w']``."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class ResidualInception(Inception):
    """The input plus a scaled mix of the branches: ``[B, channels, h, w]`` of the same shape.

    relu(x + scale * conv2d(branches(x))); the network's last block leaves the ReLU out.
    """

    def __init__(self, channels: int, mixed: int, scale: float, *branches: nn.Module, rectified: bool = True):
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(mixed, channels, 1)
        self.scale = scale
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """``[B, channels, h, w] -> [B, channels, h, w]``."""
        x = torch.add(x, self.conv2d(super().forward(x)), alpha=self.scale)
        return F.relu(x, inplace=True) if self.rectified else x


def block_35(scale: float) -> ResidualInception:
    """Inception-ResNet-A, on 256 channels (15x15 here, 35x35 in the paper)."""
    branches = (
        BasicConv2d(256, 32, kernel_size=1),
        same(256, (32, 1), (32, 3)),
        same(256, (32, 1), (32, 3), (32, 3)),
    )
    return ResidualInception(256, 96, scale, *branches)


def block_17(scale: float) -> ResidualInception:
    """Inception-ResNet-B, on 896 channels (7x7 here, 17x17 in the paper)."""
    branches = BasicConv2d(896, 128, kernel_size=1), same(896, (128, 1), (128, (1, 7)), (128, (7, 1)))
    return ResidualInception(896, 256, scale, *branches)


def block_8(scale: float, rectified: bool = True) -> ResidualInception:
    """Inception-ResNet-C, on 1792 channels (3x3 here, 8x8 in the paper)."""
    branches = BasicConv2d(1792, 192, kernel_size=1), same(1792, (192, 1), (192, (1, 3)), (192, (3, 1)))
    return ResidualInception(1792, 384, scale, *branches, rectified=rectified)


def reduction_a() -> Inception:
    """``[B, 256, 15, 15] -> [B, 896, 7, 7]``."""
    return Inception(
        BasicConv2d(256, 384, kernel_size=3, stride=2),
        nn.Sequential(*same(256, (192, 1), (192, 3)), BasicConv2d(192, 256, kernel_size=3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


def reduction_b() -> Inception:
    """``[B, 896, 7, 7] -> [B, 1792, 3, 3]``."""
    return Inception(
        nn.Sequential(BasicConv2d(896, 256, kernel_size=1), BasicConv2d(256, 384, kernel_size=3, stride=2)),
        nn.Sequential(BasicConv2d(896, 256, kernel_size=1), BasicConv2d(256, 256, kernel_size=3, stride=2)),
        nn.Sequential(*same(896, (256, 1), (256, 3)), BasicConv2d(256, 256, kernel_size=3, stride=2)),
        nn.MaxPool2d(3, stride=2),
    )


class FaceNet(nn.Module):
    """Inception-ResNet-v1 with SF2F's preprocessing in front: images 0..1 in, features or classes out."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv2d_1a = BasicConv2d(3, 32, kernel_size=3, stride=2)
        self.conv2d_2a = BasicConv2d(32, 32, kernel_size=3)
        self.conv2d_2b = BasicConv2d(32, 64, kernel_size=3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = BasicConv2d(64, 80, kernel_size=1)
        self.conv2d_4a = BasicConv2d(80, 192, kernel_size=3)
        self.conv2d_4b = BasicConv2d(192, 256, kernel_size=3, stride=2)
        self.repeat_1 = nn.Sequential(*(block_35(0.17) for _ in range(5)))
        self.mixed_6a = reduction_a()
        self.repeat_2 = nn.Sequential(*(block_17(0.10) for _ in range(10)))
        self.mixed_7a = reduction_b()
        self.repeat_3 = nn.Sequential(*(block_8(0.20) for _ in range(5)))
        self.block8 = block_8(1.0, rectified=False)
        self.last_linear = nn.Linear(1792, EMBEDDING, bias=False)
        self.last_bn = nn.BatchNorm1d(EMBEDDING, eps=0.001)
        self.logits = nn.Linear(EMBEDDING, classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """The features that SF2F's perceptual loss compares; differentiable in the images.

        images: float 0..1 ``[B, 3, H, W]``. Returns the maps after repeat_1 ``[B, 256, 15, 15]``, repeat_2
        ``[B, 896, 7, 7]`` and repeat_3 ``[B, 1792, 3, 3]``, and the L2-normalised embedding ``[B, 512]``.
        """
        *maps, bottleneck = self._through(images)
        return [*maps, F.normalize(bottleneck, dim=1)]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images as in `features` -> (L2-normalised embeddings ``[B, 512]``, logits ``[B, classes]``).

        The classes are read from the embedding before its normalisation, as they were trained.
        """
        bottleneck = self._through(images)[-1]
        return F.normalize(bottleneck, dim=1), self.logits(bottleneck)

    def _through(self, images: Tensor) -> list[Tensor]:
        """The three maps of `features` and the embedding before its normalisation."""
        x = F.interpolate(standardise(images), (SIZE, SIZE), mode="bilinear", align_corners=True)
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x))))
        first = self.repeat_1(self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x))))
        second = self.repeat_2(self.mixed_6a(first))
        third = self.repeat_3(self.mixed_7a(second))
        pooled = self.block8(third).mean(dim=(2, 3))
        return [first, second, third, self.last_bn(self.last_linear(pooled))]


def standardise(images: Tensor) -> Tensor:
    """Images 0..1 ``[B, 3, H, W]`` -> the VGG box of (255 x - 127.5) / 128 ``[B, 3, h, w]``."""
    return (vgg_crop(images) * 255 - 127.5) / 128


class FaceNetExtractor(PublishedExtractor):
    """FaceNet as the harness uses it: `FaceNetExtractor("facenet-vggface2")`.

    Faces are cropped to the VGG box. Embeddings have length 1 and 512 dimensions, classes are VGGFace2's identities.
    """

    NAMES = ("facenet-vggface2",)
    VERSION = 1
    FILE = "20180402-114759-vggface2.pt"
    RESIZE = f"vgg-crop/bilinear-{SIZE}"

    recognises = True
    card = ExtractorCard(trained_on="VGGFace2, 8,631 people", licence=FILES[FILE].licence, files=(FILE,))

    def build(self, name: str) -> FaceNet:
        """FaceNet, whose `features` are those of SF2F's perceptual loss."""
        return FaceNet()
