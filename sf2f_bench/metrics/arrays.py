"""Matrices as every metric needs them: checked, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sf2f_bench.types import BenchError

Matrix = NDArray[np.float64]
LARGEST = (
    1e20  # of features whose squares and cubes are summed: far above any network's, far below an overflow
)


def matrix(rows: ArrayLike | Any, what: str, at_least: int = 1) -> Matrix:
    """The rows as float64 ``[N, D]``, the input itself where it already is that.

    Raises BenchError unless they are finite numbers, two-dimensional, with `at_least` rows.
    """
    try:
        array = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BenchError(
            f"{what}: expected an array of numbers [N, D], got {type(rows).__name__}."
        ) from error
    if array.ndim != 2:
        raise BenchError(f"{what}: expected [N, D], one row an identity, got shape {list(array.shape)}.")
    if array.shape[0] < at_least or array.shape[1] == 0:
        raise BenchError(f"{what}: expected at least {at_least} non-empty row(s), got {list(array.shape)}.")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise BenchError(
            f"{what}: {bad.size} of {len(array)} rows hold NaN or infinity (first: row {bad[0]}); "
            "find out where they come from, no metric is defined on them."
        )
    return array


def aligned(probes: ArrayLike | Any, gallery: ArrayLike | Any, at_least: int = 1) -> tuple[Matrix, Matrix]:
    """Probes and gallery as float64 ``[N, D]``, paired by row; BenchError for unlike shapes."""
    left, right = matrix(probes, "probes", at_least), matrix(gallery, "gallery", at_least)
    if left.shape != right.shape:
        raise BenchError(
            f"probes {list(left.shape)} and gallery {list(right.shape)} differ in shape: expected both "
            "[N, D], where row i of the gallery is the right answer of probe i."
        )
    return left, right


def unit_rows(rows: Matrix) -> Matrix:
    """Rows ``[N, D]`` at length 1; a zero row stays zero, so its cosine with anything is 0."""
    # Dividing by the largest entry first keeps squares of tiny and huge rows from vanishing or overflowing.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    scaled = rows / np.where(largest > 0, largest, 1)
    length = np.sqrt(np.einsum("nd,nd->n", scaled, scaled))[:, None]
    scaled /= np.where(length > 0, length, 1)
    return scaled


def not_too_large(rows: Matrix, what: str) -> Matrix:
    """The rows; BenchError where sums of their squares and cubes could overflow."""
    if (largest := float(np.abs(rows).max())) > LARGEST:
        raise BenchError(
            f"{what}: expected numbers up to {LARGEST:g}, got {largest:g}: look for a fault in the extractor, or "
            "divide all features by one number."
        )
    return rows


def to_unit_scale(*sides: Matrix) -> tuple[Matrix, ...]:
    """All sides divided by one power of two that brings their largest entry below 1: no digit is lost."""
    _, exponent = np.frexp(max(np.abs(side).max() for side in sides))
    return tuple(np.ldexp(side, -exponent) for side in sides)


def slices(count: int, size: int) -> Iterator[slice]:
    """Consecutive slices of at most `size` that cover ``range(count)``."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
