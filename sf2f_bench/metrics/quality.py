"""How clearly a classifier recognises somebody in each face, and how varied those somebodies are."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import xlogy

from sf2f_bench.metrics.arrays import Matrix, matrix
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SUM_TOLERANCE = 1e-2  # a softmax in half precision over thousands of classes is off by a few thousandths


def mutual_information_score(
    probabilities: ArrayLike | Any, parts: int = 5, order: ArrayLike | None = None
) -> tuple[float, float]:
    """exp of the mutual information between face and class, mean and spread over the parts.

    probabilities: ``[N, C]``, one distribution over classes a face; order: ``[N]``, the permutation of the
    rows before they are cut into parts i N / parts .. (i + 1) N / parts. Returns the mean and population
    standard deviation over parts of ``exp(mean_x KL(p(y|x) || p(y)))``, p(y) the part's mean; 0 log 0 = 0.
    Range 1 .. min(C, N / parts), so compare it only at equal N, C and parts.

    Raises BenchError for negative or unnormalised rows, fewer rows than parts, an order that is none.
    Source: the Inception Score (Salimans et al. 2016); with VGGFace2's classifier, SF2F's VGGFace Score.
    """
    rows = matrix(probabilities, "class probabilities")
    n = len(rows)
    if rows.min() < 0 or np.abs(rows.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise BenchError("class probabilities: expected rows of 0..1 that sum to 1; apply softmax to logits.")
    if not 1 <= parts <= n:
        raise BenchError(f"{n} faces cannot be cut into {parts} parts: choose parts from 1 to {n}.")
    if order is not None:
        permutation = np.asarray(order)
        if permutation.shape != (n,) or not np.array_equal(np.sort(permutation), np.arange(n)):
            raise BenchError(f"order: expected a permutation of the {n} rows, each exactly once.")
        rows = rows[permutation]
    edges = [part * n // parts for part in range(parts + 1)]
    scores = [_score(rows[start:stop]) for start, stop in pairwise(edges)]
    return float(np.mean(scores)), float(np.std(scores))


def _score(rows: Matrix) -> float:
    # The divergence as a difference of entropies: no quotient of two tiny probabilities is ever formed.
    mean = rows.mean(axis=0)
    information = xlogy(rows, rows).sum() / len(rows) - xlogy(mean, mean).sum()
    return float(np.exp(max(information, 0.0)))
