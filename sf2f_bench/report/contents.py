"""What stands in each table before it is drawn: titles, headings, rows, cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sf2f_bench.report.columns import (
    PLAIN,
    STRATA,
    Column,
    attribute_columns,
    distribution_columns,
    family_of,
    further_columns,
    length_columns,
    likeness_columns,
    paper_classifier,
    paper_inception,
    retrieval_columns,
    seconds_of_speech,
    strata_columns,
    strata_of,
    training_loss_columns,
)
from sf2f_bench.results.numbers import NOTHING, cell
from sf2f_bench.results.selection import Group, Row, Zone, once_a_group


@dataclass(frozen=True)
class Line:
    """One row of a printed table."""

    label: str
    zone: Zone
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table before it is drawn; `ranks` says which columns stay longest when there is little room."""

    title: str
    headings: tuple[str, ...]
    ranks: tuple[int, ...]
    lines: tuple[Line, ...]
    ablations: str = ""  # the heading of their block

    def first(self, zone: Zone) -> Line | None:
        """The first row of a zone."""
        return next((line for line in self.lines if line.zone == zone), None)

    def only(self, columns: Sequence[int]) -> Table:
        """The same table with these columns."""

        def chosen(values: tuple) -> tuple:
            return tuple(values[i] for i in columns)

        lines = tuple(replace(line, cells=chosen(line.cells)) for line in self.lines)
        return replace(self, headings=chosen(self.headings), ranks=chosen(self.ranks), lines=lines)

    def parts(self, most: int) -> list[Table]:
        """The table cut into parts of at most so many columns, about as wide each."""
        count = -(-len(self.headings) // most)
        bounds = [len(self.headings) * i // count for i in range(count + 1)]
        cut = [self.only(range(start, end)) for start, end in pairwise(bounds)]
        return [cut[0], *(replace(part, title=f"{self.title}, continued") for part in cut[1:])]


@dataclass(frozen=True)
class Plan:
    """A table to make: which rows of the group are asked for which columns."""

    title: str
    columns: Sequence[Column]
    rows: tuple[Row, ...]


@once_a_group
def tables(group: Group) -> list[Table]:
    """Every table that the group has numbers for."""
    return [table for plan in plans(group) if (table := table_of(group, plan)) is not None]


def plans(group: Group) -> list[Plan]:
    """Which tables there are to make; which, the protocol decides."""
    return _paper_tables(group) if group.galleries else _bench_tables(group)


def _paper_tables(group: Group) -> list[Plan]:
    who = f"Who is it? Recall in fixed galleries ({group.gallery}), by the network of the training loss"
    classifier, inception = paper_classifier(group), paper_inception(group)
    quality = "mutual information (MI) by the judge"
    if classifier and family_of(classifier) is not PLAIN:
        quality = f"{family_of(classifier).information} by {classifier}"
    alike = f"How alike? By the network of the training loss; {quality}"
    alike += f"; FID and IS by {inception}" if inception else ""
    return [
        Plan(who, retrieval_columns(group), group.rows),
        Plan(alike, likeness_columns(group), group.rows),
    ]


def _bench_tables(group: Group) -> list[Plan]:
    """The judge's tables, those of the networks beside it, and last the one that flatters."""
    by = "By attribute: has the face the person's gender, ethnicity and age? By"
    plans = [
        Plan("Who is it? Retrieval, by the judge", retrieval_columns(group), group.rows),
        Plan("How alike? Similarity and distributions, by the judge", likeness_columns(group), group.rows),
        Plan(_strata_title(group), strata_columns(group), group.rows),
        Plan("Distribution of faces, by the judge", distribution_columns(group), group.rows),
        *(Plan(f"{by} {judge}", attribute_columns(judge), group.rows) for judge in group.attribute_judges),
        _by_length(group),
        *(
            Plan(f"{family_of(id_).title}: {id_}", further_columns(group, id_), group.rows)
            for id_ in group.further
        ),
    ]
    if group.extractor("training-loss"):
        title = "By the network of the training loss, shown beside the judge because it flatters"
        plans.append(Plan(title, training_loss_columns(group), group.rows))
    return plans


def _strata_title(group: Group) -> str:
    letters = ", ".join(f"{STRATA[letter]} ({letter})" for letter in strata_of(group))
    return f"Within strata: people alike in {letters}, by the judge" if letters else "Matching, by the judge"


def _by_length(group: Group) -> Plan:
    """Rows that were asked with less speech, and those that need none to be exact."""
    endings = tuple(ending for ending in seconds_of_speech(group).values() if ending)
    rows = tuple(
        row
        for row in group.rows
        if any(score.metric.endswith(endings) or score.extractor is None for score in row.record.scores)
    )
    return Plan("By length of speech, by the judge", length_columns(group), rows)


def table_of(group: Group, plan: Plan) -> Table | None:
    """Rows with at least one number of this table's, columns likewise; None where nothing is left."""
    cells = [
        [cell(row.score(at.pattern, at.by), at.format, at.error, at.factor) for at in plan.columns]
        for row in plan.rows
    ]
    shown = [i for i in range(len(plan.columns)) if any(values[i] != NOTHING for values in cells)]
    bases = {row.ablation_of for row in group.ablations}
    lines = tuple(
        Line(row.short_label if len(bases) == 1 else row.label, row.zone, tuple(values[i] for i in shown))
        for row, values in zip(plan.rows, cells, strict=True)
        if any(values[i] != NOTHING for i in shown)
    )
    headings = tuple(plan.columns[i].heading for i in shown)
    ranks = tuple(plan.columns[i].rank for i in shown)
    return Table(plan.title, headings, ranks, lines, _ablations_heading(group)) if lines else None


def _ablations_heading(group: Group) -> str:
    """``ablations of sf2f-64-fuser``; their labels below it say only what is missing."""
    names = {
        whole.record.system.name if (whole := group.whole(row)) else row.ablation_of
        for row in group.ablations
    }
    return f"ablations of {names.pop()}" if len(names) == 1 else "ablations"
