"""Verification: telling matching pairs (i == j) from all others by one threshold on the cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sf2f_bench.metrics.arrays import Matrix
from sf2f_bench.metrics.closeness import TIE_TOLERANCE, answers, closeness_blocks, prepared
from sf2f_bench.metrics.common import UNIT, SuiteMetric, pair_score, sample_score
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.integer[Any]]
    Counts = NDArray[Any]  # whole numbers, of any type


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
    return _crossing(*_rates(*_corners(matching, above, above + tied), len(above)))


def true_accept_rate(probes: ArrayLike | Any, gallery: ArrayLike | Any, false_accepts: float) -> float:
    """Share of matching pairs accepted at the threshold that accepts this share of the others; 0..1.

    probes, gallery: ``[N, D]``, N >= 2, pairs as in `verification_auc`; guessing gives `false_accepts`.

    Formula: the true accept rate of the ROC curve at this false accept rate; the curve is followed linearly between
    its corners, so ties count by expectation, and at a vertical step it is the upper end.
    Source: TAR at a fixed FAR, as face verification reports it; Klare et al. 2015 (IJB-A).
    """
    matching, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    return _height(*_rates(*_corners(matching, above, above + tied), len(above)), false_accepts)


def error_curve(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, points: int = 100
) -> tuple[Matrix, Matrix]:
    """False accept rates, evenly spaced on a logarithm, and the false reject rate at each: the DET curve ``[points]``.

    From one pair of all N (N - 1) to every pair; both are shares. Source: Martin et al. 1997.
    """
    matching, above, tied = _nonmatching_above(*prepared(probes, gallery, "cosine", at_least=2))
    n = len(above)
    curve = _rates(*_corners(matching, above, above + tied), n)
    places = np.geomspace(1 / (n * (n - 1)), 1.0, points)
    return places, np.array([1 - _height(*curve, place) for place in places])


def _corners(matching: Matrix, above: Counts, reached: Counts) -> tuple[Counts, Counts]:
    """Numbers of false and of true accepts at the corners of the ROC curve: each ``[2 N]``.

    Each matching pair gives two corners: the threshold just above its ties, and just below them.
    """
    ordered = np.sort(matching)
    accepted_above = len(matching) - np.searchsorted(ordered, matching + TIE_TOLERANCE, "right")
    accepted_level = len(matching) - np.searchsorted(ordered, matching - TIE_TOLERANCE, "left")
    return np.concatenate([above, reached]), np.concatenate([accepted_above, accepted_level])


def _rates(
    false_accepts: Counts, true_accepts: Counts, n: int, starts: bool = True, ends: bool = True
) -> tuple[Matrix, Matrix]:
    """Numbers of accepts of n identities as rates, with the curve's own start (0, 0) and end (1, 1)."""
    known, pairs = np.array([starts, ends]), n * (n - 1)
    false_accepts = np.concatenate([np.array([0, pairs])[known], false_accepts]) / pairs
    return false_accepts, np.concatenate([np.array([0, n])[known], true_accepts]) / n


def _crossing(false_accepts: Matrix, true_accepts: Matrix) -> float:
    """The false accept rate where it equals the false reject rate, from the corners' rates in any order."""
    along = np.argsort(false_accepts + true_accepts)  # both only grow along the curve
    return float(np.interp(1.0, (false_accepts + true_accepts)[along], false_accepts[along]))


def _height(false_accepts: Matrix, true_accepts: Matrix, at: float) -> float:
    """The true accept rate at a false accept rate, from the corners' rates in any order."""
    along = np.argsort(false_accepts + true_accepts)
    # A corner that lies at the rate itself but for rounding counts.
    return float(np.interp(at * (1 + TIE_TOLERANCE), false_accepts[along], true_accepts[along]))


