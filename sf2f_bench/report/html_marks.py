"""Which numbers of a row differ from the reference row's, paired by identity and corrected for their number.

The tests of `sf2f_bench.paired` for one training seed, without its intervals: a page asks thousands of these
questions, so the commonest, the sign flip, is one matrix product over a row's metrics. `sf2f-bench compare` says more
of two systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.records import RunRecord, ScoreRecord
from sf2f_bench.stats import half_sample_error

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Direction = Literal["better", "worse"]
SIGNIFICANT = 0.05
FLIPS = 2000  # random exchanges of an identity's two values, as many as `sf2f_bench.stats.paired_difference` draws
TIE = 1e-12  # relatively: sums of the same numbers in another order


class ValuesOf:
    """A record's values of identities and half-samples, each file read once and only where it is asked for."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self._frames: dict[str, pd.DataFrame | None] = {}

    @cached_property
    def identities(self) -> tuple[str, ...]:
        """Of the per-identity values, in their order."""
        frame = self._frame("mean")
        return () if frame is None else tuple(frame["identity"])

    def of(self, score: ScoreRecord) -> Array | None:
        """``[N]`` values of the identities or ``[R]`` of the half-samples; None where the record keeps none."""
        frame = self._frame(score.basis)
        column = f"{score.metric}|{score.extractor or 'none'}"
        return frame[column].to_numpy(np.float64) if frame is not None and column in frame else None

    def _frame(self, basis: str | None) -> pd.DataFrame | None:
        kind = "replicates" if basis == "replicates" else "per_identity"
        if kind not in self._frames:
            here = self.record.path_of(kind) is not None
            self._frames[kind] = getattr(self.record, kind)() if here else None
        return self._frames[kind]


def q_values(
    row: ValuesOf, reference: ValuesOf, pairs: Sequence[tuple[ScoreRecord | None, ScoreRecord | None]]
) -> list[float | None]:
    """For each (the row's score, the reference's) q after Benjamini and Hochberg over all of them.

    None where the two do not pair: a number is missing, the identities differ, or the record keeps only the value.
    """
    p: list[float | None] = [None] * len(pairs)
    if row.identities and row.identities == reference.identities:
        p = _p_values(row, reference, pairs)
    known = [value for value in p if value is not None]
    corrected = iter(stats.false_discovery_control(known) if known else ())
    return [None if value is None else float(next(corrected)) for value in p]


def direction(score: ScoreRecord, reference: ScoreRecord, q: float | None) -> Direction | None:
    """On which side of the reference a number stands; None where no difference is shown."""
    if q is None or q >= SIGNIFICANT or score.value == reference.value:
        return None
    return "better" if (score.value > reference.value) == score.higher_is_better else "worse"


def _p_values(
    row: ValuesOf, reference: ValuesOf, pairs: Sequence[tuple[ScoreRecord | None, ScoreRecord | None]]
) -> list[float | None]:
    p: list[float | None] = [None] * len(pairs)
    means: dict[int, Array] = {}
    for place, (score, other) in enumerate(pairs):
        if score is None or other is None or score.basis is None or score.basis != other.basis:
            continue
        mine, theirs = row.of(score), reference.of(other)
        if mine is None or theirs is None or mine.shape != theirs.shape:
            continue
        if score.basis == "mean":
            means[place] = mine - theirs
        elif score.basis == "median":
            p[place] = by_medians(mine, theirs)
        elif score.n == other.n:
            p[place] = by_error(score, other, mine, theirs)
    for place, value in zip(means, sign_flip(list(means.values())), strict=True):
        p[place] = value
    return p


def sign_flip(differences: Sequence[Array]) -> list[float]:
    """Two-sided p of each mean difference: is it unusual among those with the signs of ``[N]`` drawn at random?

    Who has no value (NaN) on one of the sides takes no part.
    """
    if not differences:
        return []
    table = np.nan_to_num(np.stack(differences, axis=1))  # [N, metrics]; a sum without them
    slack = TIE * np.abs(table).sum(axis=0)
    drawn = np.abs(_signs(len(table)) @ table)  # [FLIPS, metrics]
    as_far = (drawn >= np.abs(table.sum(axis=0)) - slack).sum(axis=0)
    return [float(p) for p in (1 + as_far) / (FLIPS + 1)]


@lru_cache(maxsize=2)
def _signs(n: int) -> Array:
    """``[FLIPS, n]`` of -1 and 1, the same for every pair of rows."""
    return np.random.default_rng(seed_of("sign flips", n)).choice([-1.0, 1.0], size=(FLIPS, n))


def by_medians(a: Array, b: Array) -> float | None:
    """Two-sided p of the difference of medians, each identity's two values exchanged at random; None below two."""
    both = np.isfinite(a) & np.isfinite(b)
    n = int(both.sum())
    if n < 2:
        return None
    left, right = (side[both].astype(np.float32) for side in (a, b))  # sorted three times as fast
    swapped = _signs(n) < 0
    drawn = _medians(np.where(swapped, right, left)) - _medians(np.where(swapped, left, right))
    observed = _medians(left[None]) - _medians(right[None])
    return float((1 + (np.abs(drawn) >= np.abs(observed)).sum()) / (FLIPS + 1))


def _medians(rows: NDArray[np.float32]) -> NDArray[np.floating]:
    """Of ``[R, N]``, ``[R]``: `np.median` without its care for NaN."""
    n = rows.shape[1]
    ordered = np.sort(rows, axis=1)
    return (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / np.float32(2)


def by_error(score: ScoreRecord, other: ScoreRecord, mine: Array, theirs: Array) -> float | None:
    """Two-sided p of the difference of two values by Student's t; None where they rest on other identities.

    Its error is that of the differences of pseudo-values ``[N]`` or half-samples ``[R]``, as in `sf2f_bench.paired`.
    """
    finite = np.isfinite(mine)
    if (finite != np.isfinite(theirs)).any() or finite.sum() < 2:
        return None
    parts, effect = (mine - theirs)[finite], score.value - other.value
    if score.basis == "replicates":
        error, degrees = half_sample_error(parts, score.n), min(score.n, len(parts)) - 1
    else:
        error, degrees = float(parts.std(ddof=1)) / np.sqrt(len(parts)), len(parts) - 1
    if error == 0:
        return float(effect == 0)
    return float(2 * stats.t.sf(abs(effect) / error, degrees))
