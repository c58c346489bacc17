"""Two systems beside each other: every metric that both have, paired by identity, corrected for their number.

From records alone. Several records of one label that differ in their seed are one system trained several times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.registry import unknown
from sf2f_bench.results.records import load, load_all
from sf2f_bench.results.selection import Group, Row, difference, groups, label_of
from sf2f_bench.results.sides import Key, Side, other_identities, pair_of
from sf2f_bench.statistics.paired import SIGNIFICANT, compare_scores
from sf2f_bench.types import BenchError

Verdict = Literal["better", "worse", "no difference shown"]


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
    return other_identities(a, b)


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
    pair = pair_of(a, b, left, right)
    if isinstance(pair, str):
        return pair
    one, other = a.scores[left][0], b.scores[right][0]
    named = one if one.extractor else other
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


def _judged(line: Line, q: float) -> Line:
    verdict: Verdict = "no difference shown"
    if q < SIGNIFICANT:
        verdict = "better" if (line.difference > 0) == line.higher_is_better else "worse"
    return replace(line, q=q, verdict=verdict)
