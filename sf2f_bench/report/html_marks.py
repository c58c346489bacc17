"""Which systems' numbers differ from the reference system's, paired by identity and corrected for their number.

All training seeds of a system against all of the reference's, by the tests of `statistics.paired` without its
intervals: a page asks thousands of these questions, so the commonest of one seed, the sign flip, is one matrix product
over a table's metrics. `sf2f-bench compare` says more of two systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.report.words import MARKS_OF_ONE_SEED, MARKS_OF_SEEDS, ONE_AGAINST_ONE, SINGLE_SEED
from sf2f_bench.results.selection import Group, Row, label_of
from sf2f_bench.results.sides import Key, Side, other_identities, pair_of
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured, p_by_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Direction = Literal["better", "worse"]
FLIPS = 2000  # random exchanges of an identity's two values, as many as `statistics.intervals.paired_difference` draws
TIE = 1e-12  # relatively: sums of the same numbers in another order


@dataclass(frozen=True)
class Difference:
    """A metric of a system and of the reference, each in the mean over its seeds; q: after Benjamini and Hochberg."""

    value: float
    reference: float
    q: float

    def direction(self, higher_is_better: bool) -> Direction | None:
        """On which side of the reference the system stands; None where no difference is shown."""
        if self.q >= SIGNIFICANT or self.value == self.reference:
            return None
        return "better" if (self.value > self.reference) == higher_is_better else "worse"


class Systems:
    """Every system of a group with all its training seeds."""

    def __init__(self, group: Group) -> None:
        members: dict[tuple[str, str | None], list[Row]] = {}
        for row in group.rows:
            budget = row.record.budget if Side((row.record,)).seeds else None
            members.setdefault((row.record.system.label, budget), []).append(row)
        self._budgets = len({budget for _, budget in members if budget})
        self._sides: dict[int, Side] = {}
        for rows in members.values():
            side = Side(tuple(sorted((row.record for row in rows), key=lambda record: record.seed)))
            self._sides |= {id(row): side for row in rows}

    def of(self, row: Row) -> Side:
        """The system that the row belongs to."""
        return self._sides[id(row)]

    def name(self, side: Side) -> str:
        """As its rows are labelled, without the seed."""
        record = side.records[0]
        budget = f", budget {record.budget}" if side.seeds and self._budgets > 1 else ""
        return label_of(record) + budget


def differences(
    side: Side, reference: Side, keys: Sequence[tuple[Key | None, Key | None]]
) -> list[Difference | None]:
    """For each (the system's metric, the reference's) how they differ; q is over all of them.

    None where the two do not pair: a seed lacks the number, the identities differ, or the records keep only the value.
    """
    if not _can_pair(side, reference):
        return [None] * len(keys)
    pairs = [_pair(side, reference, *both) for both in keys]
    p = iter(p_values([pair for pair in pairs if pair], len(side.values[0])))
    drawn = [None if pair is None else next(p) for pair in pairs]
    known = [value for value in drawn if value is not None]
    q = iter(stats.false_discovery_control(known) if known else ())
    return [None if pair is None else _difference(*pair, float(next(q))) for pair in pairs]


def p_values(pairs: Sequence[tuple[Measured, Measured]], n: int) -> list[float]:
    """Two-sided p of each pair, of at most n identities, as `sf2f_bench.statistics.paired.compare_scores` has it."""
    p: list[float | None] = []
    means: dict[int, Array] = {}
    for place, (one, other) in enumerate(pairs):
        p.append(p_by_errors(one, other))
        if p[place] is None and one.basis == "mean":
            means[place] = one.parts[0] - other.parts[0]
        elif p[place] is None:
            p[place] = by_medians(one.parts[0], other.parts[0])
    flipped = dict(zip(means, sign_flip(list(means.values()), n), strict=True))
    return [flipped[place] if value is None else value for place, value in enumerate(p)]


def seeds_in_words(side: Side, reference: Side) -> str:
    """``2 seeds against 2``; where one model alone stands on each side, what the test speaks of."""
    mine, theirs = len(side.seeds), len(reference.seeds)
    if max(mine, theirs) == 1:
        return "these two trained models alone" if mine else "that trained model alone"
    if not mine:
        return f"the mean of {theirs} seeds"
    return f"{mine} seed{'s' if mine > 1 else ''} against {theirs}"


def what_marks_say(others: Sequence[Side], reference: Side) -> str:
    """How many training seeds stand on each side, and what marks can say therefore."""
    theirs, counts = len(reference.seeds), sorted({len(side.seeds) for side in others if side.seeds})
    if max(theirs, *counts, 1) == 1:
        return MARKS_OF_ONE_SEED
    here = f" ({' or '.join(map(str, counts))} here)" if counts else ""
    words = [MARKS_OF_SEEDS.format(others=here, reference=theirs)]
    if 1 in (theirs, *counts):
        words.append(SINGLE_SEED)
    if theirs == 1 and 1 in counts:
        words.append(ONE_AGAINST_ONE)
    return " ".join(words)


def _can_pair(side: Side, reference: Side) -> bool:
    records = (*side.records, *reference.records)
    saved = all(record.path_of("per_identity") is not None for record in records)
    return saved and other_identities(side, reference) is None


def _pair(
    side: Side, reference: Side, left: Key | None, right: Key | None
) -> tuple[Measured, Measured] | None:
    if left is None or right is None or left not in side.scores or right not in reference.scores:
        return None
    pair = pair_of(side, reference, left, right)
    return None if isinstance(pair, str) else pair


def _difference(one: Measured, other: Measured, q: float) -> Difference:
    return Difference(float(one.values.mean()), float(other.values.mean()), q)


def sign_flip(differences: Sequence[Array], n: int) -> list[float]:
    """Two-sided p of each mean difference: is it unusual among those with the signs of ``[<= n]`` drawn at random?"""
    if not differences:
        return []
    table = np.zeros((n, len(differences)))  # who has no value takes no part in a sum
    for column, values in zip(table.T, differences, strict=True):
        column[: len(values)] = values
    slack = TIE * np.abs(table).sum(axis=0)
    drawn = np.abs(_signs(n) @ table)  # [FLIPS, metrics]
    as_far = (drawn >= np.abs(table.sum(axis=0)) - slack).sum(axis=0)
    return [float(p) for p in (1 + as_far) / (FLIPS + 1)]


@lru_cache(maxsize=4)
def _signs(n: int) -> Array:
    """``[FLIPS, n]`` of -1 and 1, the same for every pair of systems."""
    return np.random.default_rng(seed_of("sign flips", n)).choice([-1.0, 1.0], size=(FLIPS, n))


def by_medians(a: Array, b: Array) -> float:
    """Two-sided p of the difference of medians ``[N]``, each identity's two values exchanged at random."""
    left, right = a.astype(np.float32), b.astype(np.float32)  # sorted three times as fast
    swapped = _signs(len(a)) < 0
    drawn = _medians(np.where(swapped, right, left)) - _medians(np.where(swapped, left, right))
    observed = _medians(left[None]) - _medians(right[None])
    return float((1 + (np.abs(drawn) >= np.abs(observed)).sum()) / (FLIPS + 1))


def _medians(rows: NDArray[np.float32]) -> NDArray[np.floating]:
    """Of ``[R, N]``, ``[R]``: `np.median` without its care for NaN."""
    n = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / np.float32(2)
