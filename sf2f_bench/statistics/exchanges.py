"""p of many paired differences at once: an identity's two values are exchanged at random, all metrics in one product.

A page asks thousands of these questions. The tests are those of `statistics.paired`, without its intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.files import seed_of
from sf2f_bench.statistics.paired import Measured, p_by_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

EXCHANGES = 2000  # as many as `statistics.intervals.paired_difference` draws
RELATIVE_TOLERANCE = 1e-12  # between sums of the same numbers in another order


def p_values(pairs: Sequence[tuple[Measured, Measured]], n: int) -> list[float]:
    """Two-sided p of each pair, of at most n identities, as `sf2f_bench.statistics.paired.compare_scores` has it."""
    found = [p_by_errors(*pair) for pair in pairs]
    means: dict[int, Array] = {}
    for i, (one, other) in enumerate(pairs):
        if found[i] is None and one.basis == "mean":
            means[i] = one.parts[0] - other.parts[0]
        elif found[i] is None:
            found[i] = by_medians(one.parts[0], other.parts[0])
    by_means = dict(zip(means, sign_flip(list(means.values()), n), strict=True))
    return [by_means[i] if p is None else p for i, p in enumerate(found)]


def sign_flip(differences: Sequence[Array], n: int) -> list[float]:
    """Two-sided p of each mean difference, among those with the signs of its identities ``[<= n]`` drawn at random."""
    if not differences:
        return []
    table = np.zeros((n, len(differences)))  # an identity without a value adds nothing to a sum
    for column, values in zip(table.T, differences, strict=True):
        column[: len(values)] = values
    slack = RELATIVE_TOLERANCE * np.abs(table).sum(axis=0)
    exchanged = np.abs(_signs(n) @ table)  # [EXCHANGES, metrics]
    as_far = (exchanged >= np.abs(table.sum(axis=0)) - slack).sum(axis=0)
    return [float(p) for p in (1 + as_far) / (EXCHANGES + 1)]


def by_medians(a: Array, b: Array) -> float:
    """Two-sided p of the difference of medians ``[N]``, each identity's two values exchanged at random."""
    left, right = a.astype(np.float32), b.astype(np.float32)  # sorted three times as fast
    is_exchanged = _signs(len(a)) < 0
    exchanged = _medians(np.where(is_exchanged, right, left)) - _medians(np.where(is_exchanged, left, right))
    observed = _medians(left[None]) - _medians(right[None])
    return float((1 + (np.abs(exchanged) >= np.abs(observed)).sum()) / (EXCHANGES + 1))


@lru_cache(maxsize=4)
def _signs(n: int) -> Array:
    """``[EXCHANGES, n]`` of -1 and 1, the same for every pair of systems."""
    return np.random.default_rng(seed_of("sign flips", n)).choice([-1.0, 1.0], size=(EXCHANGES, n))


def _medians(rows: NDArray[np.float32]) -> NDArray[np.floating]:
    """Of ``[R, N]``, ``[R]``: `np.median` without its care for NaN."""
    n = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / np.float32(2)
