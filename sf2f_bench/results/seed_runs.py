"""Systems with all their training seeds, and how two of them are paired by identity; from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sf2f_bench.results.records import RunRecord, ScoreRecord
from sf2f_bench.results.selection import Group, cached_per_group, is_trained
from sf2f_bench.statistics.intervals import FEWEST_PAIRED
from sf2f_bench.statistics.paired import Basis, Measured, interval_of_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.statistics.intervals import Interval

    Array = NDArray[np.float64]

Key = tuple[str, str | None]  # metric, extractor

MIN_SEEDS = 3  # of a trained system, before one is called better than another
RELATIVE_TOLERANCE = 1e-9  # between a record's value and the mean of its identities' values
UNPAIRED = "the records keep neither values of the identities nor of half-samples"


@dataclass(frozen=True, eq=False)
class SeedRuns:
    """One system: a record for each of its training seeds, all of one benchmark, protocol, budget and code."""

    records: tuple[RunRecord, ...]
    title: str = ""

    @property
    def name(self) -> str:
        """As the tables print it, without its seeds."""
        return self.title or self.records[0].system.label

    @property
    def label(self) -> str:
        """As the tables print it, with its seeds: ``sf2f-64 (width 0.25), seeds 0, 1``."""
        words = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        return f"{self.name}, {words}" if self.seeds else self.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the records, in their order; none for an anchor that trains nothing, so that no seed could change it."""
        return tuple(record.seed for record in self.records) if is_trained(self.records[0]) else ()

    @property
    def are_saved(self) -> bool:
        """Whether every record has per-identity values to read."""
        return all(record.path_of("per_identity") is not None for record in self.records)

    @cached_property
    def scores(self) -> dict[Key, tuple[ScoreRecord, ...]]:
        """What every record has, in the first one's order: one score a record."""
        found = [{(score.metric, score.extractor): score for score in one.scores} for one in self.records]
        return {key: tuple(one[key] for one in found) for key in found[0] if all(key in one for one in found)}

    @cached_property
    def frames(self) -> list[pd.DataFrame]:
        """Per-identity values, one frame a record, indexed by identity in the record's order."""
        return [record.per_identity().set_index("identity") for record in self.records]

    @cached_property
    def values(self) -> list[pd.DataFrame]:
        """Per-identity values, one frame a record, indexed and sorted by identity."""
        return [frame.sort_index() for frame in self.frames]

    @cached_property
    def replicates(self) -> list[pd.DataFrame]:
        """Values on half-samples, one frame a record; empty where a record has none."""
        found = [record.replicates() for record in self.records]
        return [pd.DataFrame() if frame is None else frame for frame in found]


def seed_runs(records: Sequence[RunRecord], title: str = "") -> SeedRuns:
    """The records of one system, by seed; title: its name, where its label would be another system's too."""
    return SeedRuns(tuple(sorted(records, key=lambda record: record.seed)), title)


@cached_per_group
def systems_of(group: Group) -> dict[str, SeedRuns]:
    """Every system of a group by its name in `Group.by_system`, its records in the order of the entries."""
    return {name: seed_runs([one.record for one in entries]) for name, entries in group.by_system.items()}


def other_identities(a: SeedRuns, b: SeedRuns) -> str | None:
    """That some record holds other identities, in words; None where all hold the same."""
    first = a.values[0].index
    for frame in (*a.values, *b.values):
        if not frame.index.equals(first):
            return f"they rest on other test identities ({len(first)} here, {len(frame)} there)"
    return None


def missing_seeds(a: SeedRuns, b: SeedRuns) -> str | None:
    """What keeps a difference from being called better or worse, in words; None where nothing does.

    An anchor that trains nothing needs no seeds.
    """
    counts = [len(side.seeds) for side in (a, b) if side.seeds]
    if not counts or min(counts) >= MIN_SEEDS:
        return None
    if len(counts) == 1:
        return f"needs three training seeds; has {counts[0]}"
    return f"needs three training seeds a side; has {counts[0]} and {counts[1]}"


