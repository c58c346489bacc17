"""The report's tables with what a page can show beside the text: order, interval bars and marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.columns import Column
from sf2f_bench.report.contents import Table, _bench_tables, _paper_tables, _Plan, _table
from sf2f_bench.report.html_marks import Direction, ValuesOf, direction, q_values
from sf2f_bench.report.numbers import NOTHING, cell, number
from sf2f_bench.report.selection import Group, Row

Kind = Literal["system", "ablation", "anchor"]
KINDS: dict[Kind, str] = {"system": "systems", "ablation": "ablations", "anchor": "anchors"}
BAR = 100.0  # width of a bar's drawing


@dataclass(frozen=True)
class Bar:
    """Where value and interval lie on a column's scale, 0 to `BAR`. reference: where the reference row's value lies."""

    at: float
    low: float
    high: float
    reference: float | None


@dataclass(frozen=True)
class HtmlCell:
    """One number: text and error as in every other form of the table. value: for sorting; None where there is none."""

    text: str
    error: str = ""
    value: float | None = None
    bar: Bar | None = None
    mark: Direction | None = None
    q: str = ""


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


def kind_of(row: Row) -> Kind:
    """What the page's filter knows the row as."""
    return row.zone if row.zone in ("system", "ablation") else "anchor"


def html_tables(group: Group) -> list[HtmlTable]:
    """The tables of `contents.tables`, in their order, with the same rows, columns and texts."""
    values = {id(row): ValuesOf(row.record) for row in group.rows}
    plans = _paper_tables(group) if group.galleries else _bench_tables(group)
    return [_drawn(table, plan, values) for plan in plans if (table := _table(group, plan)) is not None]


def _drawn(table: Table, plan: _Plan, values: dict[int, ValuesOf]) -> HtmlTable:
    columns = [column for column in plan.columns if column.heading in table.headings]
    rows = [row for row in plan.rows if _scores(row, columns)]
    reference = next((row for zone in ("system", "ablation") for row in rows if row.zone == zone), None)
    scales = [_scale([_score(row, column) for row in rows]) for column in columns]
    drawn = [
        _row(row, columns, scales, reference, values, rows[i - 1] if i else None)
        for i, row in enumerate(rows)
    ]
    headings = tuple(HtmlColumn(column.heading, _better(rows, column)) for column in columns)
    return HtmlTable(
        table.title, headings, tuple(drawn), reference.label if reference and len(rows) > 1 else ""
    )


def _row(
    row: Row,
    columns: Sequence[Column],
    scales: Sequence[tuple[float, float]],
    reference: Row | None,
    values: dict[int, ValuesOf],
    above: Row | None,
) -> HtmlRow:
    others = [_score(reference, column) if reference else None for column in columns]
    pairs = [(_score(row, column), other) for column, other in zip(columns, others, strict=True)]
    compared = reference is not None and reference is not row
    q = q_values(values[id(row)], values[id(reference)], pairs) if compared else [None] * len(pairs)
    cells = tuple(
        _cell(column, score, other, chance, scale)
        for column, (score, other), chance, scale in zip(columns, pairs, q, scales, strict=True)
    )
    first = above is not None and above.zone != row.zone
    return HtmlRow(row.label, kind_of(row), cells, reference is row, first)


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
    return HtmlCell(text, error, score.value, bar, mark, _in_words(q) if mark and q is not None else "")


def _in_words(q: float) -> str:
    return "q < .001" if q < 0.001 else f"q = {number(q, 'share', 3)}"


def _bar(score: ScoreRecord, reference: ScoreRecord | None, scale: tuple[float, float]) -> Bar:
    def place(value: float) -> float:
        return round(BAR * (value - scale[0]) / (scale[1] - scale[0]), 1)

    low, high = score.interval or (score.value, score.value)
    return Bar(place(score.value), place(low), place(high), place(reference.value) if reference else None)


def _scale(scores: Sequence[ScoreRecord | None]) -> tuple[float, float]:
    """From the lowest to the highest bound of a column."""
    ends = [end for score in scores if score for end in (score.value, *(score.interval or ()))]
    return (min(ends), max(ends)) if ends else (0.0, 0.0)


def _score(row: Row, column: Column) -> ScoreRecord | None:
    return row.score(column.pattern, column.by)


def _scores(row: Row, columns: Sequence[Column]) -> list[ScoreRecord]:
    return [score for column in columns if (score := _score(row, column)) is not None]


def _better(rows: Sequence[Row], column: Column) -> Literal["higher", "lower"]:
    found = [score for row in rows if (score := _score(row, column)) is not None]
    return "higher" if found[0].higher_is_better else "lower"
