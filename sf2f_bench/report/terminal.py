"""Tables and notes on the terminal, in as many columns as there is room for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sf2f_bench.report.joined import common_width, without_width
from sf2f_bench.report.notes import Note, caption, main_notes, notes, unavailable
from sf2f_bench.report.tables import Table, tables
from sf2f_bench.results.numbers import listed
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import TRAINED, Entry, Group, Zone, groups

NARROW = 100  # columns; below it the width of a system is said once, and systems stand first
LAYOUTS = ((32, 2), (21, 2), (21, 1))  # (width of labels, gap between columns), the most generous first
STYLES: dict[Zone, str] = {"system": "bold", "ablation": "", "floor": "dim", "ceiling": "dim"}


def summary(records: Sequence[RunRecord], console: Console) -> None:
    """Print the main tables of every comparable group, the verdicts, and what the report has besides.

    Raises BenchError where there are no records.
    """
    summarise_groups(groups(records), console)


def summary_facts(records: Sequence[RunRecord]) -> dict[str, Any]:
    """What `summary` prints, for programs: every row's scores unrounded, and the warnings and other notes."""
    made = groups(records)
    return {
        "groups": [
            {
                "benchmark": group.title,
                "headline": group.headline,
                "rows": [_row_facts(entry) for entry in group.entries],
                "warnings": [note.text for note in notes(group) if note.alarm],
                "notes": [note.text for note in notes(group) if not note.alarm],
            }
            for group in made
        ]
    }


def _row_facts(entry: Entry) -> dict[str, Any]:
    record = entry.record
    scores = [
        {
            "metric": score.metric,
            "version": score.version,
            "extractor": score.extractor,
            "role": score.extractor_role,
            "value": score.value,
            "interval": score.interval,
            "n": score.n,
        }
        for score in record.scores
    ]
    trained = {"seed": record.seed, "budget": record.budget} if entry.is_trained else {}
    return {
        "row": entry.label,
        "system": record.system.name,
        "kind": entry.zone,
        "key": record.key,
        **trained,
        "scores": scores,
    }


def summarise_groups(found: Sequence[Group], console: Console) -> None:
    """What `summary` prints, of groups."""
    for group in found:
        every, said = tables(group), [*main_notes(group), *map(Note, unavailable(group))]
        shown = [table for table in every if table.is_main]
        _print_group(group, shown, said, console)
        parts = [f"{more} more tables" if (more := len(every) - len(shown)) > 0 else ""]
        parts += [f"{len(notes(group)) - len(said)} more notes on data, limits and what is missing"]
        console.print()
        say(console, f"In the report: {' and '.join(filter(None, parts))}.", "dim")


def print_groups(found: Sequence[Group], console: Console) -> None:
    """Print every group's tables and notes."""
    for group in found:
        _print_group(group, tables(group), notes(group), console)


def _print_group(group: Group, shown: Sequence[Table], said: Sequence[Note], console: Console) -> None:
    console.print()
    console.rule(Text(group.title, "bold"))
    if group.why:
        say(console, group.why, "yellow")
    width = common_width(group) if console.width < NARROW else None
    for table in shown:
        fitting, dropped = _fit(_narrow(table, width) if console.width < NARROW else table, console)
        console.print(Text(f"\n{table.title}", "bold"))
        console.print(fitting)
        if dropped:
            say(console, f"Left out at this width: {', '.join(dropped)}. The report has them.", "dim")
    console.print()
    if width:
        systems = (entry.record.system for entry in group.trained)
        names = dict.fromkeys(without_width(one.label, width) for one in systems if one.width == width)
        say(console, f"At width {width:g}, a share of the published channels: {listed([*names])}.", "dim")
    for line in caption(group):
        say(console, line, "dim")
    console.print()
    for note in said:
        say_note(console, note)


def _narrow(table: Table, width: float | None) -> Table:
    """With systems first, and without their common width in labels."""
    table = replace(table, sections=tuple(sorted(table.sections, key=lambda one: one.zone not in TRAINED)))
    rows = [
        replace(
            row,
            label=without_width(row.label, width),
            short_label=without_width(row.short_label, width),
        )
        for row in table.rows
    ]
    return table.with_rows(rows)


def _fit(table: Table, console: Console) -> tuple[RichTable, list[str]]:
    """The widest version that fits the console, and the headings that had to go."""
    dropped: list[str] = []
    while True:
        for label_width, gap in LAYOUTS:
            if width_of(table, label_width, gap) <= console.width:
                return rich_table(table, label_width, gap), dropped
        lowest = min(column.priority for column in table.columns)
        kept = [i for i, column in enumerate(table.columns) if column.priority > lowest]
        if not kept:
            return rich_table(table, *LAYOUTS[-1]), dropped
        dropped += [heading for i, heading in enumerate(table.headings) if i not in kept]
        table = table.only(kept)


def width_of(table: Table, label_width: int, gap: int) -> int:
    """What rich measures of what `rich_table` makes, in a tenth of the time."""
    labels = [label for section in table.sections for label in (section.heading, *_labels(section.rows))]
    columns = [[_wrapped(label, label_width) for label in labels if label]]
    for heading, cells in zip(table.headings, _columns(table), strict=True):
        columns.append([_heading(heading), *cells])
    widths = [max(cell_len(line) for text in column for line in text.split("\n")) for column in columns]
    return sum(widths) + gap * (len(widths) - 1)


def rich_table(table: Table, label_width: int, gap: int) -> RichTable:
    """The table with labels broken at this width and so many spaces between the columns."""
    padding = (0, gap - 1, 0, 0)  # the box itself leaves one space between columns
    made = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    made.add_column("", no_wrap=True)
    for heading in table.headings:
        made.add_column(Text(_heading(heading)), no_wrap=True)
    cells = zip(*_columns(table), strict=True)
    for section in table.sections:
        if section.heading:
            made.add_row(Text(_wrapped(section.heading, label_width), "italic dim"))
        style = STYLES[section.zone]
        for label in _labels(section.rows):
            label_cell = Text(_wrapped(label, label_width), style)
            made.add_row(label_cell, *(Text(value, style) for value in next(cells)))
        made.add_section()
    return made


def _labels(rows: Sequence) -> Iterator[str]:
    return (row.short_label or row.label for row in rows)


def _columns(table: Table) -> list[list[str]]:
    """Of each column the cells, values right-justified so that their errors begin in one place."""
    found = []
    for cells in zip(*(row.cells for row in table.rows), strict=True):
        width = max(len(cell.text) for cell in cells)
        found.append([f"{cell.text:>{width}}{' ' * bool(cell.error)}{cell.error}" for cell in cells])
    return found


def _heading(text: str) -> str:
    return text.replace(" ", "\n", 1)


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or "?"


def say_note(console: Console, note: Note) -> None:
    """As a point of a list, wrapped; in red where it is an alarm."""
    wrapped = textwrap.wrap(f"- {note.marked}", max(20, console.width - 1), subsequent_indent="  ")
    say(console, "\n".join(wrapped), "bold red" if note.alarm else "")


def say(console: Console, text: str, style: str) -> None:
    """Plain text, never markup: labels may hold brackets."""
    console.print(Text(text, style))
