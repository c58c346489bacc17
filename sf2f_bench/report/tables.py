"""The tables of a report, before they are rendered: every form of the report shows these sections, rows and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Literal, get_args

from sf2f_bench.protocols.names import SEGMENT_FRAMES
from sf2f_bench.protocols.protocol import TableSpec
from sf2f_bench.results.convergence import unconverged_entries
from sf2f_bench.results.numbers import NOTHING, value_and_error
from sf2f_bench.results.records import NO_CARD, ScoreRecord
from sf2f_bench.results.selection import Entry, Group, Zone, cached_per_group
from sf2f_bench.types import MetricCard, Role

Kind = Literal["system", "ablation", "anchor"]
Direction = Literal["better", "worse"]

FRAMES_PER_SECOND = 100  # of the windows that `SEGMENT_FRAMES` counts
ROLES = get_args(Role)
NOT_CONVERGED = "†"  # behind the label of a system whose validation still rose when its training ended
WARNED = "!"  # beside a system that an alarm is about
UNSTATED: dict[str, int] = {"more": 0}  # the tables of a metric whose card names none of the protocol's


@dataclass(frozen=True)
class Column:
    """A metric by one extractor. The lowest priority leaves first where room is short; equals leave together.

    by: a role, or the id of the extractor.
    """

    heading: str
    metric: str = ""
    by: str = ""
    priority: int = 0
    card: MetricCard = NO_CARD
    higher_is_better: bool = True


@dataclass(frozen=True)
class Bar:
    """Where value and interval lie on a column's scale, 0 to 100, cut to it.

    reference: the reference's value, in the mean over its seeds; is_beyond: the value lies off the scale; anchors:
    what chance, knowing an attribute, and another photo of the true person reach, where that is on the scale.
    """

    at: float
    low: float
    high: float
    reference: float | None
    is_beyond: bool
    anchors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Mark:
    """That a number was compared with the reference's. direction: None where no difference is shown.

    words: what was compared with what, and q.
    """

    direction: Direction | None = None
    words: str = ""


@dataclass(frozen=True)
class Cell:
    """One number: its text and the error beside it; a dash where there is no score."""

    text: str = NOTHING
    error: str = ""
    score: ScoreRecord | None = None
    bar: Bar | None = None
    mark: Mark | None = None

    def __str__(self) -> str:
        """``.365 [.30, .43]``."""
        return f"{self.text} {self.error}".strip()


@dataclass(frozen=True, eq=False)
class Row:
    """One row. short_label: under a heading of its section that names the whole system; entry: where it comes from."""

    label: str
    cells: tuple[Cell, ...]
    short_label: str = ""
    entry: Entry | None = None
    is_reference: bool = False


@dataclass(frozen=True)
class Section:
    """Rows that belong together; anchors are set apart from systems. heading: empty for most."""

    zone: Zone
    rows: tuple[Row, ...]
    heading: str = ""

    @property
    def kind(self) -> Kind:
        """As readers filter rows."""
        return kind_of(self.zone)


@dataclass(frozen=True)
class Table:
    """One table. is_main: also shown on the terminal after a run.

    reference: the system that marks compare with, empty where there is none; seeds: what marks can say with so many.
    """

    title: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    is_main: bool = False
    reference: str = ""
    seeds: str = ""

    @property
    def headings(self) -> tuple[str, ...]:
        """Of its columns."""
        return tuple(column.heading for column in self.columns)

    @property
    def rows(self) -> list[Row]:
        """Of all sections."""
        return [row for section in self.sections for row in section.rows]

    def with_rows(self, rows: Sequence[Row]) -> Table:
        """The same sections with other rows, one for each."""
        others = iter(rows)
        sections = tuple(
            replace(section, rows=tuple(next(others) for _ in section.rows)) for section in self.sections
        )
        return replace(self, sections=sections)

    def only(self, places: Sequence[int]) -> Table:
        """The same table with these columns."""
        rows = [replace(row, cells=tuple(row.cells[i] for i in places)) for row in self.rows]
        return replace(self.with_rows(rows), columns=tuple(self.columns[i] for i in places))

    def parts(self, most: int) -> list[Table]:
        """The table cut into parts of at most so many columns, about as wide each."""
        count = -(-len(self.columns) // most)
        bounds = [len(self.columns) * i // count for i in range(count + 1)]
        cut = [self.only(range(start, end)) for start, end in pairwise(bounds)]
        return [cut[0], *(replace(part, title=f"{self.title}, continued") for part in cut[1:])]


def kind_of(zone: Zone) -> Kind:
    """An anchor is what stands in the floor or the ceiling."""
    return zone if zone in ("system", "ablation") else "anchor"


@cached_per_group
def tables(group: Group) -> list[Table]:
    """Every table of the group's protocol that it has numbers for."""
    made = (_table(group, spec, by) for spec in group.protocol.tables for by in _asked(group, spec))
    return [table for table in made if table is not None]


