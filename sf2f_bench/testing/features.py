"""Made-up features of people, as an extractor would give them, to try metrics on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.types import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.types import FloatArray

    Matrix = NDArray[np.float64]

WIDTH, CLASSES = 8, 10
PHOTOS = 3  # of everybody
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
    return locked(Features(real.identities, faces, faces, probabilities_of(faces), repeat_faces=repeats))


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
    """The features of the people in these rows, in this order, repeated where a row is."""

    def cut(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else np.asarray(values)[rows]

    photos, owners = features.photos, features.owners
    if photos is not None and owners is not None:
        places = [np.flatnonzero(owners == row) for row in rows]
        photos = np.concatenate([photos[place] for place in places])
        owners = np.repeat(np.arange(len(rows)), [len(place) for place in places])
    return locked(
        replace(
            features,
            identities=tuple(features.identities[row] for row in rows),
            embeddings=np.asarray(features.embeddings)[rows],
            samples=cut(features.samples),
            probabilities=cut(features.probabilities),
            repeat_faces=None if features.repeat_faces is None else features.repeat_faces[:, rows],
            photos=photos,
            owners=owners,
            strata={letter: tuple(labels[row] for row in rows) for letter, labels in features.strata.items()},
        )
    )


def locked(features: Features) -> Features:
    """The same, with read-only arrays."""
    for name in (
        "embeddings",
        "samples",
        "probabilities",
        "repeat_faces",
        "photos",
        "owners",
        "training_photos",
    ):
        array = getattr(features, name)
        if array is not None:
            array.setflags(write=False)
    return features
