"""What published networks share as extractors: frozen, batch norm folded in, in full precision."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import normalize, resize

from sf2f_bench.extractors.tensors import load_checked, read_tensors
from sf2f_bench.extractors.weights import sha256_of, weights_file
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard

Network = TypeVar("Network", bound=nn.Module)
# Images per pass through a network: on a CPU, so few that their maps stay in its cache; on a GPU, enough to fill it.
CHUNK = {"cpu": 16, "cuda": 256}


def frozen(network: Network) -> Network:
    """The network in evaluation mode, without gradients for its weights, folded, channels last.

    Load the weights first: folding takes the batch norms' entries out of the state dict.
    """
    # A frozen batch norm is a fixed scale and shift: folded into the convolution before it, it needs no pass over the
    # map, forward or backward; and oneDNN's and cuDNN's convolutions are fastest on channels-last memory. Both
    # together, on one CPU thread: 1.5 times the images of the plain ResNet-50, 1.2 times FaceNet's with gradients.
    fold_batch_norm(network.eval())
    # After folding, which makes new layers and parameters.
    network.eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def fold_batch_norm(network: nn.Module) -> None:
    """Merge every batch norm into the convolution or linear layer registered just before it, in place.

    In double precision, so that folding rounds each weight once. The network must be in evaluation mode and
    register its layers in the order in which it calls them.
    """
    for module in list(network.modules()):
        for (name, layer), (norm_name, norm) in pairwise(list(module.named_children())):
            if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                continue
            fuse: Any = fuse_conv_bn_eval if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval
            setattr(module, name, fuse(layer.double(), norm.double()).float())
            setattr(module, norm_name, nn.Identity())


def standardised(images: Tensor, size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Images float 0..1 ``[B, 3, H, W]`` at ``size`` x ``size`` pixels by cubic interpolation, less mean, over std."""
    enlarged = resize(images, [size, size], InterpolationMode.BICUBIC, antialias=True)
    return normalize(enlarged.clamp(0, 1), list(mean), list(std))  # cubic interpolation overshoots


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """float32 arithmetic inside, whatever training uses: no autocast, no TF32 on CUDA."""
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn


def extract(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """A network's embeddings and class probabilities of faces, in full precision, for any batch size.

    network: images 0..1 float32 ``[b, 3, H, W]`` -> (embeddings ``[b, D]``, logits ``[b, C]``), or the embeddings
    alone; images: uint8 ``[B, 3, H, W]``. Returns (embeddings, probabilities or None) on the network's device, the same
    for any batch size up to rounding. Raises BenchError for anything but faces.
    """
    embeddings, *logits = _outputs(network, images)
    with full_precision(embeddings.device):
        return embeddings, logits[0].softmax(dim=1) if logits else None


@torch.no_grad()
def _outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Each of the network's outputs for all images, which go through it in chunks."""
    check_faces(images)
    device = next(network.parameters()).device
    with full_precision(device):
        parts = images.split(CHUNK.get(device.type, CHUNK["cpu"]))
        found = [network(part.to(device).float() / 255) for part in parts]
    columns = zip(*found, strict=True) if isinstance(found[0], tuple) else [found]
    return [torch.cat(list(rows)) for rows in columns]


def check_faces(images: Tensor) -> None:
    """Raise BenchError for anything but uint8 faces ``[B, 3, H, W]``."""
    if not isinstance(images, Tensor):
        raise BenchError(f"faces must be a torch tensor, got {type(images).__name__}: use torch.from_numpy.")
    if images.dtype != torch.uint8:
        raise BenchError(f"faces must be uint8 in 0..255, got {images.dtype}: see sf2f_bench.to_uint8.")
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        raise BenchError(f"faces must be [B, 3, H, W] and not empty, got {list(images.shape)}.")


class PublishedExtractor:
    """A published network as the harness uses it: ``Extractor(name)``.

    `module` is the frozen network itself, which a training loss may use. Raises BenchError for a name that is not
    in NAMES and for weights that are not the published ones, Unavailable where they are missing.
    """

    NAMES: ClassVar[tuple[str, ...]]
    VERSION: ClassVar[int]  # raised when the same weights and pictures give different numbers
    FILE: ClassVar[str]
    RESIZE: ClassVar[str]  # the end of the id: crop and resize rule

    recognises: bool
    card: ExtractorCard

    def __init__(self, name: str = "") -> None:
        name = name or self.NAMES[0]
        if name not in self.NAMES:
            raise BenchError(unknown("extractor", name, list(self.NAMES)))
        path = self.find_weights()
        self.sha256 = self.checksum(path)
        self.id = f"{name}/{self.VERSION}@{self.sha256[:8]}/{self.RESIZE}"
        network = self.build(name)
        load_checked(network, self.tensors(path), path)
        self.module = frozen(network)

    def build(self, name: str) -> nn.Module:
        """The untrained network, as `extract` takes it."""
        raise NotImplementedError

    def find_weights(self) -> Path:
        """The checked file of the weights; raises Unavailable where anything that the network needs is missing."""
        return weights_file(self.FILE)

    def checksum(self, path: Path) -> str:
        """SHA-256 of the weights."""
        return sha256_of(path)

    def tensors(self, path: Path) -> dict[str, Tensor]:
        """The weights by the network's names."""
        return read_tensors(path)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """uint8 ``[B, 3, H, W]`` of any size -> embeddings ``[B, D]`` and probabilities ``[B, C]`` or None, float32.

        On the device of `module`, in full precision, the same for any batch size.
        """
        return extract(self.module, images)