class _RatesOfSubsets:
    """A rate of the ROC curve of many subsets of the same identities, such as half-samples; pairs are compared once.

    probes, gallery: ``[N, D]``. Called with the rows of a subset (each once, two or more), it gives that subset's
    rate, exactly. Up to `ALL_PAIRS` identities every pair is kept; beyond, only those near the threshold of all
    identities (see `_PairsInWindow`), and a subset whose threshold lies elsewhere is computed anew.
    """

    ALL_PAIRS = 1000
    REACH = 6.0  # standard errors of the false reject rate, to both sides of the threshold of all identities

    def __init__(self, probes: ArrayLike | Any, gallery: ArrayLike | Any) -> None:
        self.left, self.right = prepared(probes, gallery, "cosine", at_least=2)
        self.matching = answers(self.left, self.right, "cosine")
        self.low, self.high = self._window()
        self.pairs = _PairsInWindow(self.left, self.right, self.low, self.high)
        self.above = self.pairs.count(self.matching + TIE_TOLERANCE, "right")
        self.reached = self.pairs.count(self.matching - TIE_TOLERANCE, "left")

    def _window(self) -> tuple[float, float]:
        """Cosines between which the threshold of every likely subset lies."""
        n = len(self.matching)
        if n <= self.ALL_PAIRS:
            return -np.inf, np.inf
        rate = self.false_rejects()
        place, reach = round(rate * n), int(self.REACH * np.sqrt(n * rate * (1 - rate))) + 10
        ordered = np.sort(self.matching)
        low = ordered[place - reach] if place > reach else -np.inf
        high = ordered[place + reach] if place + reach < n else np.inf
        return float(low), float(high)

    def __call__(self, rows: Rows) -> float:
        """The equal error rate among the identities of `rows`."""
        matching, accepted = self.matching[rows], self.pairs.accepted(rows)
        false_accepts, true_accepts = _corners(
            matching, accepted[self.above[rows]], accepted[self.reached[rows]]
        )
        # Outside the window no false accepts are counted, so that part of the curve is not known.
        inside = np.tile((matching - TIE_TOLERANCE > self.low) & (matching + TIE_TOLERANCE < self.high), 2)
        ends = self.high == np.inf, self.low == -np.inf
        curve = _rates(false_accepts[inside], true_accepts[inside], len(rows), *ends)
        return self.of_curve(*curve) if self.is_on(*curve) else self.anew(self.left[rows], self.right[rows])

    def false_rejects(self) -> float:
        """The false reject rate at the threshold of all identities."""
        raise NotImplementedError

    def is_on(self, false_accepts: Matrix, true_accepts: Matrix) -> bool:
        """Whether the part of a curve that is known holds the rate."""
        raise NotImplementedError

    def of_curve(self, false_accepts: Matrix, true_accepts: Matrix) -> float:
        """The rate, from the corners of a curve that holds it."""
        raise NotImplementedError

    def anew(self, left: Matrix, right: Matrix) -> float:
        """The rate, from the embeddings."""
        raise NotImplementedError


class EqualErrorRates(_RatesOfSubsets):
    """`equal_error_rate` of subsets; see `_RatesOfSubsets`."""

    def false_rejects(self) -> float:
        """The equal error rate itself."""
        return equal_error_rate(self.left, self.right)

    def is_on(self, false_accepts: Matrix, true_accepts: Matrix) -> bool:
        """Whether both rates together pass 1."""
        along = false_accepts + true_accepts
        return bool(along.size and along.min() <= 1 <= along.max())

    def of_curve(self, false_accepts: Matrix, true_accepts: Matrix) -> float:
        """Where both errors are equal."""
        return _crossing(false_accepts, true_accepts)

    def anew(self, left: Matrix, right: Matrix) -> float:
        """`equal_error_rate`."""
        return equal_error_rate(left, right)


class TrueAcceptRates(_RatesOfSubsets):
    """`true_accept_rate` of subsets at one false accept rate; see `_RatesOfSubsets`."""

    def __init__(self, probes: ArrayLike | Any, gallery: ArrayLike | Any, at: float) -> None:
        self.at = at
        super().__init__(probes, gallery)

    def false_rejects(self) -> float:
        """One less the true accept rate."""
        return 1 - true_accept_rate(self.left, self.right, self.at)

    def is_on(self, false_accepts: Matrix, true_accepts: Matrix) -> bool:
        """Whether there are corners to both sides of the false accept rate."""
        return bool(false_accepts.size and false_accepts.min() <= self.at < false_accepts.max())

    def of_curve(self, false_accepts: Matrix, true_accepts: Matrix) -> float:
        """The curve's height there."""
        return _height(false_accepts, true_accepts, self.at)

    def anew(self, left: Matrix, right: Matrix) -> float:
        """`true_accept_rate`."""
        return true_accept_rate(left, right, self.at)


