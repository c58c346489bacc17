"""The report's tables with what a page can show beside the text: order, interval bars and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sf2f_bench.report.columns import Column
from sf2f_bench.report.contents import Plan, Table, plans, table_of
from sf2f_bench.report.html_marks import (
    Difference,
    Direction,
    Systems,
    differences,
    seeds_in_words,
    what_marks_say,
)
from sf2f_bench.results.numbers import NOTHING, cell, number
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Group, Row, once_a_group
from sf2f_bench.results.sides import Key, Side
from sf2f_bench.statistics.paired import SIGNIFICANT

Kind = Literal["system", "ablation", "anchor"]
TRAINED = ("system", "ablation")  # where the reference is looked for
KINDS: dict[Kind, str] = {"system": "systems", "ablation": "ablations", "anchor": "anchors"}
BAR = 100.0  # width of a bar's drawing
OFF_SCALE = "real-photo-oracle"  # so far from every system that a scale with it would show nothing of them


@dataclass(frozen=True)
class Bar:
    """Where value and interval lie on a column's scale, 0 to `BAR`, cut to it.

    reference: the reference's value, in the mean over its seeds; beyond: the value lies off the scale.
    """

    at: float
    low: float
    high: float
    reference: float | None
    beyond: bool


@dataclass(frozen=True)
class HtmlCell:
    """One number: text and error as in every other form of the table. value: for sorting; None where there is none.

    mark: of the row's system; in_words: what was compared with what, and q. tested: could the two be paired?
    """

    text: str
    error: str = ""
    value: float | None = None
    bar: Bar | None = None
    mark: Direction | None = None
    in_words: str = ""
    tested: bool = False


@dataclass(frozen=True)
class HtmlRow:
    """One row; `first`: the first of its zone, where a line sets it apart; `reference`: of the reference system."""

    label: str
    kind: Kind
    cells: tuple[HtmlCell, ...]
    reference: bool
    first: bool


@dataclass(frozen=True)
class HtmlColumn:
    """A heading; `better`: the direction that a first click sorts by."""

    heading: str
    better: Literal["higher", "lower"]


@dataclass(frozen=True)
class HtmlTable:
    """One table. reference: the system that marks compare with; empty where there is no other row.

    seeds: how many training seeds stand on each side, and what the marks can say therefore.
    """

    title: str
    columns: tuple[HtmlColumn, ...]
    rows: tuple[HtmlRow, ...]
    reference: str
    seeds: str

    @property
    def tested(self) -> bool:
        """Could any number be paired with the reference's?"""
        return any(cell.tested for row in self.rows for cell in row.cells)


def kind_of(row: Row) -> Kind:
    """What the page's filter knows the row as."""
    return row.zone if row.zone in ("system", "ablation") else "anchor"


@once_a_group
def html_tables(group: Group) -> list[HtmlTable]:
    """The tables of `contents.tables`, in their order, with the same rows, columns and texts."""
    systems = Systems(group)
    return [
        _drawn(table, plan, systems) for plan in plans(group) if (table := table_of(group, plan)) is not None
    ]


@dataclass(frozen=True)
class _Line:
    """A row's scores, one a column."""

    row: Row
    side: Side
    scores: tuple[ScoreRecord | None, ...]


@dataclass(frozen=True)
class _Reference:
    """The system that the others are compared with. values: of each column, in the mean over its rows."""

    side: Side
    name: str
    values: tuple[float | None, ...]
    differences: dict[int, list[Difference | None]]  # by the id of the other system

    def words(self, side: Side, difference: Difference, mark: Direction, column: Column) -> str:
        """``better than sf2f-64: .372 against .290; 2 seeds against 2; q = .031``."""
        means = ""
        if max(len(side.seeds), len(self.side.seeds)) > 1:
            mine, theirs = (
                number(column.factor * value, column.format, 3)
                for value in (difference.value, difference.reference)
            )
            means = f": {mine} against {theirs}"
        digits = 3 if round(difference.q, 3) < SIGNIFICANT else 5  # ".04996", not ".050"
        q = "q < .001" if difference.q < 0.001 else f"q = {number(difference.q, 'share', digits)}"
        return f"{mark} than {self.name}{means}; {seeds_in_words(side, self.side)}; {q}"


