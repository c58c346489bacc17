"""How many different faces a system draws, whether it copies, and whether it draws one person twice alike.

All by cosines of an extractor that tells people apart; lengths of embeddings do not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import entr

from sf2f_bench.metrics.arrays import Matrix, matrix, slices, unit_rows
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BLOCK = 2048  # rows and columns of a block of cosines: 32 MiB
TIE_TOLERANCE = 1e-12


def mean_distance(faces: ArrayLike | Any) -> float:
    """Mean cosine distance between two different rows of ``[N, D]``, N >= 2; 0 (all alike) .. N / (N - 1).

    Every pair, in O(N D).

    Formula: ``1 - (|sum u|^2 - sum |u|^2) / (N (N - 1))`` with u the rows at length 1.
    """
    unit = unit_rows(matrix(faces, "drawn faces", at_least=2))
    n = len(unit)
    return float(1 - _alike(unit) / (n * (n - 1)))


def mean_distance_leave_one_out(faces: ArrayLike | Any) -> Matrix:
    """`mean_distance` without row i, for each i: ``[N, D]`` -> ``[N]``, N >= 3, in O(N D)."""
    unit = unit_rows(matrix(faces, "drawn faces", at_least=3))
    n = len(unit)
    own = unit @ unit.sum(axis=0) - np.square(unit).sum(axis=1)
    return 1 - (_alike(unit) - 2 * own) / ((n - 1) * (n - 2))


def _alike(unit: Matrix) -> float:
    """Sum of the cosines of all ordered pairs of different rows."""
    total = unit.sum(axis=0)
    return float(total @ total - np.square(unit).sum())


def effective_number(faces: ArrayLike | Any) -> float:
    """Vendi score of ``[N, D]`` with the cosine as kernel: 1 for one face for all .. min(N, D) for all unlike.

    As many equally frequent faces, unlike each other at every angle, would give it.

    Formula: ``exp(-sum l log l)`` over the eigenvalues l of K / N, K the cosines of all pairs.
    Pitfall: it grows with N: compare at equal N.
    Source: Friedman and Dieng 2023 (arXiv 2210.02410).
    """
    unit = unit_rows(matrix(faces, "drawn faces"))
    smaller = unit if len(unit) <= unit.shape[1] else unit.T  # u u' and u' u share their eigenvalues
    spectrum = np.maximum(np.linalg.eigvalsh(smaller @ smaller.T), 0.0)
    total = spectrum.sum()
    return float(np.exp(entr(spectrum / total).sum())) if total > 0 else 1.0


def same_person_similarity(photos: ArrayLike | Any, owners: ArrayLike) -> float | None:
    """How alike two photos of one person usually are: the median over people of their pairs' mean cosine; -1..1.

    photos ``[M, D]``, owners ``[M]``: whose each is. Every person has one vote, however many photos. None where
    nobody has two photos. Raises BenchError unless each photo has one owner.
    """
    unit = unit_rows(matrix(photos, "photos"))
    whose = np.asarray(owners)
    if whose.shape != (len(unit),):
        raise BenchError(f"owners: expected one of each of {len(unit)} photos, got {list(whose.shape)}.")
    means = []
    for person in np.unique(whose):
        own = unit[whose == person]
        if len(own) > 1:
            means.append(_alike(own) / (len(own) * (len(own) - 1)))
    return float(np.median(means)) if means else None


def is_distinct(faces: ArrayLike | Any, threshold: float, members: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Is each face below `threshold` in its cosine to every other face of a set? For S sets ``[S, N]``.

    faces: ``[N, D]``; members: bool ``[S, N]``, the faces of each set. Returns ``[S, N]``, False where a set lacks
    the face. In blocks.
    """
    unit = unit_rows(matrix(faces, "drawn faces", at_least=2))
    sets = np.asarray(members, np.float32)
    neighbours = np.zeros(sets.shape, np.float32)  # exact up to 2^24 faces
    for rows in slices(len(unit), BLOCK):
        for columns in slices(len(unit), BLOCK):
            near = unit[rows] @ unit[columns].T >= threshold - TIE_TOLERANCE
            if rows == columns:
                np.fill_diagonal(near, False)
            neighbours[:, rows] += sets[:, columns] @ near.T.astype(np.float32)
    return (neighbours == 0) & (sets > 0)


def nearest_similarity(faces: ArrayLike | Any, references: ArrayLike | Any) -> Matrix:
    """Largest cosine of each face to a reference: ``[N, D]``, ``[T, D]`` -> ``[N]`` in -1..1, in blocks."""
    left, right = unit_rows(matrix(faces, "faces")), unit_rows(matrix(references, "references"))
    if left.shape[1] != right.shape[1]:
        raise BenchError(
            f"faces of {left.shape[1]} and references of {right.shape[1]} features cannot be compared."
        )
    largest = np.full(len(left), -np.inf)
    for rows in slices(len(left), BLOCK):
        for columns in slices(len(right), BLOCK):
            largest[rows] = np.maximum(largest[rows], (left[rows] @ right[columns].T).max(axis=1))
    return np.clip(largest, -1.0, 1.0)


def is_copied(
    faces: ArrayLike | Any,
    photos: ArrayLike | Any,
    training_photos: ArrayLike | Any,
    quantile: float = 0.99,
) -> NDArray[np.bool_]:
    """Does each face lie nearer to a training photo than `quantile` of the true photos do? ``[N]``.

    faces ``[N, D]``; photos ``[M, D]``: of people outside the training split; training_photos ``[T, D]``.

    Formula: max cosine to a training photo > the photos' `quantile` of the same.
    """
    usual = np.quantile(nearest_similarity(photos, training_photos), quantile)
    return nearest_similarity(faces, training_photos) > usual + TIE_TOLERANCE
