"""my-extractor: a template of a network that looks at faces. Put your own in the place of the matrix."""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from sf2f_bench import ExtractorCard, check_faces

SIDE = 16  # pixels


class MyExtractor:
    """A small picture through a fixed random matrix, brought to length 1.

    Raise `sf2f_bench.Unavailable` in `__init__` where a file of weights or a package is missing: then its numbers are
    absent from the table with this reason.
    """

    recognises = True  # it tells people apart; False: it tells pictures apart
    card = ExtractorCard(
        title="By my-extractor",
        trained_on="nothing: a random matrix",
        licence="state the licence of the weights",
    )

    def __init__(self, name: str = "my-extractor") -> None:
        random = torch.Generator().manual_seed(0)
        self.matrix = torch.randn(3 * SIDE * SIDE, 128, generator=random)
        self.sha256 = hashlib.sha256(self.matrix.numpy().tobytes()).hexdigest()  # of the weights
        self.id = f"my-extractor/1@{self.sha256[:8]}/area-{SIDE}"  # raise the version when numbers change

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        """uint8 ``[B, 3, H, W]`` -> (embeddings float32 ``[B, D]``, class probabilities ``[B, C]`` or None)."""
        check_faces(images)
        small = F.interpolate(images.float() / 255, size=(SIDE, SIDE), mode="area").flatten(1)
        return F.normalize((small - 0.5) @ self.matrix, dim=1), None
