"""Bars and marks of a table: where each number lies, and which differ from the reference system's.

All training seeds of a system are compared with all of the reference's, as `sf2f-bench compare` does, which says more
about two systems: no mark without three seeds a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sf2f_bench.report.tables import Bar, Cell, Column, Mark, Row, Table, tables
from sf2f_bench.report.words import MARKS_OF_SEEDS, NO_MARKS
from sf2f_bench.results.compare import ComparedMetric, comparison_of
from sf2f_bench.results.numbers import number
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.seed_runs import Key, SeedRuns, missing_seeds, other_identities, systems_of
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.statistics.paired import SIGNIFICANT
from sf2f_bench.types import Purpose

BAR = 100.0  # width of a bar's scale
LINES: tuple[Purpose, ...] = ("chance", "known-attribute", "true-photo")  # the anchors that every bar shows


@dataclass(frozen=True)
class _System:
    """The rows of one system in a table. values: of each column, in the mean over the rows that have it."""

    name: str
    runs: SeedRuns
    rows: tuple[Row, ...]

    @property
    def scores(self) -> list[list[ScoreRecord]]:
        """Of each column, those of the rows that have one."""
        columns = zip(*(row.cells for row in self.rows), strict=True)
        return [[cell.score for cell in cells if cell.score] for cells in columns]

    @property
    def keys(self) -> list[Key | None]:
        """Of each column the metric and its extractor; None where no row has a score."""
        return [(found[0].metric, found[0].extractor) if found else None for found in self.scores]

    @property
    def values(self) -> list[float | None]:
        """Of each column the mean over the rows; None where no row has a score."""
        return [float(np.mean([one.value for one in found])) if found else None for found in self.scores]


@cached_per_group
def marked_tables(group: Group) -> list[Table]:
    """The tables of `tables.tables` with bars and marks."""
    return [_marked(table, group) for table in tables(group)]


@cached_per_group
def _found(group: Group) -> dict[tuple[SeedRuns, SeedRuns], dict[Key, ComparedMetric]]:
    """What was compared already, for another table of the group."""
    return {}


def _marked(table: Table, group: Group) -> Table:
    rows, runs = table.rows, systems_of(group)
    systems = [
        _System(name, runs[name], mine)
        for name, entries in group.by_system.items()
        if (mine := tuple(row for row in rows if row.entry in entries))
    ]
    reference = next((system for system in systems if system.rows[0] is _reference_row(table)), None)
    scales = [_scale(cells) for cells in _columns_to_scale(rows)] or [(0.0, 0.0)] * len(table.columns)
    middles = reference.values if reference else [None] * len(table.columns)
    reached = [_reached(group, column) for column in table.columns]
    made: dict[Row, Row] = {}
    for system in systems:
        marks = _marks(system, reference, table.columns, _found(group))
        for row in system.rows:
            cells = zip(row.cells, scales, middles, reached, marks, strict=True)
            new = tuple(
                replace(cell, bar=bar_of(cell.score, middle, anchors, scale), mark=mark)
                if cell.score
                else cell
                for cell, scale, middle, anchors, mark in cells
            )
            made[row] = replace(row, cells=new, is_reference=system is reference)
    others = [system.runs for system in systems if system is not reference]
    with_marks = table.with_rows([made[row] for row in rows])
    if reference is None or not others:
        return with_marks
    return replace(with_marks, reference=reference.name, seeds=what_marks_say(others, reference.runs))


def _reference_row(table: Table) -> Row | None:
    """The first row of the first system, or of the first ablation where there is no system."""
    trained = [section for section in table.sections if section.kind != "anchor"]
    return trained[0].rows[0] if trained else None


# ---------------------------------------------------------------- bars


def _columns_to_scale(rows: Sequence[Row]) -> list[tuple[Cell, ...]]:
    """The cells of each column, of the rows whose numbers do not dwarf all others."""
    scaled = [row.cells for row in rows if not (row.entry and row.entry.record.system.off_scale)]
    return list(zip(*scaled, strict=True))


def _scale(cells: Sequence[Cell]) -> tuple[float, float]:
    """From the lowest to the highest bound of a column."""
    scores = [cell.score for cell in cells if cell.score]
    ends = [end for score in scores for end in (score.value, *(score.interval or ()))]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _reached(group: Group, column: Column) -> list[float]:
    """What the anchors that `LINES` names reach in a column's metric."""
    anchors = (anchor for purpose in LINES for anchor in group.anchors(purpose))
    return [score.value for anchor in anchors if (score := anchor.score(column.metric, column.by))]


