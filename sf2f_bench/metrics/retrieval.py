"""Retrieval: how early the right identity comes when the gallery is sorted by similarity.

Probe i (a generated face) searches a gallery whose row i is the right answer. Ties share their places: every
number is the expectation over a random order among the tied. A system that cannot tell anybody apart is
therefore at chance exactly, without simulation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import stats

from sf2f_bench.metrics.arrays import Matrix, slices
from sf2f_bench.metrics.closeness import (
    GALLERY_BLOCK,
    PROBE_BLOCK,
    TIE_TOLERANCE,
    answers,
    closeness_blocks,
    prepared,
    without_answers,
)
from sf2f_bench.metrics.common import (
    SIGNED_UNIT,
    UNIT,
    SuiteMetric,
    both_roles_score,
    everybody_and_halves,
    pair_score,
)
from sf2f_bench.metrics.similarity import cosine_similarity
from sf2f_bench.statistics.intervals import half_sample_interval, half_samples
from sf2f_bench.types import BenchError, Features, Margin, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Counts = NDArray[np.int64]
    Bits = NDArray[np.uint8]
    Blocks = Iterator[tuple[slice, slice, NDArray[np.bool_], NDArray[np.bool_]]]

Similarity = Literal["cosine", "l1"]

# Share of a block's pairs; beyond it the whole block again is faster than pair by pair.
UNSURE_AT_MOST = 1 / 512
FEWEST_FOR_MEDIAN = 6
SHOWN_KS = (1, 5)  # of recall@k, in tables beside the headline's
RECALL_MARGIN = Margin(0.05, "half of what knowing the gender adds to chance at k = 10 of 100")


@dataclass(frozen=True, eq=False)
class Ranking:
    """Who comes before whose right answer: what retrieval metrics and their intervals are made of.

    better, ties ``[N]``: see `ranks`. ahead, reached: for each probe the gallery rows that come before its right
    answer, and those that do or are tied with it, as bits ``[N, N / 8]`` of `numpy.packbits`; never the answer itself.
    """

    better: Counts
    ties: Counts
    ahead: Bits
    reached: Bits

    def of_rivals(self, ahead: Matrix, tied: Matrix) -> Matrix:
        """Per gallery row ``[N]``: the sum of `ahead` ``[N]`` over the probes whose answer it comes before, and of
        `tied` ``[N]`` over those with whose answer it is tied."""
        total = np.zeros(len(self.better))
        has_ties = bool(self.ties.any())
        for rows in slices(len(total), PROBE_BLOCK):
            total += (ahead - tied if has_ties else ahead)[rows] @ self._bits(self.ahead, rows)
            if has_ties:
                total += tied[rows] @ self._bits(self.reached, rows)
        return total

    def within(self, members: NDArray[np.bool_]) -> tuple[Counts, Counts]:
        """better and ties of every probe among the identities of each set: bool ``[S, N]`` -> ``[S, N]`` twice."""
        found = np.empty((2, *members.shape), np.int64)
        chosen = members.T.astype(np.float32)  # exact up to 2^24 identities
        for rows in slices(len(self.better), PROBE_BLOCK):
            for counts, bits in zip(found, (self.ahead, self.reached), strict=True):
                counts[:, rows] = (self._bits(bits, rows).astype(np.float32) @ chosen).T
        return found[0], found[1] - found[0]

    def standing(self, rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which gallery rows come before the answers of these probes, and which are tied with them: ``[rows, N]``."""
        ahead, reached = (self._bits(bits, rows).astype(bool) for bits in (self.ahead, self.reached))
        return ahead, reached & ~ahead

    def _bits(self, bits: Bits, rows: slice) -> Bits:
        return np.unpackbits(bits[rows], axis=1, count=len(self.better))


def ranks(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, similarity: Similarity = "cosine"
) -> tuple[Counts, Counts]:
    """How many other gallery rows come before the right one, and how many are tied with it.

    probes, gallery: ``[N, D]``, row i's answer is row i. Returns ``better [N]``, ``ties [N]`` (int64): the
    right answer's rank is uniform on better + 1 .. better + 1 + ties. "cosine": higher is nearer, tied
    within 1e-12; "l1": sum of absolute differences, smaller is nearer, tied within 1e-12 of the distance.
    Memory is O(N D), a bit for each pair, and a fixed block. Raises BenchError for empty, NaN or unlike inputs.
    """
    found = ranking(probes, gallery, similarity)
    return found.better, found.ties


