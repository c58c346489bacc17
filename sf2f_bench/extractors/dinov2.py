"""DINOv2 ViT-S/14 and ViT-L/14: features learnt without labels, for distances between distributions beside Inception's.

Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (arXiv 2304.07193); for distances of
generated pictures: Stein et al., "Exposing flaws of generative model evaluation metrics" (arXiv 2306.04675).

The network's code is the authors' repository, which the user puts where torch.hub would. **That code runs**, and it is
up to the user to trust it. The weights are read as tensors, which runs no code.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sf2f_bench.extractors.frozen import PublishedExtractor, standardised
from sf2f_bench.extractors.weights import FILES, find, places, remedy, torch_hub
from sf2f_bench.faces import IMAGENET_MEAN, IMAGENET_STD
from sf2f_bench.types import ExtractorCard, Unavailable

SIZE = 224  # pixels, the side of the network's input
REPOSITORY = "facebookresearch_dinov2_main"  # the folder that torch.hub makes for the repository
SOURCE = "https://github.com/facebookresearch/dinov2"


class DinoV2Extractor(PublishedExtractor):
    """DINOv2 ViT-S/14 as the harness uses it: `DinoV2Extractor("dinov2-vits14")`.

    Runs the code of the hub repository that is on this machine; without it, it is Unavailable. Faces are not cropped.
    Embeddings are class tokens ``[B, 384]``, not normalised; there are no classes.
    """

    NAMES = ("dinov2-vits14",)
    VERSION = 1
    FILE = "dinov2_vits14_pretrain.pth"
    RESIZE = f"bicubic-{SIZE}"

    recognises = False
    card = ExtractorCard(
        title="By DINOv2, which tells pictures apart and not people",
        order=3,
        trained_on="LVD-142M, without labels",
        licence=FILES[FILE].licence,
        files=(FILE,),
    )

    def build(self, name: str) -> nn.Module:
        """The transformer of the hub's repository, with its preprocessing before it."""
        repository = torch_hub() / REPOSITORY
        network = torch.hub.load(str(repository), name.replace("-", "_"), source="local", pretrained=False)
        network.register_forward_pre_hook(standardise)
        return network

    def find_weights(self) -> Path:
        """As any published network's, once the repository's code is known to be on this machine too."""
        check_present(torch_hub() / REPOSITORY, self.FILE)
        return super().find_weights()


class LargeDinoV2Extractor(DinoV2Extractor):
    """DINOv2 ViT-L/14, which Stein et al. recommend for distances: `LargeDinoV2Extractor("dinov2-vitl14")`.

    Embeddings are class tokens ``[B, 1024]``. No checksum of its weights is known here: the hash of the file that is
    found goes into the id.
    """

    NAMES = ("dinov2-vitl14",)
    FILE = "dinov2_vitl14_pretrain.pth"

    card = replace(
        DinoV2Extractor.card,
        title="By DINOv2 ViT-L/14, which tells pictures apart and not people",
        files=(FILE,),
    )


def standardise(network: nn.Module, inputs: tuple[Any, ...]) -> Tensor:
    """The network's input from images float 0..1 ``[B, 3, H, W]``: ``[B, 3, 224, 224]``."""
    return standardised(inputs[0], SIZE, IMAGENET_MEAN, IMAGENET_STD)


def check_present(repository: Path, weights: str) -> None:
    """Raise Unavailable, naming both places, unless the repository's code and the weights are on this machine."""
    file = FILES[weights]
    has_code, has_weights = (repository / "hubconf.py").is_file(), find(file) is not None
    if has_code and has_weights:
        return
    state = {True: "is there", False: "is missing"}
    raise Unavailable(
        f"DINOv2 needs two things. Its code {state[has_code]}: put the repository {SOURCE} at {repository} (that "
        f"code will run, so inspect it first). Its weights {weights}: this file {state[has_weights]}, "
        f"searched for in {', '.join(map(str, places(file)))}. {'' if has_weights else remedy(file)}".rstrip(),
        f"its code {state[has_code]}, its weights {weights}: {state[has_weights]} (`sf2f-bench weights list`)",
    )
