"""Verification: telling matching pairs (i == j) from all others by one threshold on the cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.metrics.arrays import Matrix
from sf2f_bench.metrics.retrieval import TIE_TOLERANCE, answers, closeness_blocks, prepared
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.integer[Any]]


def verification_auc(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Area under the ROC curve of matching (i == j) against non-matching pairs (all i != j); 0..1.

    probes, gallery: ``[N, D]``, N >= 2; .5 is guessing. All N^2 (N - 1) comparisons are counted exactly, in blocks.

    Formula: the chance that a matching pair has the higher cosine than a non-matching one, ties (within 1e-12)
    counting half.
    Source: Mann-Whitney U / (number of pairs of pairs); Hanley and McNeil 1982.
    """
    _, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    n = len(above)
    return float(1 - (above + tied / 2).mean() / (n * (n - 1)))


def equal_error_rate(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Error rate at the threshold where false accepts and false rejects are equally frequent; 0..1.

    probes, gallery: ``[N, D]``, N >= 2, pairs as in `verification_auc`; .5 is guessing.

    Formula: the false accept rate where it equals the false reject rate; the ROC curve is followed linearly
    between its corners, so ties count by expectation.
    Source: the equal error rate of speaker verification; Martin et al. 1997.
    """
    matching, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    n = len(above)
    false_accepts, true_accepts = _corners(matching, above, above + tied)
    ends = np.array([0.0, n * (n - 1)]), np.array([0.0, n])
    return _crossing(
        np.concatenate([ends[0], false_accepts]) / (n * (n - 1)), np.concatenate([ends[1], true_accepts]) / n
    )


def _corners(matching: Matrix, above: Matrix, reached: Matrix) -> tuple[Matrix, Matrix]:
    """False and true accepts, counted, at the corners of the ROC curve: each ``[2 N]``.

    Two corners a matching pair: the threshold just above its ties, and just below them.
    """
    ordered = np.sort(matching)
    accepted_above = len(matching) - np.searchsorted(ordered, matching + TIE_TOLERANCE, "right")
    accepted_level = len(matching) - np.searchsorted(ordered, matching - TIE_TOLERANCE, "left")
    return np.concatenate([above, reached]), np.concatenate([accepted_above, accepted_level])


def _crossing(false_accepts: Matrix, true_accepts: Matrix) -> float:
    """The false accept rate where it is the false reject rate, from the corners' rates, in any order."""
    along = np.argsort(false_accepts + true_accepts)  # both only grow along the curve
    return float(np.interp(1.0, (false_accepts + true_accepts)[along], false_accepts[along]))


class EqualErrorRates:
    """`equal_error_rate` of many parts of the same identities, such as half-samples; pairs are compared once.

    probes, gallery: ``[N, D]``. Called with the rows of a part (each once, two or more), it gives that part's rate,
    exactly. Beyond a thousand identities it keeps only the pairs near the whole's threshold, about N^1.5 of them,
    and one bit for each of the others; a part whose threshold lies elsewhere is computed anew.
    """

    ALL_PAIRS = 1000  # up to so many identities every pair is kept
    REACH = 6.0  # standard errors of the false reject rate, to both sides of the whole's threshold

    def __init__(self, probes: ArrayLike | Any, gallery: ArrayLike | Any) -> None:
        self.left, self.right = prepared(probes, gallery, "cosine", at_least=2)
        self.matching = answers(self.left, self.right, "cosine")
        self.low, self.high = self._window()
        n = len(self.matching)
        self.beyond = np.zeros((n, -(-n // 8)), np.uint8)  # a bit a pair: is it above the window?
        cosines, first, second = self._near_pairs()
        order = np.argsort(cosines)[::-1]
        self.first, self.second = first[order], second[order]
        rising = cosines[order[::-1]]
        self.above = len(rising) - np.searchsorted(rising, self.matching + TIE_TOLERANCE, "right")
        self.reached = len(rising) - np.searchsorted(rising, self.matching - TIE_TOLERANCE, "left")

    def _window(self) -> tuple[float, float]:
        n = len(self.matching)
        if n <= self.ALL_PAIRS:
            return -np.inf, np.inf
        rate = equal_error_rate(self.left, self.right)
        place, reach = round(rate * n), int(self.REACH * np.sqrt(n * rate * (1 - rate))) + 10
        ordered = np.sort(self.matching)
        low = ordered[place - reach] if place > reach else -np.inf
        high = ordered[place + reach] if place + reach < n else np.inf
        return float(low), float(high)

    def _near_pairs(self) -> tuple[Matrix, Rows, Rows]:
        """Cosine, row and column of every non-matching pair within the window; those above it go to `beyond`."""
        found = []
        for rows, columns, block in closeness_blocks(self.left, self.right, "cosine"):
            row, column = np.nonzero((block > self.low) & (block < self.high))
            found.append(
                (
                    block[row, column],
                    (row + rows.start).astype(np.int32),
                    (column + columns.start).astype(np.int32),
                )
            )
            bits = np.packbits(block >= self.high, axis=1)
            self.beyond[rows, columns.start // 8 :][:, : bits.shape[1]] = bits  # blocks begin at whole bytes
        cosines, first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return cosines, first, second

    def __call__(self, rows: Rows) -> float:
        """The equal error rate among the identities of `rows`."""
        member = np.zeros(len(self.matching), bool)
        member[rows] = True
        counts = np.concatenate([[0], np.cumsum(member[self.first] & member[self.second])])
        counts += np.bitwise_count(self.beyond[rows] & np.packbits(member)).sum(dtype=np.int64)
        matching = self.matching[rows]
        corners = _corners(matching, counts[self.above[rows]], counts[self.reached[rows]])
        # Where the window ends no count is known; the curve's own ends are.
        known = np.tile((matching - TIE_TOLERANCE > self.low) & (matching + TIE_TOLERANCE < self.high), 2)
        ends = np.array([self.high == np.inf, self.low == -np.inf])
        m = len(rows)
        false_accepts = np.concatenate([np.array([0, m * (m - 1)])[ends], corners[0][known]]) / (m * (m - 1))
        true_accepts = np.concatenate([np.array([0, m])[ends], corners[1][known]]) / m
        along = false_accepts + true_accepts
        if not along.size or not along.min() <= 1 <= along.max():
            return equal_error_rate(self.left[rows], self.right[rows])
        return _crossing(false_accepts, true_accepts)


class TrialRates:
    """AUC and equal error rate of listed trials, each weighing as much as it is told to.

    scores ``[T]``, higher is likelier the same person; matching: bool ``[T]``. Ties within 1e-12 count by
    expectation. Raises BenchError for NaN, unlike lengths, or trials of one kind only.
    """

    def __init__(self, scores: ArrayLike, matching: ArrayLike) -> None:
        values, same = np.asarray(scores, np.float64), np.asarray(matching, bool)
        if values.ndim != 1 or values.shape != same.shape or not np.isfinite(values).all():
            raise BenchError(
                f"expected finite scores [T] and a label each, got {list(values.shape)} and {list(same.shape)}."
            )
        if same.all() or not same.any():
            raise BenchError("expected trials of the same person and of two people, got one kind only.")
        self.order = np.argsort(-values, kind="stable")
        self.same = same[self.order]
        gaps = np.diff(values[self.order], prepend=np.inf)
        self.starts = np.flatnonzero(gaps < -TIE_TOLERANCE)  # of every group of ties

    def curve(self, weights: ArrayLike | None = None) -> tuple[Matrix, Matrix]:
        """False and true accept rates from (0, 0) to (1, 1), a corner a distinct score; weights ``[T]``, 0 or more.

        NaN where the weights leave one kind only.
        """
        weight = np.ones(len(self.order)) if weights is None else np.asarray(weights, np.float64)[self.order]
        counts = [
            np.add.reduceat(np.where(kind, weight, 0.0), self.starts) for kind in (~self.same, self.same)
        ]
        rising = [np.concatenate([[0.0], np.cumsum(count)]) for count in counts]
        with np.errstate(invalid="ignore"):
            false_accepts, true_accepts = (counts / counts[-1] for counts in rising)
        return false_accepts, true_accepts

    def auc(self, weights: ArrayLike | None = None) -> float:
        """Area under the ROC curve; 0..1, .5 is guessing."""
        false_accepts, true_accepts = self.curve(weights)
        return float(np.trapezoid(true_accepts, false_accepts))

    def equal_error_rate(self, weights: ArrayLike | None = None) -> float:
        """Where false accepts and false rejects are equally frequent; 0..1, .5 is guessing."""
        return _crossing(*self.curve(weights))


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
