"""Bars and marks of a table: where each number lies, and which differ from the reference system's.

All training seeds of a system are compared with all of the reference's, paired by identity; q is corrected over the
metrics of the table. `sf2f-bench compare` says more about two systems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from sf2f_bench.report.tables import Bar, Cell, Column, Direction, Mark, Row, Table, tables
from sf2f_bench.report.words import MARKS_OF_ONE_SEED, MARKS_OF_SEEDS, ONE_AGAINST_ONE, SINGLE_SEED
from sf2f_bench.results.numbers import number
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.seed_runs import Key, SeedRuns, other_identities, pair_of, systems_of
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.statistics.exchanges import p_values
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured

BAR = 100.0  # width of a bar's scale


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
    made: dict[Row, Row] = {}
    for system in systems:
        marks = _marks(system, reference, table.columns)
        for row in system.rows:
            cells = zip(row.cells, scales, middles, marks, strict=True)
            new = tuple(
                replace(cell, bar=_bar(cell.score, middle, scale), mark=mark) if cell.score else cell
                for cell, scale, middle, mark in cells
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


def _bar(score: ScoreRecord, reference: float | None, scale: tuple[float, float]) -> Bar | None:
    """None where all numbers of the column are the same."""
    start, end = scale
    if start >= end:
        return None

    def place(value: float) -> float:
        return round(BAR * min(1.0, max(0.0, (value - start) / (end - start))), 1)

    low, high = score.interval or (score.value, score.value)
    middle = None if reference is None else place(reference)
    return Bar(place(score.value), place(low), place(high), middle, not start <= score.value <= end)


# ---------------------------------------------------------------- marks


def _marks(system: _System, reference: _System | None, columns: Sequence[Column]) -> list[Mark | None]:
    """A mark for each column; None where the system could not be compared with the reference."""
    if reference is None or system is reference:
        return [None] * len(columns)
    found = differences(system.runs, reference.runs, list(zip(system.keys, reference.keys, strict=True)))
    return [
        _mark(system, reference, difference, column) if difference else None
        for difference, column in zip(found, columns, strict=True)
    ]


def _mark(system: _System, reference: _System, difference: Difference, column: Column) -> Mark:
    """``better than sf2f-64: .372 against .290; 2 seeds against 2; q = .031``."""
    direction = difference.direction(column.higher_is_better)
    if direction is None:
        return Mark()
    means = ""
    if max(len(system.runs.seeds), len(reference.runs.seeds)) > 1:
        mine, theirs = (
            number(column.card.factor * value, column.card.format, 3)
            for value in (difference.value, difference.reference)
        )
        means = f": {mine} against {theirs}"
    digits = 3 if round(difference.q, 3) < SIGNIFICANT else 5  # ".04996", not ".050"
    q = "q < .001" if difference.q < 0.001 else f"q = {number(difference.q, 'share', digits)}"
    seeds = seeds_in_words(system.runs, reference.runs)
    return Mark(direction, f"{direction} than {reference.name}{means}; {seeds}; {q}")


def differences(
    runs: SeedRuns, reference: SeedRuns, keys: Sequence[tuple[Key | None, Key | None]]
) -> list[Difference | None]:
    """For each (the system's metric, the reference's) how they differ; q is over all of them.

    None where the two do not pair: a seed is missing the number, the identities differ, or the records keep only the
    value.
    """
    if not (runs.are_saved and reference.are_saved) or other_identities(runs, reference):
        return [None] * len(keys)
    pairs = [_pair(runs, reference, *both) for both in keys]
    paired = [pair for pair in pairs if pair]
    p = p_values(paired, len(runs.values[0]))
    q = iter(stats.false_discovery_control(p) if p else ())
    return [
        Difference(float(pair[0].values.mean()), float(pair[1].values.mean()), float(next(q)))
        if pair
        else None
        for pair in pairs
    ]


def _pair(
    runs: SeedRuns, reference: SeedRuns, left: Key | None, right: Key | None
) -> tuple[Measured, Measured] | None:
    if left is None or right is None or left not in runs.scores or right not in reference.scores:
        return None
    pair = pair_of(runs, reference, left, right)
    return None if isinstance(pair, str) else pair


# ---------------------------------------------------------------- words


def seeds_in_words(runs: SeedRuns, reference: SeedRuns) -> str:
    """``2 seeds against 2``; where one model alone stands on each side, what the test is about."""
    mine, theirs = len(runs.seeds), len(reference.seeds)
    if max(mine, theirs) == 1:
        return "these two trained models alone" if mine else "that trained model alone"
    if not mine:
        return f"the mean of {theirs} seeds"
    return f"{mine} seed{'s' if mine > 1 else ''} against {theirs}"


def what_marks_say(others: Sequence[SeedRuns], reference: SeedRuns) -> str:
    """How many training seeds stand on each side, and what marks can say therefore."""
    theirs, counts = len(reference.seeds), sorted({len(runs.seeds) for runs in others if runs.seeds})
    if max(theirs, *counts, 1) == 1:
        return MARKS_OF_ONE_SEED
    here = f" ({' or '.join(map(str, counts))} here)" if counts else ""
    words = [MARKS_OF_SEEDS.format(others=here, reference=theirs)]
    if 1 in (theirs, *counts):
        words.append(SINGLE_SEED)
    if theirs == 1 and 1 in counts:
        words.append(ONE_AGAINST_ONE)
    return " ".join(words)
