"""A stranger's extractor: grey levels of a small picture."""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F
from torch import Tensor

from sf2f_bench import ExtractorCard, check_faces


class Thumbnail:
    """The picture at 8 x 8 pixels, less its mean, at length 1."""

    recognises = True
    card = ExtractorCard(title="By thumbnails of 8 pixels", trained_on="nothing", licence="Apache-2.0")
    sha256 = hashlib.sha256(b"no weights").hexdigest()
    id = f"thumbnail/1@{sha256[:8]}/area-8"

    def __init__(self, name: str) -> None: ...

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        """uint8 ``[B, 3, H, W]`` -> (embeddings ``[B, 192]``, None)."""
        check_faces(images)
        small = F.interpolate(images.float() / 255, size=(8, 8), mode="area").flatten(1)
        return F.normalize(small - small.mean(dim=1, keepdim=True), dim=1), None
