"""Made-up features of people, as an extractor would give them, to try metrics on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.evaluation.test_people import take
from sf2f_bench.types import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

WIDTH, CLASSES = 8, 10
PHOTOS = 3  # of everybody
DRAWS = 8  # faces for each voice
STRATA = {"G": ("f", "m"), "N": ("here", "there"), "A": ("20s", "30s"), "GNA": ("one", "other")}


def true_features(n: int, strata: int = 2) -> Features:
    """The true side of n people; everybody has three photos. strata: how many of each kind there are."""
    random = np.random.default_rng(11)
    photos = unit(np.repeat(random.normal(size=(n, WIDTH)), PHOTOS, axis=0), random, 0.2)
    samples = photos[::PHOTOS]
    labels = np.arange(n) % strata
    return locked(
        Features(
            identities=tuple(f"person-{number:03d}" for number in range(n)),
            embeddings=photos.reshape(n, PHOTOS, WIDTH).mean(axis=1),
            samples=samples,
            probabilities=probabilities_of(samples),
            photos=photos,
            owners=np.repeat(np.arange(n), PHOTOS),
            training_photos=unit(random.normal(size=(40, WIDTH)), random, 0.0),
            training_likeness=random.uniform(0.5, 0.9, len(photos)),
            strata={
                letter: tuple(kinds[label] for label in random.permutation(labels))
                for letter, kinds in STRATA.items()
            },
        )
    )


def generated_features(real: Features) -> Features:
    """The generated side of a system that hears something: related to the true side, far from equal to it."""
    return _faces(real, np.asarray(real.embeddings), 0.4, 13)


def photographed_features(real: Features) -> Features:
    """The generated side of a perfect system: another photo of everybody."""
    return _faces(real, np.asarray(real.embeddings), 0.05, 17)


def _faces(real: Features, like: Matrix, noise: float, seed: int) -> Features:
    random = np.random.default_rng(seed)
    faces = unit(like, random, noise)
    repeats = np.stack([unit(faces, random, 0.1) for _ in range(2)])
    likeness = random.uniform(0.5, 1.0, len(faces))
    draws = np.stack([faces, *(unit(faces, random, 0.1) for _ in range(DRAWS - 1))])
    return locked(
        Features(
            real.identities,
            faces,
            faces,
            probabilities_of(faces),
            repeat_faces=repeats,
            draws=draws,
            training_likeness=likeness,
        )
    )


def unit(rows: Matrix, random: np.random.Generator, noise: float) -> Matrix:
    """Rows at length 1, with normal noise of this deviation a column before."""
    noisy = rows + noise * random.normal(size=rows.shape)
    return noisy / np.linalg.norm(noisy, axis=1, keepdims=True)


def probabilities_of(rows: Matrix) -> Matrix:
    """Class probabilities ``[N, C]`` of a linear classifier."""
    logits = 6 * rows @ np.random.default_rng(19).normal(size=(rows.shape[1], CLASSES))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def rows_of(features: Features, rows: NDArray[np.int64]) -> Features:
    """The features of the people in these rows, in this order, repeated where a row is; read-only."""
    return locked(take(features, rows))


def locked(features: Features) -> Features:
    """The same, with read-only arrays."""
    for name in (
        "embeddings",
        "samples",
        "probabilities",
        "repeat_faces",
        "draws",
        "photos",
        "owners",
        "training_photos",
        "training_likeness",
    ):
        array = getattr(features, name)
        if array is not None:
            array.setflags(write=False)
    return features
