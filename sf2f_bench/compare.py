"""Two systems beside each other: every metric that both have, paired by identity, corrected for their number.

From records alone. Several records of one label that differ in their seed are one system trained several times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.paired import Basis, Measured, compare_scores
from sf2f_bench.records import RunRecord, ScoreRecord, load, load_all
from sf2f_bench.registry import unknown
from sf2f_bench.report.selection import SHUFFLED, Group, Row, difference, groups, label_of
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Verdict = Literal["better", "worse", "no difference shown"]
Key = tuple[str, str | None]  # metric, extractor

SIGNIFICANT = 0.05
SAME = 1e-9  # a record's value and the mean of its identities' values, relatively
UNPAIRED = "the records keep neither values of the identities nor of half-samples"


@dataclass(frozen=True)
class Line:
    """One metric of A and B, on the n identities that both have; `verdict` is of A.

    p: two-sided, of the difference; q: p after Benjamini and Hochberg over all lines; detectable: see `Comparison`.
    """

    metric: str
    version: int
    extractor: str | None
    extractor_role: str
    higher_is_better: bool
    basis: str
    n: int
    a: float
    b: float
    difference: float
    lower: float
    upper: float
    p: float
    q: float
    detectable: float | None
    verdict: Verdict


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


@dataclass(frozen=True)
class Versus:
    """All lines of A against B. left_out: metrics that both have and why they could not be paired."""

    a: Side
    b: Side
    lines: tuple[Line, ...]
    left_out: dict[str, str]

    @property
    def title(self) -> str:
        """What decides comparability: ``synthetic-64/1, protocol sf2f-bench/1``."""
        part = self.a.records[0].benchmark
        return f"{part.name}/{part.version}, protocol {part.protocol}"

    def frame(self) -> pd.DataFrame:
        """One row a metric, unrounded, with what decides its meaning."""
        part = self.a.records[0].benchmark
        common = {
            "benchmark": f"{part.name}/{part.version}",
            "protocol": part.protocol,
            "data_hash": part.data_hash,
            "system_a": label_of(self.a.records[0]),
            "system_b": label_of(self.b.records[0]),
            "seeds_a": " ".join(str(record.seed) for record in self.a.records),
            "seeds_b": " ".join(str(record.seed) for record in self.b.records),
            "metrics": len(self.lines),
        }
        return pd.DataFrame([{**common, **asdict(line)} for line in self.lines])


def compare(a: str, b: str, results: Path, metrics: str = "*") -> list[Versus]:
    """A against B in every table where both stand.

    a, b: the path of a record's JSON, or a system among the records of `results` by its name or its label as the
    tables print it (all its seeds, or one where the label names one); metrics: a pattern like ``recall@10*``.
    Raises BenchError for unknown names and metrics, and where the two may not be compared.
    """
    found = [] if _is_path(a) and _is_path(b) else groups(load_all(results, without=("reference",)))
    lefts, rights = _sides(a, found), _sides(b, found)
    pairs = [(left, right) for left in lefts for right in rights]
    reasons = [_forbids(left, right) for left, right in pairs]
    allowed = [pair for pair, reason in zip(pairs, reasons, strict=True) if reason is None]
    if not allowed:
        raise BenchError(f"{a} and {b} may not be compared: {reasons[0]}.")
    shared = [list(_shared(left, right)) for left, right in allowed]
    names = sorted({left[0] for keys in shared for left, _ in keys})
    if names and not any(fnmatchcase(name, metrics) for name in names):
        raise BenchError(unknown("metric", metrics, names))
    made = [
        _versus(left, right, [pair for pair in keys if fnmatchcase(pair[0][0], metrics)])
        for (left, right), keys in zip(allowed, shared, strict=True)
    ]
    if not any(versus.lines for versus in made):
        whys = sorted({reason for versus in made for reason in versus.left_out.values()})
        why = "; ".join(whys) or "they have no metric by the same extractor in common"
        raise BenchError(f"there is nothing to compare between {a} and {b}: {why}.")
    return [versus for versus in made if versus.lines]


# ---------------------------------------------------------------- who is meant


def _is_path(word: str) -> bool:
    return word.endswith(".json")


def _sides(word: str, tables: Sequence[Group]) -> list[Side]:
    """The system of this name in every table that has it; seeds taken together."""
    if _is_path(word):
        return [Side((load(Path(word)),))]
    sides: dict[tuple[str, ...], Side] = {}
    for group in tables:
        rows = [row for row in group.rows if word in _names(row)]
        if rows:
            side = _side(word, rows)
            sides[tuple(record.key for record in side.records)] = side
    if not sides:
        known = sorted({name for group in tables for row in group.rows for name in _names(row)})
        raise BenchError(unknown("system", word, known))
    return list(sides.values())


def _names(row: Row) -> list[str]:
    """All that a row may be called."""
    record, label = row.record, label_of(row.record)
    seed, budget = f"seed {record.seed}", f"budget {record.budget}"
    longer = [", ".join([label, *words]) for words in ([], [seed], [budget], [seed, budget])]
    return [record.system.name, record.system.label, row.label, *longer]


def _side(word: str, rows: Sequence[Row]) -> Side:
    """Raises BenchError where the rows are of several systems, or of one trained for several budgets."""
    labels = sorted({label_of(row.record) for row in rows})
    if len(labels) == 1:
        labels = sorted({f"{labels[0]}, budget {row.record.budget}" for row in rows})
    if len(labels) > 1:
        raise BenchError(f"{word!r} names several rows: say which of {', '.join(map(repr, labels))}.")
    return Side(tuple(row.record for row in sorted(rows, key=lambda row: row.record.seed)))


def _forbids(a: Side, b: Side) -> str | None:
    """Why these two may not be compared; None where they may."""
    if {record.key for record in a.records} & {record.key for record in b.records}:
        return "both are the same record"
    for left in a.records:
        for right in b.records:
            if reason := difference(left, right):
                return reason
    first = a.values[0].index
    for frame in (*a.values, *b.values):
        if not frame.index.equals(first):
            return f"they rest on other test identities ({len(first)} here, {len(frame)} there)"
    return None


# ---------------------------------------------------------------- metric by metric


def _versus(a: Side, b: Side, wanted: Sequence[tuple[Key, Key]]) -> Versus:
    lines, left_out = [], {}
    for left, right in wanted:
        made = _line(a, b, left, right)
        if isinstance(made, str):
            left_out[left[0]] = made
        else:
            lines.append(made)
    q = stats.false_discovery_control([line.p for line in lines]) if lines else []
    judged = [_judged(line, float(value)) for line, value in zip(lines, q, strict=True)]
    return Versus(a, b, tuple(judged), left_out)


def _shared(a: Side, b: Side) -> Iterator[tuple[Key, Key]]:
    """The metrics of both by the same extractor. An anchor's own space is no extractor's and goes with each."""
    for left in a.scores:
        for right in b.scores:
            if left[0] == right[0] and (left[1] == right[1] or None in (left[1], right[1])):
                yield left, right


def _line(a: Side, b: Side, left: Key, right: Key) -> Line | str:
    """One metric's line, its q and verdict still open; or why there is none."""
    one, other = a.scores[left], b.scores[right]
    found = [parts_of(a, left), parts_of(b, right)]
    if isinstance(found[0], str) or isinstance(found[1], str):
        return next(part for part in found if isinstance(part, str))
    pair = paired_parts(a, b, one, other, found[0], found[1])
    if isinstance(pair, str):
        return pair
    named = one[0] if one[0].extractor else other[0]
    result = compare_scores(*pair, np.random.default_rng(seed_of(named.metric, named.extractor)))
    return Line(
        metric=named.metric,
        version=named.version,
        extractor=named.extractor,
        extractor_role=named.extractor_role,
        higher_is_better=named.higher_is_better,
        basis=pair[0].basis,
        n=result.n,
        a=float(pair[0].values.mean()),
        b=float(pair[1].values.mean()),
        difference=result.effect,
        lower=result.interval[0],
        upper=result.interval[1],
        p=result.p,
        q=1.0,
        detectable=result.detectable,
        verdict="no difference shown",
    )


def parts_of(side: Side, key: Key) -> tuple[Basis, Array] | str:
    """The basis and, one row a record, the identities' values ``[S, N]`` or the replicates ``[S, R]``."""
    column = f"{key[0]}|{key[1] or 'none'}"
    scores = side.scores[key]
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
    if kept < 2:
        return f"only {kept} identities have it on both sides"
    first = _measured(a, one, left[1][:, finite], basis, int(kept))
    return first, _measured(b, other, right[1][:, finite], basis, int(kept))


def _measured(side: Side, scores: Sequence[ScoreRecord], parts: Array, basis: Basis, n: int) -> Measured:
    """Means and medians of these identities; the record's value where it cannot be had from `parts`."""
    values = np.array([score.value for score in scores])
    if basis in ("mean", "median"):
        values = np.mean(parts, axis=1) if basis == "mean" else np.median(parts, axis=1)
    return Measured(values, parts, basis, n, side.seeds)


def _judged(line: Line, q: float) -> Line:
    verdict: Verdict = "no difference shown"
    if q < SIGNIFICANT:
        verdict = "better" if (line.difference > 0) == line.higher_is_better else "worse"
    return replace(line, q=q, verdict=verdict)
