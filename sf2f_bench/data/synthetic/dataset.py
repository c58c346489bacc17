"""The embedded data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sf2f_bench.data.synthetic import world
from sf2f_bench.data.synthetic.faces import draw


def stream_photos(stream: str, index: int, count: int, size: int) -> NDArray[np.uint8]:
    """Photos of one identity outside the benchmark ("judge", "perceptual"): uint8 ``[count, 3, size, size]``.

    For building the embedded networks; the seed is always 0.
    """
    face = world.face_of(world.person_of(0, stream, index))
    nuisances = (world.random_of(0, stream, index, f"photo/{number}") for number in range(count))
    return np.stack([draw(face, world.photo_nuisance(random), size) for random in nuisances])