def bar_of(
    score: ScoreRecord, reference: float | None, anchors: Sequence[float], scale: tuple[float, float]
) -> Bar | None:
    """Where a score, its interval, the reference and anchors lie on a scale; None where that has no width."""
    start, end = scale
    if start >= end:
        return None

    def place(value: float) -> float:
        return round(BAR * min(1.0, max(0.0, (value - start) / (end - start))), 1)

    low, high = score.interval or (score.value, score.value)
    middle = None if reference is None else place(reference)
    lines = tuple(dict.fromkeys(place(value) for value in anchors if start <= value <= end))
    return Bar(place(score.value), place(low), place(high), middle, not start <= score.value <= end, lines)


# ---------------------------------------------------------------- marks


def _marks(
    system: _System,
    reference: _System | None,
    columns: Sequence[Column],
    known: dict[tuple[SeedRuns, SeedRuns], dict[Key, ComparedMetric]],
) -> list[Mark | None]:
    """A mark for each column; None where the system could not be compared with the reference."""
    if reference is None or system is reference:
        return [None] * len(columns)
    pair = (system.runs, reference.runs)
    if pair not in known:
        known[pair] = differences(*pair)
    keys = [
        mine if mine and mine[1] else theirs for mine, theirs in zip(system.keys, reference.keys, strict=True)
    ]
    return [
        _mark(system, reference, compared, column) if key and (compared := known[pair].get(key)) else None
        for key, column in zip(keys, columns, strict=True)
    ]


def _mark(system: _System, reference: _System, compared: ComparedMetric, column: Column) -> Mark:
    """``better than sf2f-64: .372 against .290; 3 seeds against 3; q = .031``."""
    if compared.q is None or compared.verdict not in ("better", "worse"):
        return Mark()
    mine, theirs = (
        number(column.card.factor * value, column.card.format, 3) for value in (compared.a, compared.b)
    )
    digits = 3 if round(compared.q, 3) < SIGNIFICANT else 5  # ".04996", not ".050"
    q = "q < .001" if compared.q < 0.001 else f"q = {number(compared.q, 'share', digits)}"
    seeds = seeds_in_words(system.runs, reference.runs)
    return Mark(
        compared.verdict, f"{compared.verdict} than {reference.name}: {mine} against {theirs}; {seeds}; {q}"
    )


def differences(runs: SeedRuns, reference: SeedRuns) -> dict[Key, ComparedMetric]:
    """Every metric of both, by its key; none with too few seeds, or where the two do not pair."""
    if missing_seeds(runs, reference) or not (runs.are_saved and reference.are_saved):
        return {}
    if other_identities(runs, reference):
        return {}
    compared = comparison_of(runs, reference).metrics
    return {(one.metric, one.extractor): one for one in compared}


# ---------------------------------------------------------------- words


def seeds_in_words(runs: SeedRuns, reference: SeedRuns) -> str:
    """``3 seeds against 4``."""
    theirs = len(reference.seeds)
    return f"{len(runs.seeds)} seeds against {theirs}" if runs.seeds else f"the mean of {theirs} seeds"


def what_marks_say(others: Sequence[SeedRuns], reference: SeedRuns) -> str:
    """How many training seeds stand on each side, and what marks can say therefore."""
    theirs, counts = len(reference.seeds), sorted({len(runs.seeds) for runs in others if runs.seeds})
    here = f" ({' or '.join(map(str, counts))} here)" if counts else ""
    words = [] if all(missing_seeds(runs, reference) for runs in others) else [MARKS_OF_SEEDS]
    if any(missing_seeds(runs, reference) for runs in others):
        words.append(NO_MARKS)
    return " ".join(words).format(others=here, reference=theirs)
