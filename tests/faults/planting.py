"""Faults as functions of pictures, and things that carry them: networks that see wrongly, a store of other people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F


def shifted(faces: np.ndarray, pixels: int) -> np.ndarray:
    """uint8 ``[N, 3, H, W]`` moved to the right, the left edge repeated: a crop box that is off."""
    moved = np.roll(faces, pixels, axis=3)
    moved[..., :pixels] = faces[..., :1]
    return moved


def cropped(faces: np.ndarray, share: float) -> np.ndarray:
    """The middle `share` of height and width, enlarged to the old size: a crop box that is too tight."""
    size = faces.shape[-1]
    edge = round(size * (1 - share) / 2)
    middle = torch.from_numpy(faces[..., edge : size - edge, edge : size - edge].copy()).float()
    enlarged = F.interpolate(middle, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged.round().clamp(0, 255).to(torch.uint8).numpy()


def swapped(faces: np.ndarray) -> np.ndarray:
    """Red for blue."""
    return np.ascontiguousarray(faces[:, ::-1])


class BrokenEyes:
    """An extractor that is shown altered pictures and calls itself as before."""

    def __init__(self, extractor: Any, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.id, self.sha256, self.recognises = extractor.id, extractor.sha256, extractor.recognises
        self._extractor, self._change = extractor, change

    def __call__(self, images: torch.Tensor) -> Any:
        return self._extractor(torch.from_numpy(self._change(images.numpy())))


class OtherPeople:
    """A store in whose test split training people stand, under their own names or under those of the test people."""

    def __init__(self, store: Any, keep_names: bool) -> None:
        self._store = store
        test = store.identities("test")
        strangers = store.identities("train")[: len(test)]
        self._test = test if keep_names else strangers
        self._photos_of = {shown.id: other.id for shown, other in zip(self._test, strangers, strict=True)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def identities(self, split: str) -> Any:
        return self._test if split == "test" else self._store.identities(split)

    def faces(self, identity: str) -> np.ndarray:
        return self._store.faces(self._photos_of.get(identity, identity))
