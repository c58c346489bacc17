"""How near the drawn face's embedding lies to the true identity's, identity by identity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix, aligned, unit_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

PAIRWISE_EPSILON = 1e-6  # torch.nn.PairwiseDistance adds it to every difference; published values carry it


def cosine_similarity(drawn: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """Cosine of each drawn embedding with its true one: ``[N, D]``, ``[N, D]`` -> ``[N]`` in -1..1.

    Raises BenchError for unlike, empty or NaN inputs.

    Formula: ``x . y / (|x| |y|)``; 0 where one of them is zero.
    Source: torch.nn.CosineSimilarity, as SF2F's evaluation uses it.
    """
    left, right = aligned(drawn, true)
    return np.clip(np.einsum("nd,nd->n", unit_rows(left), unit_rows(right)), -1.0, 1.0)


def l1_distance(drawn: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """L1 distance of each row: ``[N, D]``, ``[N, D]`` -> ``[N]``, 0 or more; nothing is normalised here.

    Formula: ``sum_d |x_d - y_d + 1e-6|``.
    Source: torch.nn.PairwiseDistance(p=1), as SF2F's evaluation uses it.
    """
    left, right = aligned(drawn, true)
    return np.abs(left - right + PAIRWISE_EPSILON).sum(axis=1)


def l2_distance(drawn: ArrayLike | Any, true: ArrayLike | Any) -> Matrix:
    """Euclidean distance of each row: ``[N, D]``, ``[N, D]`` -> ``[N]``, 0 or more; nothing is normalised here.

    Formula: ``sqrt(sum_d (x_d - y_d + 1e-6)^2)``.
    Source: torch.nn.PairwiseDistance(p=2), as SF2F's evaluation uses it.
    """
    left, right = aligned(drawn, true)
    return np.linalg.norm(left - right + PAIRWISE_EPSILON, axis=1)
