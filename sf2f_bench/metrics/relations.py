"""What the metrics of one row by one extractor have to do with each other: several are functions of the same ranks.

Whoever edits one of them must edit all, or is contradicted. Numbers of one quantity alone contradict nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.metrics.arrays import Matrix
from sf2f_bench.metrics.retrieval import expected_recall, reciprocal_ranks
from sf2f_bench.types import BenchError, MetricCard

if TYPE_CHECKING:
    from sf2f_bench.metrics.retrieval import Counts

TOLERANCE = 1e-6  # of a value of one identity, absolute
GROWS_WITH = {
    "k": 1,
    "gallery": -1,
    "distractors": -1,
    "best of": 1,
}  # a share of hits: with more of it higher, or lower
SHARES_OF_HITS = ("recall", "matching")
AT_MOST_N = ("median-rank", "effective-faces")


@dataclass(frozen=True, eq=False)
class Stated:
    """A metric's value with its values of the identities ``[N]``, NaN where one does not take part; None: not kept."""

    name: str
    card: MetricCard
    value: float
    n: int
    per_identity: Matrix | None = None

    def without(self, word: str) -> dict[str, object]:
        """The parameters but one."""
        return {key: value for key, value in self.card.parameters.items() if key != word}


def contradictions(stated: Iterable[Stated]) -> Iterator[str]:
    """Each contradiction between metrics of one row by one extractor, in words."""
    every = list(stated)
    yield from _impossible(every)
    yield from _curves(every)
    kept = [one for one in every if one.per_identity is not None]
    yield from _out_of_order(kept)
    yield from _unlike_ranks(kept)


def _impossible(every: list[Stated]) -> Iterator[str]:
    """Beyond what so many identities can give."""
    for one in every:
        parts = one.card.parameters.get("parts")
        most: float | None = one.n if one.card.quantity in AT_MOST_N else None
        if (
            one.card.quantity == "mutual-information"
            and isinstance(parts, int)
            and "deviation" not in one.card.parameters
        ):
            most = -(-one.n // parts)
        if most is not None and one.value > most * (1 + TOLERANCE):
            yield f"{one.name}: {one.value:g} is more than {one.n} identities can give, {most:g}"


def _curves(every: list[Stated]) -> Iterator[str]:
    """An equal error rate e confines the area under the same rising curve to (1 - e)^2 .. 1 - e^2."""
    for area in (one for one in every if one.card.quantity == "verification-auc"):
        for error in (one for one in every if one.card.quantity == "verification-eer"):
            if error.card.parameters != area.card.parameters or not 0 <= error.value <= 1:
                continue
            low, high = (1 - error.value) ** 2, 1 - error.value**2
            if not low - TOLERANCE <= area.value <= high + TOLERANCE:
                yield (
                    f"{area.name}: {area.value:g} does not go with {error.name} = {error.value:g}, which allows "
                    f"{low:.3g} to {high:.3g}"
                )


def _out_of_order(kept: list[Stated]) -> Iterator[str]:
    """Of each identity recall@1 <= recall@5, and the right answer is rarer among more."""
    for (word, sign), quantity in ((rule, name) for rule in GROWS_WITH.items() for name in SHARES_OF_HITS):
        found = [
            one
            for one in kept
            if one.card.quantity == quantity and isinstance(one.card.parameters.get(word), int)
        ]
        for one, other in combinations(found, 2):
            if one.without(word) == other.without(word):
                small, large = sorted((one, other), key=lambda it: sign * int(it.card.parameters[word]))
                if _is_above(small.per_identity, large.per_identity):
                    yield f"{small.name}: higher than {large.name} for some identity, which cannot be"


def _is_above(small: Matrix | None, large: Matrix | None) -> bool:
    assert small is not None
    assert large is not None
    return len(small) == len(large) and bool(np.any(small > large + TOLERANCE))  # never where one is NaN


# ---------------------------------------------------------------- ranks


def _unlike_ranks(kept: list[Stated]) -> Iterator[str]:
    """Recall and matching among all others, recomputed from the ranks that the median rank and the MRR keep."""
    in_full = {one.card.quantity: one for one in kept if one.card.parameters == {"gallery": "full"}}
    ranks, reciprocal = in_full.get("median-rank"), in_full.get("mean-reciprocal-rank")
    if ranks is None or reciprocal is None:
        return
    counts = _counts(ranks.per_identity, reciprocal.per_identity)
    if counts is None:
        yield f"{reciprocal.name}: does not follow from the ranks of {ranks.name}"
        return
    for one in kept:
        expected = _expected(one.card.parameters, one.card.quantity, *counts)
        if expected is None or one.per_identity is None or len(expected) != len(one.per_identity):
            continue
        if not np.allclose(one.per_identity, expected, 0, TOLERANCE):  # NaN is unlike
            yield f"{one.name}: does not follow from the ranks of {ranks.name}"


def _counts(ranks: Matrix | None, reciprocal: Matrix | None) -> tuple[Counts, Counts] | None:
    """(others ahead, others tied) of each identity; None where none give both its rank and its reciprocal."""
    if ranks is None or reciprocal is None or ranks.shape != reciprocal.shape:
        return None
    n = len(ranks)
    if not (
        np.isfinite(ranks).all()
        and np.isfinite(reciprocal).all()
        and (ranks >= 1).all()
        and (ranks <= n).all()
    ):
        return None
    pairs, place = np.unique(np.stack([ranks, reciprocal], axis=1), axis=0, return_inverse=True)
    found = [_count(rank, inverse, n) for rank, inverse in pairs]
    if None in found:
        return None
    ahead, tied = np.array(found, np.int64)[place.ravel()].T
    return ahead, tied


def _count(rank: float, reciprocal: float, n: int) -> tuple[int, int] | None:
    """rank = 1 + ahead + tied / 2, and the mean of 1 / place over the tied places grows with their number."""
    tied = np.arange(round(2 * (rank - 1)) % 2, min(2 * (rank - 1), 2 * (n - rank)) + 1, 2).astype(np.int64)
    ahead = np.round(rank - 1 - tied / 2).astype(np.int64)
    fits = np.abs(1 + ahead + tied / 2 - rank) < TOLERANCE
    if not fits.any():
        return None
    ahead, tied = ahead[fits], tied[fits]
    distance = np.abs(reciprocal_ranks(ahead, tied) - reciprocal)
    best = int(distance.argmin())
    return (int(ahead[best]), int(tied[best])) if distance[best] < TOLERANCE else None


def _expected(
    parameters: Mapping[str, str | int | float], quantity: str, ahead: Counts, tied: Counts
) -> Matrix | None:
    """What a metric has for each identity with these ranks; None for one that other things decide."""
    n, words = len(ahead), set(parameters)
    try:
        if quantity == "recall" and words == {"k", "gallery"}:
            size = None if parameters["gallery"] == "full" else int(parameters["gallery"])
            return expected_recall(ahead, tied, n, size, int(parameters["k"]))
        if quantity == "matching" and words == {"distractors"}:
            return expected_recall(ahead, tied, n, int(parameters["distractors"]) + 1, 1)
    except (BenchError, ValueError):
        return None
    return None