def pair_of(a: SeedRuns, b: SeedRuns, left: Key, right: Key) -> tuple[Measured, Measured] | str:
    """One metric of both systems on the identities that both have; or why they do not pair."""
    first, second = _parts_of(a, left), _parts_of(b, right)
    if isinstance(first, str) or isinstance(second, str):
        return first if isinstance(first, str) else second  # type: ignore[return-value]
    (basis, mine), (other_basis, yours) = first, second
    if basis != other_basis:
        return f"{basis} on one side, {other_basis} on the other"
    one, other = a.scores[left], b.scores[right]
    counts = {score.n for score in (*one, *other)}
    finite = np.isfinite(mine).all(axis=0) & np.isfinite(yours).all(axis=0)
    is_whole = all((np.isfinite(row) == finite).all() for row in (*mine, *yours))
    if basis in ("pseudo-values", "replicates") and (len(counts) > 1 or not is_whole):
        return "the two sides rest on other identities"
    n = int(finite.sum()) if basis != "replicates" else counts.pop()
    if (found := min(n, int(finite.sum()))) < FEWEST_PAIRED:
        return f"{found} identities have it on both sides, an interval that covers needs {FEWEST_PAIRED}"
    return _measured(a, one, mine[:, finite], basis, n), _measured(b, other, yours[:, finite], basis, n)


def interval_over_seeds(runs: SeedRuns, key: Key, at_least: int = MIN_SEEDS) -> Interval | None:
    """95 % interval of a metric's mean over the training seeds, for new people and new seeds.

    None with fewer seeds, and where the records keep too little, or other people, to know it.
    """
    if (
        len(runs.seeds) < at_least
        or key not in runs.scores
        or not runs.are_saved
        or other_identities(runs, runs)
    ):
        return None
    scores, found = runs.scores[key], _parts_of(runs, key)
    if isinstance(found, str) or len({score.n for score in scores}) > 1:
        return None
    basis, parts = found
    finite = np.isfinite(parts).all(axis=0)
    n = scores[0].n if basis == "replicates" else int(finite.sum())
    if n < FEWEST_PAIRED or not (np.isfinite(parts) == finite).all():
        return None
    low, high = scores[0].card.bounds
    bounds = (-np.inf if low is None else low, np.inf if high is None else high)
    return interval_of_mean(_measured(runs, scores, parts[:, finite], basis, n), bounds)


def _parts_of(runs: SeedRuns, key: Key) -> tuple[Basis, Array] | str:
    """The basis and, one row a record, the identities' values ``[S, N]`` or the replicates ``[S, R]``."""
    scores = runs.scores[key]
    column = scores[0].column
    frames = runs.replicates if scores[0].basis == "replicates" else runs.values
    if any(column not in frame for frame in frames):
        return UNPAIRED
    parts = np.stack([frame[column].to_numpy(np.float64) for frame in frames])
    bases = {_basis(score, row) for score, row in zip(scores, parts, strict=True)}
    basis = bases.pop()
    return (basis, parts) if basis and not bases else "the records do not say what their values are"


def _basis(score: ScoreRecord, values: Array) -> Basis | None:
    """As the record states it; for records from before they did, what the value is of these numbers."""
    if score.basis is not None:
        return score.basis
    known = values[np.isfinite(values)]
    if not known.size:
        return None
    if np.isclose(np.mean(known), score.value, RELATIVE_TOLERANCE, RELATIVE_TOLERANCE):
        return "mean"
    is_median = np.isclose(np.median(known), score.value, RELATIVE_TOLERANCE, RELATIVE_TOLERANCE)
    return "median" if is_median else None


def _measured(runs: SeedRuns, scores: Sequence[ScoreRecord], parts: Array, basis: Basis, n: int) -> Measured:
    """Means and medians of these identities; the record's value where `parts` cannot give it."""
    values = np.array([score.value for score in scores])
    if basis in ("mean", "median"):
        values = np.mean(parts, axis=1) if basis == "mean" else np.median(parts, axis=1)
    return Measured(values, parts, basis, n, runs.seeds)