def _asked(group: Group, spec: TableSpec) -> Sequence[str]:
    """A role or an extractor's id for each table of this specification; empty for one by any extractor."""
    if spec.by == "each further extractor":
        return group.further
    if spec.by == "each attribute judge":
        return group.attribute_judges
    return [""] if spec.by == "any extractor" else [spec.by]


def _table(group: Group, spec: TableSpec, by: str) -> Table | None:
    """Columns and rows with at least one number; None where nothing is left."""
    columns = _columns(group, spec, by)
    entries = [entry for entry in group.entries if spec.rows == "all" or _has_length(entry)]
    scores = [[entry.score(column.metric, column.by) for column in columns] for entry in entries]
    rising = unconverged_entries(group)
    sections: dict[Zone, list[Row]] = {}
    for entry, found in zip(entries, scores, strict=True):
        if any(found):
            mark = f" {NOT_CONVERGED}" if entry in rising else ""
            labels = [label + mark for label in (entry.label, entry.short_label)]
            row = Row(labels[0], tuple(map(_cell, found)), labels[1], entry)
            sections.setdefault(entry.zone, []).append(row)
    if not sections:
        return None
    title = spec.title_of(group.records, by or ", ".join(dict.fromkeys(column.by for column in columns)))
    made = (_section(group, zone, rows) for zone, rows in sections.items())
    return Table(title, columns, tuple(made), spec.main)


def _has_length(entry: Entry) -> bool:
    """Whether it was measured with less speech, or in a space of its own, for which speech does not matter."""
    return any(s.extractor is None or "seconds" in s.card.parameters for s in entry.record.scores)


def _cell(score: ScoreRecord | None) -> Cell:
    return Cell(*value_and_error(score), score) if score else Cell()


def _section(group: Group, zone: Zone, rows: Sequence[Row]) -> Section:
    """Labels are short under a heading that names the one system that all these are ablations of."""
    if zone != "ablation":
        return Section(zone, tuple(rows))
    wholes = {entry.record.system.ablation_of for entry in group.ablations}
    if len(wholes) == 1:
        return Section(zone, tuple(rows), f"ablations of {min(wholes)}")
    return Section(zone, tuple(replace(row, short_label=row.label) for row in rows), "ablations")


# ---------------------------------------------------------------- columns


def _columns(group: Group, spec: TableSpec, by: str) -> tuple[Column, ...]:
    """Of the metrics whose cards name this table and that somebody has a number for, from left to right."""
    found: dict[str, list[ScoreRecord]] = {}
    for score in _scores_by_table(group).get(spec.name, ()):
        if _counts(group, score, by):
            found.setdefault(score.metric, []).append(score)
    if spec.rows == "by length" and not any("seconds" in of[0].card.parameters for of in found.values()):
        return ()
    place = {name: of[0].card.order.get(spec.name, inf) for name, of in found.items()}
    return tuple(_column(group, spec, by, found[name]) for name in sorted(found, key=place.__getitem__))


@cached_per_group
def _scores_by_table(group: Group) -> dict[str, list[ScoreRecord]]:
    found: dict[str, list[ScoreRecord]] = {}
    for score in group.scores:
        for name in _tables_of(group, score.card):
            found.setdefault(name, []).append(score)
    return found


def _tables_of(group: Group, card: MetricCard) -> Mapping[str, int]:
    """``{table: priority}``; empty for a metric that shall stand in none."""
    if card.tables is None or (
        card.tables and not any(spec.name in card.tables for spec in group.protocol.tables)
    ):
        return UNSTATED
    return card.tables


def _counts(group: Group, score: ScoreRecord, by: str) -> bool:
    """Whether a score makes a column; what ranks in a space of its own does by the protocol's own network alone."""
    if score.extractor is None:
        return by == group.protocol.headline_role
    return not by or by in (score.extractor_role, score.extractor)


def _column(group: Group, spec: TableSpec, by: str, scores: Sequence[ScoreRecord]) -> Column:
    card = scores[0].card
    by = by or min((ROLES.index(one.extractor_role), one.extractor or "") for one in scores)[1]
    convention = group.extractor_card(group.extractor(by) or by).convention
    heading = card.headings.get(convention, card.heading) or scores[0].metric
    if card.heading_with_n:
        sizes = [score.n for score in scores]
        heading += f" n={'-'.join(str(n) for n in sorted({min(sizes), max(sizes)}))}"
    if spec.rows == "by length" and "seconds" not in card.parameters:
        heading = f"{card.term} {all_seconds(group):g} s"
    priority = _tables_of(group, card)[spec.name]
    return Column(heading, scores[0].metric, by, priority, card, scores[0].higher_is_better)


def all_seconds(group: Group) -> float:
    """How much speech a system hears of an identity, at most."""
    return group.part.segments * SEGMENT_FRAMES / FRAMES_PER_SECOND