def _drawn(table: Table, plan: Plan, systems: Systems) -> HtmlTable:
    columns = [column for column in plan.columns if column.heading in table.headings]
    grid = [
        _Line(row, systems.of(row), tuple(row.score(at.pattern, at.by) for at in columns))
        for row in plan.rows
    ]
    lines = [line for line in grid if any(line.scores)]
    reference = _reference(lines, systems)
    by_column = list(zip(*(line.scores for line in lines if not _is_off_scale(line.row)), strict=True))
    scales = [_scale(scores) for scores in by_column or [()] * len(columns)]
    rows = [
        _row(line, columns, scales, reference, lines[i - 1].row if i else line.row)
        for i, line in enumerate(lines)
    ]
    headings = tuple(
        HtmlColumn(column.heading, _better([line.scores[i] for line in lines]))
        for i, column in enumerate(columns)
    )
    others = [line.side for line in lines if reference and line.side is not reference.side]
    if reference is None or not others:
        return HtmlTable(table.title, headings, tuple(rows), "", "")
    return HtmlTable(
        table.title, headings, tuple(rows), reference.name, what_marks_say(others, reference.side)
    )


def _reference(lines: Sequence[_Line], systems: Systems) -> _Reference | None:
    """The first system of the table (or the first ablation), and how each other one differs from it."""
    first = next((line for zone in TRAINED for line in lines if line.row.zone == zone), None)
    if first is None:
        return None
    members: dict[int, list[_Line]] = {}
    for line in lines:
        members.setdefault(id(line.side), []).append(line)
    here = members.pop(id(first.side))
    keys = _keys(here)
    found = {
        place: differences(other[0].side, first.side, list(zip(_keys(other), keys, strict=True)))
        for place, other in members.items()
    }
    values = tuple(
        float(np.mean(known)) if (known := [score.value for score in scores if score]) else None
        for scores in zip(*(line.scores for line in here), strict=True)
    )
    return _Reference(first.side, systems.name(first.side), values, found)


def _keys(lines: Sequence[_Line]) -> list[Key | None]:
    """Of each column the metric and extractor of a system's rows; None where no row has a number."""
    found = [
        next(filter(None, scores), None) for scores in zip(*(line.scores for line in lines), strict=True)
    ]
    return [(score.metric, score.extractor) if score else None for score in found]


def _is_off_scale(row: Row) -> bool:
    return row.record.system.name.startswith(OFF_SCALE)


def _row(
    line: _Line,
    columns: Sequence[Column],
    scales: Sequence[tuple[float, float]],
    reference: _Reference | None,
    above: Row,
) -> HtmlRow:
    cells = tuple(_cell(line, i, column, reference, scales[i]) for i, column in enumerate(columns))
    row, own = line.row, reference is not None and reference.side is line.side
    return HtmlRow(row.label, kind_of(row), cells, own, above.zone != row.zone)


def _cell(
    line: _Line, place: int, column: Column, reference: _Reference | None, scale: tuple[float, float]
) -> HtmlCell:
    score = line.scores[place]
    if score is None:
        return HtmlCell(NOTHING)
    text, _, error = cell(score, column.format, column.error, column.factor).partition(" ")
    bar = _bar(score, reference.values[place] if reference else None, scale) if scale[0] < scale[1] else None
    drawn = HtmlCell(text, error, score.value, bar)
    difference = (
        reference.differences[id(line.side)][place] if reference and reference.side is not line.side else None
    )
    if reference is None or difference is None:
        return drawn
    mark = difference.direction(score.higher_is_better)
    words = reference.words(line.side, difference, mark, column) if mark else ""
    return replace(drawn, mark=mark, in_words=words, tested=True)


def _bar(score: ScoreRecord, reference: float | None, scale: tuple[float, float]) -> Bar:
    def place(value: float) -> float:
        return round(BAR * min(1.0, max(0.0, (value - scale[0]) / (scale[1] - scale[0]))), 1)

    low, high = score.interval or (score.value, score.value)
    middle = None if reference is None else place(reference)
    return Bar(place(score.value), place(low), place(high), middle, not scale[0] <= score.value <= scale[1])


def _scale(scores: Sequence[ScoreRecord | None]) -> tuple[float, float]:
    """From the lowest to the highest bound of a column."""
    ends = [end for score in scores if score for end in (score.value, *(score.interval or ()))]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _better(scores: Sequence[ScoreRecord | None]) -> Literal["higher", "lower"]:
    return "higher" if next(score for score in scores if score).higher_is_better else "lower"
