"""The report's tables with what a page can show beside the text: order, interval bars and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.columns import Column
from sf2f_bench.report.contents import Plan, Table, plans, table_of
from sf2f_bench.report.html_marks import Direction, ValuesOf, direction, q_values
from sf2f_bench.report.numbers import NOTHING, cell, number
from sf2f_bench.report.selection import Group, Row

Kind = Literal["system", "ablation", "anchor"]
TRAINED = ("system", "ablation")  # where the reference is looked for
KINDS: dict[Kind, str] = {"system": "systems", "ablation": "ablations", "anchor": "anchors"}
BAR = 100.0  # width of a bar's drawing
OFF_SCALE = "real-photo-oracle"  # so far from every system that a scale with it would show nothing of them


@dataclass(frozen=True)
class Bar:
    """Where value and interval lie on a column's scale, 0 to `BAR`, cut to it. reference: the reference row's value.

    beyond: the value lies off the scale.
    """

    at: float
    low: float
    high: float
    reference: float | None
    beyond: bool


@dataclass(frozen=True)
class HtmlCell:
    """One number: text and error as in every other form of the table. value: for sorting; None where there is none.

    q: of the difference from the reference; None where the two could not be paired.
    """

    text: str
    error: str = ""
    value: float | None = None
    bar: Bar | None = None
    mark: Direction | None = None
    q: float | None = None

    @property
    def in_words(self) -> str:
        """``q = .031``."""
        return "" if self.q is None else "q < .001" if self.q < 0.001 else f"q = {number(self.q, 'share', 3)}"


@dataclass(frozen=True)
class HtmlRow:
    """One row; `first`: the first of its zone, where a line sets it apart from the zone above."""

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
    """One table. reference: the label of the row that marks compare with; empty where there is none."""

    title: str
    columns: tuple[HtmlColumn, ...]
    rows: tuple[HtmlRow, ...]
    reference: str

    @property
    def tested(self) -> bool:
        """Could any number be paired with the reference's?"""
        return any(cell.q is not None for row in self.rows for cell in row.cells)


def kind_of(row: Row) -> Kind:
    """What the page's filter knows the row as."""
    return row.zone if row.zone in ("system", "ablation") else "anchor"


def html_tables(group: Group) -> list[HtmlTable]:
    """The tables of `contents.tables`, in their order, with the same rows, columns and texts."""
    values = {id(row): ValuesOf(row.record) for row in group.rows}
    return [
        _drawn(table, plan, values) for plan in plans(group) if (table := table_of(group, plan)) is not None
    ]


@dataclass(frozen=True)
class _Line:
    """A row's scores, one a column."""

    row: Row
    scores: tuple[ScoreRecord | None, ...]


def _drawn(table: Table, plan: Plan, values: dict[int, ValuesOf]) -> HtmlTable:
    columns = [column for column in plan.columns if column.heading in table.headings]
    grid = [_Line(row, tuple(row.score(at.pattern, at.by) for at in columns)) for row in plan.rows]
    lines = [line for line in grid if any(line.scores)]
    reference = next((line for zone in TRAINED for line in lines if line.row.zone == zone), None)
    by_column = list(zip(*(line.scores for line in lines if not _is_off_scale(line.row)), strict=True))
    scales = [_scale(scores) for scores in by_column or [()] * len(columns)]
    rows = [
        _row(line, columns, scales, reference, values, lines[i - 1].row if i else line.row)
        for i, line in enumerate(lines)
    ]
    headings = tuple(
        HtmlColumn(column.heading, _better([line.scores[i] for line in lines]))
        for i, column in enumerate(columns)
    )
    name = reference.row.label if reference and len(lines) > 1 else ""
    return HtmlTable(table.title, headings, tuple(rows), name)


def _is_off_scale(row: Row) -> bool:
    return row.record.system.name.startswith(OFF_SCALE)


def _row(
    line: _Line,
    columns: Sequence[Column],
    scales: Sequence[tuple[float, float]],
    reference: _Line | None,
    values: dict[int, ValuesOf],
    above: Row,
) -> HtmlRow:
    others = reference.scores if reference else (None,) * len(columns)
    pairs = list(zip(line.scores, others, strict=True))
    q: Sequence[float | None] = [None] * len(pairs)
    if reference is not None and reference is not line:
        q = q_values(values[id(line.row)], values[id(reference.row)], pairs)
    cells = tuple(
        _cell(column, score, other, likely, scale)
        for column, (score, other), likely, scale in zip(columns, pairs, q, scales, strict=True)
    )
    row = line.row
    return HtmlRow(row.label, kind_of(row), cells, reference is line, above.zone != row.zone)


def _cell(
    column: Column,
    score: ScoreRecord | None,
    reference: ScoreRecord | None,
    q: float | None,
    scale: tuple[float, float],
) -> HtmlCell:
    if score is None:
        return HtmlCell(NOTHING)
    text, _, error = cell(score, column.format, column.error, column.factor).partition(" ")
    mark = direction(score, reference, q) if reference else None
    bar = _bar(score, reference, scale) if scale[0] < scale[1] else None
    return HtmlCell(text, error, score.value, bar, mark, q)


def _bar(score: ScoreRecord, reference: ScoreRecord | None, scale: tuple[float, float]) -> Bar:
    def place(value: float) -> float:
        return round(BAR * min(1.0, max(0.0, (value - scale[0]) / (scale[1] - scale[0]))), 1)

    low, high = score.interval or (score.value, score.value)
    middle = place(reference.value) if reference else None
    return Bar(place(score.value), place(low), place(high), middle, not scale[0] <= score.value <= scale[1])


def _scale(scores: Sequence[ScoreRecord | None]) -> tuple[float, float]:
    """From the lowest to the highest bound of a column."""
    ends = [end for score in scores if score for end in (score.value, *(score.interval or ()))]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _better(scores: Sequence[ScoreRecord | None]) -> Literal["higher", "lower"]:
    return "higher" if next(score for score in scores if score).higher_is_better else "lower"
