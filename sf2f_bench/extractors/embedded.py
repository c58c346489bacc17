"""The small face networks that ship with the package, for runs without downloads.

They were trained here, on rendered faces of the synthetic world, so their ids say `embedded` and their scores must
never be read as those of a published recogniser. `embedded-judge` and `embedded-judge-2` score; `embedded-perceptual`
is the training loss. They differ in architecture and share no training identity, so that a generator trained
against one is not fitted to the others. `embedded-traits` reads a face's traits and recognises nobody.
`sf2f-bench weights build-embedded` trains them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from safetensors.torch import load
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from sf2f_bench.data.synthetic.faces import TRAIT_LIMIT
from sf2f_bench.data.synthetic.world import TRAITS as WORLD_TRAITS
from sf2f_bench.extractors.frozen import extract
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

SIZE = 64  # pixels, the side of the network's input


class CosineHead(nn.Module):
    """Class scores from angles: ``scale * cos(embedding, class centre)``, so that cosine ranks people.

    Formula: normalised softmax, Wang et al., "NormFace" (arXiv 1704.06369), eq. 6, with a fixed scale.
    """

    def __init__(self, width: int, classes: int, scale: float = 20.0) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, width))
        self.scale = scale

    def forward(self, embeddings: Tensor) -> Tensor:
        """L2-normalised ``[B, D]`` -> logits ``[B, C]``."""
        return self.scale * embeddings @ F.normalize(self.centres, dim=1).T


class FaceNetwork(nn.Module):
    """Three blocks of feature maps, an embedding, and class scores over the training identities."""

    def __init__(self, blocks: Sequence[nn.Module], tail: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.tail = tail
        self.head = CosineHead(width, classes)

    def features(self, images: Tensor) -> list[Tensor]:
        """The features that a perceptual loss compares; differentiable in the images.

        images: float ``[B, 3, H, W]`` in 0..1, resized to 64 x 64 (bilinear, antialiased) where needed.
        Returns three maps ``[B, C, h, w]``, finest first, and the L2-normalised embedding ``[B, D]``.
        """
        if images.shape[-2:] != (SIZE, SIZE):
            images = resize(images, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=True)
        maps = [2 * images - 1]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return [*maps[1:], F.normalize(self.tail(maps[-1]), dim=1)]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images as in `features` -> (L2-normalised embeddings ``[B, D]``, logits ``[B, C]``)."""
        embeddings = self.features(images)[-1]
        return embeddings, self.head(embeddings)


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut: ``[B, c, h, w]`` -> ``[B, d, h / stride, w / stride]``."""

    def __init__(self, c: int, d: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(c, d, 3, stride, 1, bias=False),
            nn.BatchNorm2d(d),
            nn.ReLU(),
            nn.Conv2d(d, d, 3, 1, 1, bias=False),
            nn.BatchNorm2d(d),
        )
        shortcut = [nn.Conv2d(c, d, 1, stride, bias=False), nn.BatchNorm2d(d)]
        self.shortcut = nn.Sequential(*shortcut) if (c, stride) != (d, 1) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, c, h, w]`` -> ``[B, d, h / stride, w / stride]``, not negative."""
        return F.relu(self.body(x) + self.shortcut(x))


def judge_network(classes: int) -> FaceNetwork:
    """The judge: a residual network, 64 -> 32 -> 16 -> 8 -> 4, 112-d embedding."""
    stem = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    blocks = [nn.Sequential(*stem, Residual(16, 16, 1)), Residual(16, 40, 2), Residual(40, 80, 2)]
    tail = nn.Sequential(Residual(80, 80, 2), nn.Flatten(), _embed(80 * 4 * 4, 112))
    return FaceNetwork(blocks, tail, 112, classes)


def perceptual_network(classes: int) -> FaceNetwork:
    """The training loss: plain convolutions in the manner of VGG, average pooling, 64-d embedding.

    Average pooling, because a maximum would pass gradient to one pixel of four.
    """
    pool = nn.AvgPool2d(2)
    blocks = [
        nn.Sequential(*_convolution(3, 16), pool, *_convolution(16, 24), *_convolution(24, 24)),
        nn.Sequential(pool, *_convolution(24, 48), *_convolution(48, 48)),
        nn.Sequential(pool, *_convolution(48, 96)),
    ]
    tail = nn.Sequential(pool, nn.Flatten(), _embed(96 * 4 * 4, 64))
    return FaceNetwork(blocks, tail, 64, classes)


