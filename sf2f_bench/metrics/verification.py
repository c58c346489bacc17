"""Verification: telling matching pairs (i == j) from all others by one threshold on the cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix
from sf2f_bench.metrics.retrieval import TIE_TOLERANCE, answers, closeness_blocks, prepared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def verification_auc(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Area under the ROC curve of matching (i == j) against non-matching pairs (all i != j); 0..1.

    probes, gallery: ``[N, D]``, N >= 2. The chance that a matching pair has the higher cosine than a
    non-matching one, ties (within 1e-12) counting half; .5 is guessing. All N^2 (N - 1) comparisons are
    counted exactly, in blocks. Source: Mann-Whitney U / (number of pairs of pairs).
    """
    _, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    n = len(above)
    return float(1 - (above + tied / 2).mean() / (n * (n - 1)))


def equal_error_rate(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Error rate at the threshold where false accepts and false rejects are equally frequent; 0..1.

    probes, gallery: ``[N, D]``, N >= 2, pairs as in `verification_auc`. The ROC curve is followed linearly
    between its corners, so ties count by expectation; .5 is guessing.
    """
    matching, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    n = len(above)
    ordered = np.sort(matching)
    accepted_above = n - np.searchsorted(ordered, matching + TIE_TOLERANCE, "right")
    accepted_level = n - np.searchsorted(ordered, matching - TIE_TOLERANCE, "left")
    # Two corners a matching pair: the threshold just above its ties, and just below them.
    false_accepts = np.concatenate([[0.0], above, above + tied, [n * (n - 1)]]) / (n * (n - 1))
    true_accepts = np.concatenate([[0.0], accepted_above, accepted_level, [n]]) / n
    along = np.argsort(false_accepts + true_accepts)  # both only grow along the curve
    return float(np.interp(1.0, (false_accepts + true_accepts)[along], false_accepts[along]))


def verification_auc_leave_one_out(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> Matrix:
    """`verification_auc` without probe and gallery row i, for each i: ``[N]``, N >= 3, for a jackknife."""
    left, right = prepared(probes, gallery, "cosine", at_least=3)
    matching, above, tied = _nonmatching_above(left, right)
    n = len(above)
    ordered = np.sort(matching)
    as_pair, as_threshold = np.zeros(n), np.zeros(n)  # lost comparisons that identity i takes part in
    for rows, columns, block in closeness_blocks(left, right, "cosine"):
        lost = _matching_below(ordered, block)
        as_pair[rows] += lost.sum(axis=1)
        as_pair[columns] += lost.sum(axis=0)
        as_threshold[rows] += _lost_to(block, matching[rows, None]).sum(axis=1)
        as_threshold[columns] += _lost_to(block, matching[columns]).sum(axis=0)
    lost_by = above + tied / 2
    # What i takes part in in both ways, as the matching pair and in the non-matching one, counts once.
    remaining = lost_by.sum() - lost_by - as_pair + as_threshold
    return 1 - remaining / ((n - 1) * (n - 1) * (n - 2))


def _nonmatching_above(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Cosine of the matching pairs, and how many non-matching ones lie above and level: each ``[N]``."""
    matching = answers(left, right, "cosine")
    order = np.argsort(matching)
    low, high = matching[order] - TIE_TOLERANCE, matching[order] + TIE_TOLERANCE
    n = len(matching)
    beaten, reached = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    for _, _, block in closeness_blocks(left, right, "cosine"):
        values = block[block > -np.inf]
        beaten += np.bincount(np.searchsorted(high, values, "left"), minlength=n + 1)
        reached += np.bincount(np.searchsorted(low, values, "right"), minlength=n + 1)
    above, level = np.empty(n), np.empty(n)
    above[order] = beaten[::-1].cumsum()[::-1][1:]  # a value that beats m matching pairs beats the m lowest
    level[order] = reached[::-1].cumsum()[::-1][1:]
    return matching, above, level - above


def _matching_below(ordered: Matrix, block: Matrix) -> Matrix:
    """How many matching pairs each non-matching value beats, ties counting half; 0 where i == j (-inf)."""
    beaten = np.searchsorted(ordered + TIE_TOLERANCE, block, "left")
    reached = np.searchsorted(ordered - TIE_TOLERANCE, block, "right")
    return (beaten + reached) / 2


def _lost_to(block: Matrix, threshold: Matrix) -> Matrix:
    """1 where the block's value beats the threshold, half where they are tied."""
    return ((block > threshold + TIE_TOLERANCE) + (block >= threshold - TIE_TOLERANCE).astype(np.float64)) / 2
