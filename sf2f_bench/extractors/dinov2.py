"""DINOv2 ViT-S/14: features learnt without labels, for distances between distributions beside Inception's.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (arXiv 2304.07193); for distances of
generated pictures: Stein et al., "Exposing flaws of generative model evaluation metrics" (arXiv 2306.04675).

The network's code is the authors' repository, which the user puts where torch.hub would. **That code runs**, and it is
up to the user to trust it. The weights are read as tensors, which runs no code.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import normalize, resize

from sf2f_bench.extractors.frozen import embed, frozen
from sf2f_bench.extractors.tensors import load_checked, read_tensors
from sf2f_bench.extractors.weights import (
    FILES,
    find,
    places,
    remedy,
    sha256_of,
    torch_hub,
    weights_file,
)
from sf2f_bench.faces import IMAGENET_MEAN, IMAGENET_STD
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard, Unavailable

SIZE = 224  # pixels, the side of the network's input
REPOSITORY = "facebookresearch_dinov2_main"  # the folder that torch.hub makes for the repository
SOURCE = "https://github.com/facebookresearch/dinov2"


class DinoV2(nn.Module):
    """The transformer of the hub's repository with its preprocessing in front: images 0..1 in, class token out."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, images: Tensor) -> Tensor:
        """Images float 0..1 ``[B, 3, H, W]`` -> normalised class token ``[B, 384]``."""
        x = resize(images, [SIZE, SIZE], InterpolationMode.BICUBIC, antialias=True)
        x = normalize(x.clamp(0, 1), list(IMAGENET_MEAN), list(IMAGENET_STD))  # bicubic overshoots
        return self.transformer(x)


class DinoV2Extractor:
    """DINOv2 ViT-S/14 as the harness uses it: `DinoV2Extractor("dinov2-vits14")`.

    Runs the code of the hub repository that lies on this machine. Raises BenchError for another name and for
    weights that are not the published ones, Unavailable where repository or weights are missing.
    """

    NAME = "dinov2-vits14"
    VERSION = 1
    FILE = "dinov2_vits14_pretrain.pth"

    recognises = False
    card = ExtractorCard(
        title="By DINOv2, which tells pictures apart and not people",
        order=3,
        trained_on="LVD-142M, without labels",
        licence=FILES[FILE].licence,
        files=(FILE,),
    )

    def __init__(self, name: str = NAME) -> None:
        if name != self.NAME:
            raise BenchError(unknown("DINOv2 extractor", name, [self.NAME]))
        repository = torch_hub() / REPOSITORY
        check_present(repository, self.FILE)
        path = weights_file(self.FILE)
        self.sha256 = sha256_of(path)
        self.id = f"{name}/{self.VERSION}@{self.sha256[:8]}/bicubic-{SIZE}"
        transformer = torch.hub.load(str(repository), "dinov2_vits14", source="local", pretrained=False)
        load_checked(transformer, read_tensors(path), path)
        self.module = frozen(DinoV2(transformer))

    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        """Class tokens as embeddings, the same for any batch size.

        images: uint8 ``[B, 3, H, W]`` of any size, not cropped. Returns class tokens float32 ``[B, 384]``, not
        normalised, on the device of `module`, in full precision; it has no classes.
        """
        return embed(self.module, images), None


def check_present(repository: Path, weights: str) -> None:
    """Raise Unavailable, naming both places, unless the repository's code and the weights are on this machine."""
    file = FILES[weights]
    has_code, has_weights = (repository / "hubconf.py").is_file(), find(file) is not None
    if has_code and has_weights:
        return
    state = {True: "is there", False: "is missing"}
    raise Unavailable(
        f"DINOv2 needs two things. Its code {state[has_code]}: put the repository {SOURCE} at {repository} (that "
        f"code will run, so look at what you put there). Its weights {weights}: this file {state[has_weights]}, "
        f"looked for in {', '.join(map(str, places(file)))}. {'' if has_weights else remedy(file)}".rstrip(),
        f"its code {state[has_code]}, its weights {weights}: {state[has_weights]} (`sf2f-bench weights list`)",
    )
