"""Whether a folder's faces have red and blue exchanged, as OpenCV writes them when nobody tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FEWEST = 10
# Standard errors. On the embedded world true photos reach 64 and their blend with the mean face 35; the mean face,
# strangers' photos, grey faces and noise stay below 1.
CLEAR = 5


def channel_order_note(
    faces: ByteArray, templates: FloatArray, embed: Callable[[ByteArray], FloatArray]
) -> str | None:
    """A warning where faces uint8 ``[N, 3, H, W]`` are nearer to their own templates ``[N, D]`` with channels swapped.

    embed: the judge, faces to embeddings ``[N, D]``. A person's template is compared with the others', so that a shift
    that all faces share says nothing. None where nothing is exchanged or it cannot be told.
    """
    if len(faces) < FEWEST:
        return None
    swapped = np.ascontiguousarray(faces[:, ::-1])
    given, other = (_own_beyond_others(embed(images), templates) for images in (faces, swapped))
    gain = other - given
    if gain.mean() <= CLEAR * gain.std(ddof=1) / np.sqrt(len(gain)) or other.mean() <= 0:
        return None
    return (
        "Red and blue are most likely exchanged (BGR, as OpenCV has it): with channels swapped the faces are nearer "
        f"to their own people's photos (cosine beyond that to others' {other.mean():.2f}, not {given.mean():.2f}). "
        "They are scored as they are: swap the channels and score them again."
    )


def _own_beyond_others(embeddings: FloatArray, templates: FloatArray) -> FloatArray:
    """Cosine to one's own template less the mean of those to the others': ``[N]``."""
    unit, targets = (
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        for rows in (embeddings, templates)
    )
    cosines = unit @ targets.T
    own = np.diagonal(cosines)
    return own - (cosines.sum(axis=1) - own) / (len(cosines) - 1)
