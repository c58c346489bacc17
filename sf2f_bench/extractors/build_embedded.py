"""Training the embedded face networks again: the command `sf2f-bench weights build-embedded`.

Both learn to tell synthetic people apart with a cosine softmax. Photos are augmented (blur, noise, shift, light,
blends of two photos of a person), because the faces judged later are generated ones, which are soft and speckled; a
network trained on clean renderings alone would respond to that softness more than to the identity.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from sf2f_bench.data.synthetic.dataset import stream_photos, stream_traits
from sf2f_bench.extractors.embedded import SIZE, EmbeddedSpec, FaceNetwork, network_from, spec_of
from sf2f_bench.files import write_atomically
from sf2f_bench.progress import Reporter
from sf2f_bench.types import BenchError

BATCH = 64
LEARNING_RATE = 3e-3  # peak of a one-cycle schedule
WARM_UP = 0.15  # share of the steps in which the learning rate rises
HELD_OUT = 200  # people after the training ones, for the rank-1 accuracy
MAX_BYTES = 1_300_000  # of one file; the two together stay under 2 MB


@dataclass(frozen=True)
class Built:
    """The result of a rebuild: the file, its checksum and how well the network recognises new people."""

    path: Path
    sha256: str
    size: int  # bytes
    rank1: float  # held-out people found at rank 1 by another photo of them
    rank1_blurred: float  # the same with the probes blurred to 16 x 16 pixels
    held_out: int  # people
    accuracy: float  # of telling two photos of one held-out person from photos of two

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size} bytes, sha256 {self.sha256}\n"
            f"rank 1 among {self.held_out} held-out people: {self.rank1:.3f}, "
            f"{self.rank1_blurred:.3f} with probes of 16 x 16 pixels; verification accuracy {self.accuracy:.3f}"
        )


@dataclass(frozen=True)
class BuiltTraits:
    """The result of a rebuild of the network that reads traits."""

    path: Path
    sha256: str
    size: int  # bytes
    r2: dict[str, float]  # by trait, of held-out people
    held_out: int  # people

    def __str__(self) -> str:
        read = ", ".join(f"{trait} {r2:.3f}" for trait, r2 in self.r2.items())
        return (
            f"{self.path}: {self.size} bytes, sha256 {self.sha256}\n"
            f"R^2 of the traits of {self.held_out} held-out people: {read}"
        )


def build(name: str, out: Path, reporter: Reporter | None = None) -> Built | BuiltTraits:
    """Train an embedded network as its spec says and write the weights to the folder `out`.

    The same machine gives the same bytes; another may round differently and give a different checksum, which makes
    it a different judge, whose scores are not comparable with the shipped one's. Raises BenchError for an unknown name.
    """
    return build_spec(spec_of(name), out, reporter or Reporter())


def build_spec(spec: EmbeddedSpec, out: Path, reporter: Reporter) -> Built | BuiltTraits:
    """As `build`, for any spec. The weights are rounded to half precision before they are measured."""
    photos = render(spec, range(spec.identities), spec.photos, reporter)
    network = train(spec, photos, reporter)
    content = save(_half(network))
    if len(content) > MAX_BYTES:
        raise BenchError(f"{spec.filename} would take {len(content)} bytes, at most {MAX_BYTES} are allowed.")
    path = write_atomically(out / spec.filename, lambda temporary: temporary.write_bytes(content))

    strangers = range(spec.identities, spec.identities + HELD_OUT)
    held_out = render(spec, strangers, 2, reporter)
    rounded = network_from(content, spec)
    digest = hashlib.sha256(content).hexdigest()
    if spec.traits:
        found = r_squared(rounded, held_out[:, 0], stream_traits(spec.stream, strangers))
        return BuiltTraits(path, digest, len(content), dict(zip(spec.traits, found, strict=True)), HELD_OUT)
    return Built(
        path=path,
        sha256=digest,
        size=len(content),
        rank1=rank1(rounded, held_out[:, 0], held_out[:, 1]),
        rank1_blurred=rank1(rounded, blur(held_out[:, 0], 16), held_out[:, 1]),
        held_out=HELD_OUT,
        accuracy=verification_accuracy(rounded, held_out[:, 0], held_out[:, 1]),
    )


def _half(network: nn.Module) -> dict[str, Tensor]:
    """The argument of `network_from`: the state with floating tensors in half precision."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def render(spec: EmbeddedSpec, people: range, count: int, reporter: Reporter) -> Tensor:
    """Photos of people of the spec's stream: uint8 ``[len(people), count, 3, 64, 64]``."""
    photos = torch.empty(len(people), count, 3, SIZE, SIZE, dtype=torch.uint8)
    with reporter.bar(f"render people for {spec.name}", len(people)) as bar:
        for row, index in enumerate(people):
            photos[row] = torch.from_numpy(stream_photos(spec.stream, index, count, SIZE))
            bar.advance()
    return photos