def ranking(probes: ArrayLike | Any, gallery: ArrayLike | Any, similarity: Similarity = "cosine") -> Ranking:
    """How many other gallery rows come before the right one and are tied with it, as `ranks`, and which they are."""
    left, right = prepared(probes, gallery, similarity)
    answer = answers(left, right, similarity)
    margin = TIE_TOLERANCE * (np.abs(answer) if similarity == "l1" else 1.0)
    above, reach = answer + margin, answer - margin
    n = len(left)
    ahead, reached = np.zeros((2, n, -(-n // 8)), np.uint8)
    blocks = _beaten_by_cosine if similarity == "cosine" else _beaten_by_distance
    for rows, columns, is_above, reaches in blocks(left, right, above, reach):
        for bits, block in ((ahead, is_above), (reached, reaches)):
            packed = np.packbits(block, axis=1)
            # Blocks begin at whole bytes.
            bits[rows, columns.start // 8 :][:, : packed.shape[1]] = packed
    better = np.bitwise_count(ahead).sum(axis=1, dtype=np.int64)
    return Ranking(better, np.bitwise_count(reached).sum(axis=1, dtype=np.int64) - better, ahead, reached)


def _beaten_by_distance(left: Matrix, right: Matrix, above: Matrix, reach: Matrix) -> Blocks:
    """Per block of pairs i != j: rows and columns, and which pairs are above, and reach, their row's threshold."""
    for rows, columns, block in closeness_blocks(left, right, "l1"):
        yield rows, columns, block > above[rows, None], block >= reach[rows, None]


def _beaten_by_cosine(left: Matrix, right: Matrix, above: Matrix, reach: Matrix) -> Blocks:
    """As `_beaten_by_distance`, for unit rows: single precision settles nearly all pairs at half the time.

    What lies nearer to a threshold than the rounding error can be is computed again in double precision.
    """
    # Of a sum of D products with rounded factors, whose magnitudes sum to 1 at most, and of the threshold:
    # Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1.
    error = (left.shape[1] + 8) * 2.0**-24
    surely_above, perhaps_reach = (above + error).astype(np.float32), (reach - error).astype(np.float32)
    rough_right = right.astype(np.float32)
    for rows in slices(len(left), PROBE_BLOCK):
        rough_left = left[rows].astype(np.float32)
        for columns in slices(len(right), GALLERY_BLOCK):
            rough = without_answers(rough_left @ rough_right[columns].T, rows, columns)
            is_above = rough > surely_above[rows][:, None]
            perhaps = (rough >= perhaps_reach[rows][:, None]) ^ is_above
            if np.count_nonzero(perhaps) > int(perhaps.size * UNSURE_AT_MOST):
                block = without_answers(left[rows] @ right[columns].T, rows, columns)
                yield rows, columns, block > above[rows, None], block >= reach[rows, None]
                continue
            row, column = np.divmod(np.flatnonzero(perhaps), perhaps.shape[1])
            cosine = np.einsum("nd,nd->n", left[rows][row], right[columns][column])
            reaches = is_above.copy()
            is_above[row, column] = cosine > above[rows][row]
            reaches[row, column] = cosine >= reach[rows][row]
            yield rows, columns, is_above, reaches


def recall_at_k(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, ks: Sequence[int], similarity: Similarity = "cosine"
) -> dict[int, float]:
    """Fraction of probes whose right answer is among the k nearest gallery rows, for each k.

    probes, gallery: ``[N, D]``, row i's answer is row i. Values in 0..1, chance is k / N; ties by
    expectation. Raises BenchError where k is not in 1..N and for inputs that `ranks` refuses.
    Source: Recall@K of "Speech Fusion to Face" (arXiv 2006.05888), with a gallery of N.
    """
    better, ties = ranks(probes, gallery, similarity)
    n = len(better)
    return {k: float(expected_recall(better, ties, n, None, k).mean()) for k in ks}


def expected_recall(better: ArrayLike, ties: ArrayLike, n: int, gallery_size: int | None, k: int) -> Matrix:
    """Each probe's recall@k, expected over ALL galleries of `gallery_size` that hold its right answer.

    better, ties: ``[N]`` of `ranks`, within `n` gallery rows. A gallery is the right answer and
    gallery_size - 1 of the n - 1 others, all choices alike; None (or n) is the full gallery. Returns
    ``[N]`` in 0..1, free of the luck of drawing one gallery.

    Raises BenchError where k or gallery_size do not fit.

    Formula: with u others ahead of the answer P(X < k), X hypergeometric (gallery_size - 1 draws from n - 1 with u
    marked); with ties the mean over u = better, ..., better + ties.
    Source: Recall@K of "Speech Fusion to Face" (arXiv 2006.05888), over all galleries in place of three.
    """
    size = n if gallery_size is None else gallery_size
    if not 1 <= size <= n:
        raise BenchError(f"a gallery of {size} cannot be drawn from {n} identities: choose 1 to {n}.")
    check_k(k, size)
    return np.clip(_over_ties(_recall_by_number_ahead(n, size, k), *_counts(better, ties, n)), 0.0, 1.0)


def _over_ties(by_number_ahead: Matrix, ahead: Counts, tied: Counts) -> Matrix:
    """Mean of ``by_number_ahead[u]`` over u = ahead .. ahead + tied, for each probe."""
    area = np.concatenate([[0.0], np.cumsum(by_number_ahead)])
    return np.asarray((area[ahead + tied + 1] - area[ahead]) / (tied + 1))


def recall_pseudo_values(order: Ranking, gallery_size: int | None, k: int) -> Matrix:
    """Jackknife pseudo-values ``[N]`` of the mean of `expected_recall`, each identity left out of probes AND gallery.

    An identity is a probe, and a rival of every other probe. Their mean is the value. In galleries smaller than N
    they are exact: ``N theta - (N - 1) theta_(-j)`` with theta_(-j) the value among the others. Recall in the full
    gallery is a step of the rank, of which leaving out one identity sees only the next rank, so what rivals move is
    noisy there. It is computed for the step and for recall@k/2 in galleries of half the identities, which falls at the
    same rank, less steeply; the one that varies less is taken, for noise only adds. The step is exact where one face
    for all makes recall a constant.
    """
    n = len(order.better)
    if gallery_size is not None and gallery_size < n:
        whole, without = (_recall_by_number_ahead(size, gallery_size, k) for size in (n, n - 1))
        return _pseudo_values(order, whole, without)
    half, step = n // 2, _recall_by_number_ahead(n, n, k)
    spread = _recall_by_number_ahead(n, half, min((k + 1) // 2, half))
    return min((_pseudo_values(order, step, falls, falls) for falls in (step, spread)), key=np.var)


def _pseudo_values(order: Ranking, whole: Matrix, without: Matrix, instead: Matrix | None = None) -> Matrix:
    """Of a mean over probes of a function of the number ahead: ``[n]`` among all, ``[n - 1]`` without one identity.

    instead: the function among all from which to `without` a rival makes the step; None: `whole`.
    """
    values = _over_ties(whole, order.better, order.ties)
    with_rivals, ahead, tied = _without_another(order, without, instead)
    own = with_rivals if instead is None else values
    raw = own - order.of_rivals(ahead - with_rivals, tied - with_rivals)
    return np.asarray(raw + (values.mean() - raw.mean()))


def _without_another(
    order: Ranking, without: Matrix, instead: Matrix | None
) -> tuple[Matrix, Matrix, Matrix]:
    """Each probe's value ``[N]`` without another identity: one behind its right answer, one ahead of it, one tied.

    without, instead: as of `_pseudo_values`.
    """
    better, ties = order.better, order.ties
    last = len(without) - 1  # of probes behind all others, nobody is left out who was not ahead or tied
    if instead is None:
        behind = _over_ties(
            without, np.minimum(better, last - np.minimum(ties, last)), np.minimum(ties, last)
        )
    else:
        behind = _over_ties(instead, better, ties)
    one_fewer = np.maximum(better - 1, 0), np.maximum(ties - 1, 0)
    ahead = _over_ties(without, one_fewer[0], np.minimum(ties, last))
    return behind, ahead, _over_ties(without, np.minimum(better, last), one_fewer[1])


def best_of_pseudo_values(orders: Sequence[Ranking], gallery_size: int | None, k: int) -> Matrix:
    """As `recall_pseudo_values`, of the mean over probes of the largest `expected_recall` of several draws.

    orders: of each draw's faces among the same gallery. An identity is left out as a probe with all its draws, and as
    a rival of every draw of everybody else, in O(draws N^2).
    """
    n = len(orders[0].better)
    if gallery_size is not None and gallery_size < n:
        whole, without = (_recall_by_number_ahead(size, gallery_size, k) for size in (n, n - 1))
        return _best_pseudo_values(orders, whole, without)
    half, step = n // 2, _recall_by_number_ahead(n, n, k)
    spread = _recall_by_number_ahead(n, half, min((k + 1) // 2, half))
    return min((_best_pseudo_values(orders, step, falls, falls) for falls in (step, spread)), key=np.var)


def _best_pseudo_values(
    orders: Sequence[Ranking], whole: Matrix, without: Matrix, instead: Matrix | None = None
) -> Matrix:
    """As `_pseudo_values`, of the largest of the draws' values."""
    values = np.max([_over_ties(whole, order.better, order.ties) for order in orders], axis=0)
    draws = [_without_another(order, without, instead) for order in orders]
    with_rivals = np.max([behind for behind, _, _ in draws], axis=0)
    gained = np.zeros(len(values))
    for rows in slices(len(values), PROBE_BLOCK):
        largest = np.full((len(values[rows]), len(values)), -np.inf)
        for order, (behind, ahead, tied) in zip(orders, draws, strict=True):
            is_ahead, is_tied = order.standing(rows)
            found = np.where(is_ahead, ahead[rows, None], behind[rows, None])
            if order.ties.any():
                found = np.where(is_tied, tied[rows, None], found)
            np.maximum(largest, found, out=largest)
        gained += largest.sum(axis=0) - with_rivals[rows].sum()
    raw = (with_rivals if instead is None else values) - gained
    return np.asarray(raw + (values.mean() - raw.mean()))


def chance_of_best(n: int, gallery_size: int | None, k: int, draws: int) -> float:
    """Recall@k of the best of several draws whose ranks among n identities are independent and random.

    Formula: sum over u = 0 .. n - 1 of ``f(u) (((n - u) / n)^K - ((n - u - 1) / n)^K)``, the expectation of
    ``max_d f(u_d)`` for K draws with uniform numbers u of others ahead, because f, the expected recall, never rises
    with u; for one draw k / gallery size.
    """
    if draws < 1:
        raise BenchError(f"the best of {draws} draws is not defined: choose 1 or more.")
    falls = _recall_by_number_ahead(n, n if gallery_size is None else gallery_size, k)
    at_least = (
        (n - np.arange(n + 1)) / n
    ) ** draws  # chance that so many others or more are ahead in every draw
    return float(np.clip(falls @ (at_least[:-1] - at_least[1:]), 0.0, 1.0))


def less_others(recalls: Any, n: int, gallery_size: int, k: int) -> Any:
    """Recalls of the right identities less what the same faces are expected to reach for the n - 1 others.

    Formula: r - (n k / g - r) / (n - 1), r the recall, g the gallery's size, n identities.
    """
    return (recalls - k / gallery_size) * n / (n - 1)


def check_k(k: int, gallery_size: int) -> None:
    """Raise BenchError for a k that a gallery of this size cannot give."""
    if not 1 <= k <= gallery_size:
        raise BenchError(
            f"a gallery of {gallery_size} cannot give recall@{k}: choose k from 1 to {gallery_size}."
        )


def _recall_by_number_ahead(n: int, size: int, k: int) -> Matrix:
    """P(fewer than k of the u others ahead are drawn) ``[n]`` for u = 0 .. n - 1."""
    if size == n:
        return (np.arange(n) < k).astype(np.float64)
    if size == k:
        return np.ones(n)
    # The same as hypergeom.cdf(k - 1, n - 1, u, size - 1) for every u at once: fewer than k of the first u
    # are drawn exactly if the k-th drawn one has u or more before it, of which k - 1 are drawn.
    skipped = stats.nhypergeom.pmf(np.arange(n - size + 1), n - 1, n - size, k)
    tail = np.cumsum(skipped[::-1])[::-1]
    return np.concatenate([np.ones(k), tail[1:] / tail[0], np.zeros(n)])[:n]


def expected_ranks(better: ArrayLike, ties: ArrayLike) -> Matrix:
    """Rank of each right answer in the full gallery ``[N]``, 1 is best, ties by expectation.

    Formula: 1 + better + ties / 2.
    """
    ahead, tied = _counts(better, ties)
    return 1.0 + ahead + tied / 2


def reciprocal_ranks(better: ArrayLike, ties: ArrayLike) -> Matrix:
    """1 / rank of each right answer ``[N]`` in 0..1, the mean over the places that ties share.

    Their mean is the MRR.

    Formula: (H[better + ties + 1] - H[better]) / (ties + 1), H the harmonic numbers; 1 / rank without ties.
    """
    ahead, tied = _counts(better, ties)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, (ahead + tied).max() + 2))])
    return (harmonic[ahead + tied + 1] - harmonic[ahead]) / (tied + 1)


def identified_by_rank(better: ArrayLike, ties: ArrayLike, points: int = 100) -> tuple[Counts, Matrix]:
    """Ranks, about evenly spaced on a logarithm, and the share of probes found up to each: the CMC curve.

    better, ties: ``[N]`` of `ranks`. Each point is recall@k in the full gallery, k = 1 .. N.
    """
    n = len(np.asarray(better))
    places = np.unique(np.rint(np.geomspace(1, n, points)).astype(np.int64))
    return places, np.array([expected_recall(better, ties, n, None, int(k)).mean() for k in places])


def _counts(better: ArrayLike, ties: ArrayLike, n: int | None = None) -> tuple[Counts, Counts]:
    ahead, tied = np.asarray(better, dtype=np.int64), np.asarray(ties, dtype=np.int64)
    if ahead.shape != tied.shape or ahead.ndim != 1 or ahead.size == 0:
        raise BenchError(f"expected better [N] and ties [N], got {list(ahead.shape)} and {list(tied.shape)}.")
    if ahead.min() < 0 or tied.min() < 0 or (n is not None and (ahead + tied).max() >= n):
        raise BenchError(f"better and ties must count other gallery rows: 0 to n - 1 together, n = {n}.")
    return ahead, tied


def inter_identity_similarity(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> float:
    """Mean cosine over all pairs of unlike identities, probe i with gallery row j != i; -1..1.

    probes, gallery: ``[N, D]``, N >= 2. It says how alike the answers are whoever speaks: a system that generates
    one face for all has here what it has with the true identity. Computed from row sums, in O(N D).

    Formula: mean over i != j of ``x_i . y_j / (|x_i| |y_j|)``.
    """
    left, right = prepared(probes, gallery, "cosine", at_least=2)
    n = len(left)
    matching = np.einsum("nd,nd->", left, right)
    return float((left.sum(axis=0) @ right.sum(axis=0) - matching) / (n * (n - 1)))


def inter_identity_leave_one_out(probes: ArrayLike | Any, gallery: ArrayLike | Any) -> Matrix:
    """`inter_identity_similarity` without each identity in turn ``[N]``, N >= 3: for a jackknife."""
    left, right = prepared(probes, gallery, "cosine", at_least=3)
    n = len(left)
    own = np.einsum("nd,nd->n", left, right)
    probe_sum, gallery_sum = left.sum(axis=0), right.sum(axis=0)
    involved = left @ gallery_sum + right @ probe_sum - 2 * own
    unlike = probe_sum @ gallery_sum - own.sum()
    return (unlike - involved) / ((n - 1) * (n - 2))


@dataclass(frozen=True)
class Recall(SuiteMetric):
    """Recall@k, expected over all galleries of one size (None: all identities), ties by expectation.

    Range: 0..1; chance k / gallery size, knowing only the gender about twice that.
    Direction: higher is better.
    Computed by: `retrieval.ranking`, `retrieval.expected_recall`.
    Pitfall: gender alone doubles chance: read it beside the gender oracle and within the strata.
    """

    k: int
    gallery_size: int | None = None
    similarity: Similarity = "cosine"
    headline_k: int = 0  # the k of the verdicts, which has columns

    @property
    def name(self) -> str:
        """``recall@10/g100``, ``recall@10-l1/g100`` or ``recall@10/full``."""
        rule = "" if self.similarity == "cosine" else f"-{self.similarity}"
        return f"recall@{self.k}{rule}/{'full' if self.gallery_size is None else f'g{self.gallery_size}'}"

    @property
    def min_n(self) -> int:
        """As many identities as the gallery holds, or k for the full one."""
        return max(2, self.gallery_size or self.k)

    @property
    def card(self) -> MetricCard:
        """Columns by cosine: at a few k in galleries of one size, at the headline's k in the full one."""
        is_top, is_cosine = self.k == self.headline_k, self.similarity == "cosine"
        is_headline = is_top and is_cosine and self.gallery_size is not None
        tables, order = {}, {}
        if is_headline:
            tables = {"retrieval": 9, "training-loss": 9, "further": 0, "length": 14}
            order = {"retrieval": 0, "training-loss": 0, "further": 4, "length": 4}
        elif is_top and is_cosine:
            tables, order = {"retrieval": 8}, {"retrieval": 1}
        elif is_cosine and self.gallery_size and self.k in SHOWN_KS and self.k < self.headline_k:
            tables, order = {"retrieval": self.k}, {"retrieval": 0}
        parameters = {"k": self.k, "gallery": self.gallery_size or "full"}
        return MetricCard(
            "recall",
            "identity",
            parameters if is_cosine else {**parameters, "similarity": self.similarity},
            heading=self.name.replace("/", " "),
            bounds=UNIT,
            chance=min(1.0, self.k / self.gallery_size) if self.gallery_size else None,
            margin=RECALL_MARGIN,
            decides=("judge",) if is_headline else (),
            shown=("training-loss", "further") if is_headline else (),
            headline=is_headline,
            tables=tables,
            order=order,
            smooth=False,
            plotted=is_top and is_cosine,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a jackknife over both roles of an identity, probe and rival."""
        order = ranking_of(real, fake, self.similarity)
        values = expected_recall(order.better, order.ties, len(order.better), self.gallery_size, self.k)
        return both_roles_score(values, recall_pseudo_values(order, self.gallery_size, self.k))


@dataclass(frozen=True)
class Heard(Recall):
    """Recall@k less what the same faces are expected to reach for other people: what hearing the right voice gave.

    A face searches for each identity in turn; over all of them recall sums to n k / g, so no voices need be shuffled,
    and the result is the recall above chance k / g, times n / (n - 1).

    Range: -1..1; chance 0.
    Direction: higher is better.
    Computed by: `retrieval.less_others`.
    Source: this suite; the expectation over all derangements of who gets which face.
    Pitfall: gender counts as heard: read it beside the gender oracle.
    """

    @property
    def name(self) -> str:
        """``heard@10/g100``."""
        return super().name.replace("recall", "heard")

    @property
    def card(self) -> MetricCard:
        """A column beside the headline's."""
        card = super().card
        return replace(
            card,
            quantity="heard",
            heading=f"heard @{self.k} g{self.gallery_size}",
            bounds=SIGNED_UNIT,
            chance=0.0,
            decides=(),
            shown=(),
            headline=False,
            tables={"retrieval": 7},
            order={"retrieval": 0},
            plotted=False,
            heard_of=super().name,
        )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        recall, n = super()._score(real, fake, rng), len(real.identities)

        def less(values: Any) -> Any:
            return less_others(values, n, self.gallery_size or n, self.k)

        if recall.own is None or recall.per_identity is None:
            return Score(np.nan, 0)
        return both_roles_score(less(recall.own), less(recall.per_identity), SIGNED_UNIT)


@dataclass(frozen=True)
class MedianRank(SuiteMetric):
    """Median rank of the right identity in the full gallery, ties at their mean rank.

    Range: 1..n; chance (n + 1) / 2.
    Direction: lower is better.
    Computed by: `retrieval.ranking`, `retrieval.expected_ranks`.
    Source: the usual summary of ranks in cross-modal retrieval.
    Pitfall: it grows with the number of test identities: compare at equal n only.
    """

    name = "median-rank/full"
    higher_is_better = False
    card = MetricCard(
        "median-rank",
        "identity",
        {"gallery": "full"},
        heading="median rank",
        format="rank",
        bounds=(1.0, None),
        margin=Margin(0.1, "ranks grow with the gallery", relative=True),
        shown=("judge",),
        tables={"retrieval": 7},
        order={"retrieval": 2},
        smooth=False,
        plotted=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Median over identities; the interval is from half-samples, absent below six identities.

        In a half the ranks are among half as many: place p of h stands for place (p - 1/2) N / h + 1/2 of N.
        """
        order = ranking_of(real, fake, "cosine")
        n, own = len(order.better), expected_ranks(order.better, order.ties)
        value = float(np.median(own))
        if n < FEWEST_FOR_MEDIAN:
            return Score(value, n, None, own, "median")
        half, rows = n // 2, half_samples(n)
        better, ties = order.within(everybody_and_halves(n)[1:])
        ranks_in_half = np.take_along_axis(1.0 + better + ties / 2, rows, axis=1)
        replicates = (np.median(ranks_in_half, axis=1) - 0.5) * n / half + 0.5
        interval = half_sample_interval(value, replicates, n, (1.0, np.inf))
        return Score(value, n, interval, replicates=replicates, own=own)


@dataclass(frozen=True)
class MeanReciprocalRank(SuiteMetric):
    """Mean of 1 / rank in the full gallery, ties by expectation.

    Range: 0..1; chance (1 + 1/2 + ... + 1/n) / n.
    Direction: higher is better.
    Computed by: `retrieval.ranking`, `retrieval.reciprocal_ranks`.
    Source: Voorhees 1999 (TREC-8 question answering).
    Pitfall: the first ranks decide it, and it falls with the number of test identities: compare at equal n only.
    """

    name = "mrr/full"
    card = MetricCard(
        "mean-reciprocal-rank",
        "identity",
        {"gallery": "full"},
        heading="MRR",
        bounds=UNIT,
        margin=Margin(0.02, "as the mean average precision"),
        tables={"retrieval": 6},
        order={"retrieval": 3},
        smooth=False,
        plotted=True,
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        """Mean over identities; the interval is a jackknife over both roles of an identity, probe and rival."""
        order = ranking_of(real, fake, "cosine")
        inverse = 1 / np.arange(1, len(order.better) + 1)
        values = reciprocal_ranks(order.better, order.ties)
        return both_roles_score(values, _pseudo_values(order, inverse, inverse[:-1]))


@dataclass(frozen=True)
class InterIdentitySimilarity(SuiteMetric):
    """Mean cosine of a generated face to all OTHER identities, beside the cosine to the right one.

    Range: -1..1.
    Direction: lower is better.
    Computed by: `retrieval.inter_identity_similarity`.
    Source: this suite, as the measure to hold the cosine of SF2F's tables against.
    Pitfall: low alone is no merit, noise is unlike everybody: what counts is the distance to the cosine.
    """

    name = "inter-identity-similarity"
    higher_is_better = False
    needs = ("embeddings",)
    min_n = 3
    card = MetricCard(
        "inter-identity-similarity",
        "diversity",
        heading="cosine to others",
        bounds=SIGNED_UNIT,
        margin=Margin(0.03, "as the cosine"),
        tables={},
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        pair = fake.embeddings, real.embeddings
        return pair_score(inter_identity_similarity(*pair), inter_identity_leave_one_out(*pair), SIGNED_UNIT)


@dataclass(frozen=True)
class HeardCosine(SuiteMetric):
    """Mean cosine to the right identity less that to all others: what shuffling the voices takes from the cosine.

    Formula: mean over i of ``cos(x_i, y_i)``, less mean over i != j of ``cos(x_i, y_j)``.
    Range: -2..2; one face for everybody has 0.
    Direction: higher is better.
    Computed by: `similarity.cosine_similarity`, `retrieval.inter_identity_similarity`.
    Source: this suite; the expectation over all derangements of who gets which face.
    Pitfall: gender counts as heard.
    """

    name = "cosine-heard"
    needs = ("embeddings",)
    min_n = 3
    card = MetricCard(
        "cosine-heard",
        "identity",
        heading="cosine heard",
        bounds=(-2.0, 2.0),
        chance=0.0,
        margin=Margin(0.03, "as the cosine"),
        tables={"likeness": 3},
        order={"likeness": 0},
        heard_of="cosine",
    )

    def _score(self, real: Features, fake: Features, rng: np.random.Generator) -> Score:
        pair = fake.embeddings, real.embeddings
        own, n = cosine_similarity(*pair), len(real.identities)
        value = float(own.mean()) - inter_identity_similarity(*pair)
        without = (own.sum() - own) / (n - 1) - inter_identity_leave_one_out(*pair)
        return pair_score(value, without, (-2.0, 2.0))


@lru_cache(maxsize=2)  # cosine and L1 of the pair at hand: features are compared by identity, not by value
def ranking_of(real: Features, fake: Features, similarity: Similarity) -> Ranking:
    """`retrieval.ranking` of the generated faces among the true identities, once for all metrics that need it."""
    return ranking(fake.embeddings, real.embeddings, similarity)