class _PairsInWindow:
    """The non-matching pairs whose cosine lies between `low` and `high`, highest first, and those above them as bits.

    With both ends near a threshold that is about N^1.5 of the N (N - 1) pairs.
    """

    def __init__(self, left: Matrix, right: Matrix, low: float, high: float) -> None:
        n, found = len(left), []
        self.above_window = np.zeros((n, -(-n // 8)), np.uint8)  # a bit a pair
        for rows, columns, block in closeness_blocks(left, right, "cosine"):
            row, column = np.nonzero((block > low) & (block < high))
            places = (row + rows.start).astype(np.int32), (column + columns.start).astype(np.int32)
            found.append((block[row, column], *places))
            bits = np.packbits(block >= high, axis=1)
            # Blocks begin at whole bytes.
            self.above_window[rows, columns.start // 8 :][:, : bits.shape[1]] = bits
        cosines, probes, others = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(cosines)[::-1]
        self.probes, self.others = probes[order], others[order]
        self._rising = cosines[order[::-1]]

    def count(self, thresholds: Matrix, side: Literal["left", "right"]) -> Rows:
        """How many pairs of the window lie above each threshold; "left": or level with it."""
        return len(self._rising) - np.searchsorted(self._rising, thresholds, side)

    def accepted(self, rows: Rows) -> Rows:
        """How many pairs among the identities of `rows` are accepted with the t highest of the window, t = 0, 1, ..."""
        member = np.zeros(len(self.above_window), bool)
        member[rows] = True
        within = np.concatenate([[0], np.cumsum(member[self.probes] & member[self.others])])
        above = np.bitwise_count(self.above_window[rows] & np.packbits(member)).sum(dtype=np.int64)
        return within + above


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
        lost = matching_below(ordered, block)
        as_pair[rows] += lost.sum(axis=1)
        as_pair[columns] += lost.sum(axis=0)
        as_threshold[rows] += lost_to(block, matching[rows, None]).sum(axis=1)
        as_threshold[columns] += lost_to(block, matching[columns]).sum(axis=0)
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


def matching_below(ordered: Matrix, block: Matrix) -> Matrix:
    """How many matching pairs each non-matching value beats, ties counting half; 0 where i == j (-inf)."""
    beaten = np.searchsorted(ordered + TIE_TOLERANCE, block, "left")
    reached = np.searchsorted(ordered - TIE_TOLERANCE, block, "right")
    return (beaten + reached) / 2


def lost_to(block: Matrix, threshold: Matrix) -> Matrix:
    """1 where the block's value beats the threshold, half where they are tied."""
    return ((block > threshold + TIE_TOLERANCE) + (block >= threshold - TIE_TOLERANCE).astype(np.float64)) / 2


@dataclass(frozen=True)
class VerificationAUC(SuiteMetric):
    """Area under the ROC curve of matching against non-matching pairs by cosine.

    Range: 0..1; chance .5, knowing only the gender about .75.
    Direction: higher is better.
    Computed by: `verification.verification_auc`.
    Pitfall: half of all strangers are of the other gender, so that gender alone reaches about .75.
    """

    name = "verification-auc"
    min_n = 3
    card = MetricCard(
        "verification-auc",
        "verification",
        heading="verification AUC",
        bounds=UNIT,
        chance=0.5,
        margin=Margin(0.03, "an eighth of what knowing the gender adds to chance"),
        decides=("judge", "training-loss"),
        tables={"likeness": 8, "further": 1, "verification": 4},
        order={"likeness": 1, "further": 6, "verification": 0},
        plotted=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        pair = fake.embeddings, real.embeddings
        return pair_score(verification_auc(*pair), verification_auc_leave_one_out(*pair), UNIT)


@dataclass(frozen=True)
class VerificationEqualErrorRate(SuiteMetric):
    """Error rate of telling matching from non-matching pairs at the threshold where both kinds of error meet.

    Range: 0..1; guessing .5.
    Direction: lower is better.
    Computed by: `verification.EqualErrorRates`, `verification.equal_error_rate`.
    Pitfall: all N (N - 1) false pairs of all genders: published lists hold their own, often harder, pairs.
    """

    name = "verification-eer"
    higher_is_better = False
    min_n = 4  # half-samples of two
    card = MetricCard(
        "verification-eer",
        "verification",
        heading="verification EER",
        bounds=UNIT,
        chance=0.5,
        margin=Margin(0.03, "as the AUC"),
        tables={"verification": 3},
        order={"verification": 1},
        smooth=False,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs; 0..1, guessing .5; the interval is from half-samples of the identities."""
        n = len(real.identities)
        return sample_score(EqualErrorRates(fake.embeddings, real.embeddings), n, UNIT)


@dataclass(frozen=True)
class VerificationTrueAcceptRate(SuiteMetric):
    """Share of matching pairs accepted at the threshold that accepts 1 or 10 % of all non-matching ones.

    Range: 0..1; guessing gives the false accept rate.
    Direction: higher is better.
    Computed by: `verification.TrueAcceptRates`, `verification.true_accept_rate`.
    Pitfall: half of the non-matching pairs are of the other gender: at 1 % the threshold lies among the 2 % most
    similar pairs of one gender.
    """

    false_accepts: float
    min_n = 20  # of a half-sample's 90 false pairs, about one lies above the threshold at 1 %

    @property
    def name(self) -> str:
        """``verification-tar/far.01``."""
        return f"verification-tar/far{self.false_accepts:.2f}".replace("far0", "far")

    @property
    def card(self) -> MetricCard:
        """Beside the equal error rate."""
        return MetricCard(
            "verification-tar",
            "verification",
            {"far": self.false_accepts},
            heading=f"TAR at FAR {self.false_accepts:.0%}",
            bounds=UNIT,
            chance=self.false_accepts,
            margin=Margin(0.05, "as recall"),
            tables={"verification": 2},
            order={"verification": 2},
            smooth=False,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Over all pairs; the interval is from half-samples of the identities."""
        rates = TrueAcceptRates(fake.embeddings, real.embeddings, self.false_accepts)
        return sample_score(rates, len(real.identities), UNIT)