def train(spec: EmbeddedSpec, photos: Tensor, reporter: Reporter) -> nn.Module:
    """The spec's network after its steps over uint8 ``[people, photos, 3, 64, 64]``, in evaluation mode."""
    generator = torch.Generator().manual_seed(spec.seed)
    wanted = (
        torch.from_numpy(stream_traits(spec.stream, range(len(photos))))
        if spec.traits
        else torch.arange(len(photos))
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = spec.network(len(spec.traits) or spec.identities).train()
    network = network.to(memory_format=torch.channels_last)  # faster on a CPU
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=spec.steps, pct_start=WARM_UP
    )
    with reporter.bar(f"train {spec.name}", spec.steps) as bar:
        for _ in range(spec.steps):
            people, images = batch(photos, generator)
            found = network(images.contiguous(memory_format=torch.channels_last))
            optimiser.zero_grad()
            loss = (
                F.mse_loss(found, wanted[people])
                if spec.traits
                else F.cross_entropy(found[1], wanted[people])
            )
            loss.backward()
            optimiser.step()
            schedule.step()
            bar.note(f"loss {loss.item():.2f}")
            bar.advance()
    return network.eval()


def batch(photos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random people ``[B]`` and an augmented photo of each, float ``[B, 3, 64, 64]`` in 0..1."""
    people = torch.randint(photos.shape[0], (BATCH,), generator=generator)
    pair = torch.randint(photos.shape[1], (2, BATCH), generator=generator)
    first, second = (photos[people, which].float() / 255 for which in pair)
    # A generator that cannot know the pose generates something like a mean over poses: a third of the pictures are
    # blends of two photos of the person.
    share = _uniform(0.0, 0.5, generator) * (_uniform(0, 1, generator) < 1 / 3)
    return people, augment(first.lerp(second, share), generator)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift and scale, blur, light and noise at random for each image, ``[B, 3, 64, 64]`` in 0..1."""
    images = _move(images, generator)
    kind = torch.randint(6, (BATCH,), generator=generator)  # half of the images stay sharp
    for which, pixels in enumerate((32, 20, 12)):
        images[kind == which] = blur(images[kind == which], pixels)
    images = images * _uniform(0.88, 1.12, generator) + _uniform(-0.06, 0.06, generator)
    noise = torch.randn(images.shape, generator=generator)
    return (images + noise * _uniform(-0.06, 0.06, generator).clamp(min=0)).clamp(0, 1)


def blur(images: Tensor, pixels: int) -> Tensor:
    """Images ``[B, 3, H, W]`` with no more detail than ``pixels x pixels``; uint8 stays uint8."""
    if not len(images):
        return images
    small = F.interpolate(images.float(), (pixels, pixels), mode="bilinear", antialias=True)
    soft = F.interpolate(small, images.shape[-2:], mode="bicubic")
    return soft if images.is_floating_point() else soft.round().clamp(0, 255).to(images.dtype)


def rank1(network: FaceNetwork, probes: Tensor, gallery: Tensor) -> float:
    """The share of people whose photo in `gallery` is nearest by cosine to their photo in `probes`.

    probes, gallery: uint8 ``[N, 3, H, W]``, row i of both is the same person.
    """
    with torch.no_grad():
        a, b = (network(side.float() / 255)[0] for side in (probes, gallery))
    return float((a @ b.T).argmax(dim=1).eq(torch.arange(len(a))).double().mean())


def r_squared(network: nn.Module, photos: Tensor, traits: NDArray[np.float32]) -> list[float]:
    """By trait how much of the variance over people the network reads from one photo each.

    photos: uint8 ``[N, 3, 64, 64]``; traits: of the same people, ``[N, traits]``.
    """
    with torch.no_grad():
        read = network(photos.float() / 255).numpy()
    errors, spreads = np.square(read - traits).mean(axis=0), traits.var(axis=0)
    return [float(value) for value in 1 - errors / spreads]


def verification_accuracy(network: nn.Module, first: Tensor, second: Tensor) -> float:
    """The accuracy, at its best threshold, of telling pairs of one person from as many pairs of two.

    first, second: uint8 ``[N, 3, H, W]``, row i of both is the same person.
    """
    with torch.no_grad():
        a, b = (network(side.float() / 255)[0] for side in (first, second))
    same, other = (a * b).sum(dim=1), (a * b.roll(1, 0)).sum(dim=1)
    right = (same[None] >= same[:, None]).sum(dim=1) + (other[None] < same[:, None]).sum(dim=1)
    return float(right.max()) / (2 * len(same))


def _move(images: Tensor, generator: torch.Generator) -> Tensor:
    theta = torch.zeros(BATCH, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = _uniform(0.94, 1.06, generator).flatten()
    theta[:, :, 2] = torch.rand(BATCH, 2, generator=generator).sub(0.5) * (12 / SIZE)  # up to 3 pixels
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _uniform(low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(BATCH, 1, 1, 1, generator=generator)
