"""Systems with all their training seeds, and what two of them have to be compared by.

From records alone. Several records of one label that differ in their seed are one system trained several times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sf2f_bench.results.records import RunRecord, ScoreRecord
from sf2f_bench.results.selection import SHUFFLED, label_of
from sf2f_bench.statistics.paired import Basis, Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Key = tuple[str, str | None]  # metric, extractor

SAME = 1e-9  # a record's value and the mean of its identities' values, relatively
UNPAIRED = "the records keep neither values of the identities nor of half-samples"


@dataclass(frozen=True)
class Side:
    """One system: its records with one training seed each, all of one benchmark, protocol and budget."""

    records: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        """As the tables print it, with its seeds."""
        name = label_of(self.records[0])
        words = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        return f"{name}, {words}" if self.seeds else name

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the records, in their order; none for an anchor that trains nothing, so that no seed could change it."""
        system = self.records[0].system
        trained = system.kind == "system" or system.name.startswith(SHUFFLED)
        return tuple(record.seed for record in self.records) if trained else ()

    @cached_property
    def scores(self) -> dict[Key, tuple[ScoreRecord, ...]]:
        """What every record has, in the first one's order: one score a record."""
        found = [{(score.metric, score.extractor): score for score in one.scores} for one in self.records]
        return {key: tuple(one[key] for one in found) for key in found[0] if all(key in one for one in found)}

    @cached_property
    def values(self) -> list[pd.DataFrame]:
        """Per-identity values, one frame a record, indexed and sorted by identity."""
        return [record.per_identity().set_index("identity").sort_index() for record in self.records]

    @cached_property
    def replicates(self) -> list[pd.DataFrame]:
        """Values on half-samples, one frame a record; empty where a record has none."""
        found = [record.replicates() for record in self.records]
        return [pd.DataFrame() if frame is None else frame for frame in found]


def other_identities(a: Side, b: Side) -> str | None:
    """That some record was asked about other people, in words; None where all were asked about the same."""
    first = a.values[0].index
    for frame in (*a.values, *b.values):
        if not frame.index.equals(first):
            return f"they rest on other test identities ({len(first)} here, {len(frame)} there)"
    return None


def pair_of(a: Side, b: Side, left: Key, right: Key) -> tuple[Measured, Measured] | str:
    """Both sides' metric on the identities that both have; or why there is no such thing."""
    parts = [parts_of(a, left), parts_of(b, right)]
    if isinstance(parts[0], str) or isinstance(parts[1], str):
        return next(part for part in parts if isinstance(part, str))
    return paired_parts(a, b, a.scores[left], b.scores[right], parts[0], parts[1])


def parts_of(side: Side, key: Key) -> tuple[Basis, Array] | str:
    """The basis and, one row a record, the identities' values ``[S, N]`` or the replicates ``[S, R]``."""
    scores = side.scores[key]
    column = scores[0].column
    frames = side.replicates if scores[0].basis == "replicates" else side.values
    if any(column not in frame for frame in frames):
        return UNPAIRED
    parts = np.stack([frame[column].to_numpy(np.float64) for frame in frames])
    bases = {_basis(score, row) for score, row in zip(scores, parts, strict=True)}
    basis = bases.pop()
    return (basis, parts) if basis and not bases else "the records do not say what their values are"


def _basis(score: ScoreRecord, values: Array) -> Basis | None:
    """The record's word; for records from before they said it, what the value is of these numbers."""
    if score.basis is not None:
        return score.basis
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    if np.isclose(np.mean(known), score.value, SAME, SAME):
        return "mean"
    return "median" if np.isclose(np.median(known), score.value, SAME, SAME) else None


def paired_parts(
    a: Side,
    b: Side,
    one: Sequence[ScoreRecord],
    other: Sequence[ScoreRecord],
    left: tuple[Basis, Array],
    right: tuple[Basis, Array],
) -> tuple[Measured, Measured] | str:
    """Both sides on the identities that both have; or why they do not pair."""
    basis = left[0]
    if basis != right[0]:
        return f"{basis} on one side, {right[0]} on the other"
    n = {score.n for score in (*one, *other)}
    finite = np.isfinite(left[1]).all(axis=0) & np.isfinite(right[1]).all(axis=0)
    whole = all((np.isfinite(row) == finite).all() for row in (*left[1], *right[1]))
    if basis in ("pseudo-values", "replicates") and (len(n) > 1 or not whole):
        return "the sides rest on other identities"
    kept = finite.sum() if basis != "replicates" else n.pop()
    if min(kept, finite.sum()) < 2:
        return f"only {kept} identities have it on both sides"
    first = _measured(a, one, left[1][:, finite], basis, int(kept))
    return first, _measured(b, other, right[1][:, finite], basis, int(kept))


def _measured(side: Side, scores: Sequence[ScoreRecord], parts: Array, basis: Basis, n: int) -> Measured:
    """Means and medians of these identities; the record's value where it cannot be had from `parts`."""
    values = np.array([score.value for score in scores])
    if basis in ("mean", "median"):
        values = np.mean(parts, axis=1) if basis == "mean" else np.median(parts, axis=1)
    return Measured(values, parts, basis, n, side.seeds)