class Mixer(nn.Module):
    """One step over all places of a map, one over all its channels, each around a shortcut: ``[B, c, 8, 8]``.

    Source: the block of MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601), with batch normalisation.
    """

    def __init__(self, c: int, places: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for _ in range(2))
        self.places = nn.Sequential(nn.Linear(places, 2 * places), nn.GELU(), nn.Linear(2 * places, places))
        self.channels = nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.GELU(), nn.Conv2d(2 * c, c, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, c, h, w]`` with ``h * w`` places, to the same."""
        x = x + self.places(self.norms[0](x).flatten(2)).view_as(x)
        return x + self.channels(self.norms[1](x))


def second_judge_network(classes: int) -> FaceNetwork:
    """The second judge: patches of 8 x 8 pixels and perceptrons, no convolution over neighbours; 96-d embedding."""
    c, places = 96, (SIZE // 8) ** 2
    blocks = [nn.Sequential(nn.Conv2d(3, c, 8, 8), Mixer(c, places)), Mixer(c, places), Mixer(c, places)]
    tail = nn.Sequential(Mixer(c, places), nn.Conv2d(c, 24, 1), nn.Flatten(), _embed(24 * places, 96))
    return FaceNetwork(blocks, tail, 96, classes)


def trait_network(traits: int) -> nn.Module:
    """Images float ``[B, 3, 64, 64]`` in 0..1 to so many traits ``[B, traits]``: a residual network."""
    stem = [nn.BatchNorm2d(3), nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    body = [*stem, Residual(16, 24, 1), Residual(24, 48, 2), Residual(48, 80, 2), Residual(80, 80, 2)]
    return nn.Sequential(*body, nn.Flatten(), _embed(80 * 4 * 4, 96), nn.ReLU(), nn.Linear(96, traits))


def _convolution(c: int, d: int) -> list[nn.Module]:
    return [nn.Conv2d(c, d, 3, 1, 1, bias=False), nn.BatchNorm2d(d), nn.ReLU()]


def _embed(c: int, d: int) -> nn.Module:
    """Positions are kept, not averaged: the places of brows and mouth tell faces apart."""
    return nn.Sequential(nn.Linear(c, d, bias=False), nn.BatchNorm1d(d))


@dataclass(frozen=True)
class EmbeddedSpec:
    """Everything that determines one embedded network, including its training."""

    name: str
    version: int
    network: Callable[[int], nn.Module]  # from the number of classes, or of traits
    stream: str  # of synthetic people outside every benchmark
    identities: int  # trained on people 0..identities-1 of the stream
    photos: int  # of each of them
    steps: int
    seed: int
    sha256: str  # of the weights file that ships with this version
    accuracy: float | None = None  # of verification on held-out people, as `weights build-embedded` prints it
    traits: tuple[str, ...] = ()  # that it reads; none: it tells people apart

    @property
    def filename(self) -> str:
        """The weights file's name inside the package's `extractors/weights`."""
        return f"{self.name}.safetensors"


SPECS = {
    spec.name: spec
    for spec in (
        EmbeddedSpec(
            name="embedded-judge",
            version=1,
            network=judge_network,
            stream="judge",
            identities=2000,
            photos=4,
            steps=1200,
            seed=11,
            sha256="1065e8756ca469c26c4730b602e496f244e59927b633c7ae82e6776db054e265",
        ),
        EmbeddedSpec(
            name="embedded-perceptual",
            version=1,
            network=perceptual_network,
            stream="perceptual",
            identities=1200,
            photos=4,
            steps=1000,
            seed=12,
            sha256="b991dea6d8515e84ffa2f1e36e78efd3cce0c9e084d82b2219d5454ae937db32",
        ),
        EmbeddedSpec(
            name="embedded-judge-2",
            version=1,
            network=second_judge_network,
            stream="second judge",
            identities=1600,
            photos=5,
            steps=2400,
            seed=13,
            sha256="e72378552f35670d526173e65707936a4fc6eba7d0a9afebb0117c4ffa5df9b0",
            accuracy=1.0,
        ),
    )
}
TRAITS = EmbeddedSpec(
    name="embedded-traits",
    version=1,
    network=trait_network,
    stream="traits",
    identities=6000,
    photos=2,
    steps=2500,
    seed=14,
    sha256="4e4f14322334143f7791df437ac55e0d5929ae72ee4e2bedf48202eb69e8d4f6",
    traits=WORLD_TRAITS,
)


SHIPPED = (*SPECS.values(), TRAITS)  # every network whose weights come with the package


def spec_of(name: str) -> EmbeddedSpec:
    """The spec of an embedded network; raises BenchError for an unknown name."""
    if name not in SPECS:
        raise BenchError(unknown("embedded extractor", name, list(SPECS)))
    return SPECS[name]


def network_from(weights: bytes, spec: EmbeddedSpec) -> Any:
    """The frozen float32 network, in evaluation mode, from the bytes of a safetensors file."""
    network = spec.network(len(spec.traits) or spec.identities)
    network.load_state_dict(load(weights))  # copies half precision into float32
    # Channels last is faster on a CPU; images of either layout are accepted.
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


_REMEDY = "reinstall sf2f-bench, or restore the file from the release"


def path_of(spec: EmbeddedSpec) -> Path:
    """Where the package keeps the weights that it ships with."""
    return Path(__file__).parent / "weights" / spec.filename


@cache
def _weights(spec: EmbeddedSpec) -> bytes:
    path = path_of(spec)
    if not path.is_file():
        raise BenchError(f"the weights of {spec.name} are not at {path}: {_REMEDY}.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != spec.sha256:
        raise BenchError(
            f"the weights of {spec.name} at {path} have sha256 {found[:16]}..., expected "
            f"{spec.sha256[:16]}...: {_REMEDY}. After a rebuild, write the new checksum and a higher "
            "version into sf2f_bench/extractors/embedded.py."
        )
    return content


class EmbeddedExtractor:
    """An embedded network as the harness uses it: `EmbeddedExtractor("embedded-judge")`.

    `module` is the frozen network itself, for a training loss. Raises BenchError for an unknown name and
    for weights that are missing or do not have the checksum of this version.
    """

    recognises = True

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of an embedded network; raises BenchError for an unknown name. Its file ships with the package."""
        spec = spec_of(name)
        people = f"{spec.identities:,} synthetic people, {spec.photos} rendered photos of each"
        if spec.accuracy is not None:
            people += f"; verification accuracy {spec.accuracy:.1%} on others"
        return ExtractorCard(
            title="By a network of the package",
            order=50,
            trained_on=people,
            licence="Apache-2.0",
            synthetic=True,
            families=("identity", "verification"),
        )

    def __init__(self, name: str) -> None:
        spec = spec_of(name)
        self.card = self.card_of(name)
        self.sha256 = spec.sha256
        self.id = f"{spec.name}/{spec.version}@{spec.sha256[:8]}/bilinear-{SIZE}"
        self.module = network_from(_weights(spec), spec)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings and class probabilities, the same for any batch size.

        images: uint8 ``[B, 3, H, W]`` of any size. Returns L2-normalised embeddings float32 ``[B, D]`` and
        probabilities over the training identities ``[B, C]``, on the device of `module`.
        """
        return extract(self.module, images)


class TraitReader:
    """Reads a face's traits with `embedded-traits`, for `metrics.traits`; an `AttributeJudge` of synthetic faces alone.

    Raises BenchError for weights that are missing or do not have the checksum of this version.
    """

    card = ExtractorCard(
        title="By a network that reads traits",
        trained_on=f"{TRAITS.identities:,} synthetic people, {TRAITS.photos} rendered photos of each",
        licence="Apache-2.0",
        synthetic=True,
    )

    def __init__(self) -> None:
        self.sha256 = TRAITS.sha256
        self.id = f"{TRAITS.name}/{TRAITS.version}@{TRAITS.sha256[:8]}/bilinear-{SIZE}"
        self.module = network_from(_weights(TRAITS), TRAITS)

    def __call__(self, images: Tensor) -> dict[str, FloatArray]:
        """uint8 ``[B, 3, H, W]`` -> by trait of the world, in its standard deviations ``[B]``, as far as rendered."""
        if images.shape[-2:] != (SIZE, SIZE):
            images = resize(images, [SIZE, SIZE], InterpolationMode.BILINEAR, antialias=True)
        read = extract(self.module, images)[0].clamp(-TRAIT_LIMIT, TRAIT_LIMIT).cpu().double().numpy()
        return dict(zip(TRAITS.traits, read.T, strict=True))
