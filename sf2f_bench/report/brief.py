"""What a run ends with: one table that fits a terminal of 80 columns, the verdicts, and where the rest is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sf2f_bench.report.columns import short_columns
from sf2f_bench.report.joined import common_width, without_width
from sf2f_bench.report.notes import main_notes, notes, unavailable
from sf2f_bench.report.tables import NOT_CONVERGED, WARNED, tables
from sf2f_bench.report.terminal import STYLES, say, say_note
from sf2f_bench.report.verdicts import Note, against_anchors, warnings_of
from sf2f_bench.results.convergence import unconverged, unconverged_entries
from sf2f_bench.results.numbers import value_and_error
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Entry, Group, Zone, groups

ORDER: tuple[Zone, ...] = ("system", "ablation", "floor", "ceiling")
HEADINGS: dict[Zone, str] = {"ablation": "ablations", "floor": "floors", "ceiling": "ceilings"}
VERDICTS = 3  # lines of systems
LABEL = 30  # columns, of the 80 that all take


def brief(records: Sequence[RunRecord], console: Console) -> None:
    """Print a table, the warnings and the first verdicts of every comparable group; raises as `groups` does."""
    for group in groups(records):
        console.print()
        console.rule(Text(group.title, "bold"))
        if group.why:
            say(console, group.why, "yellow")
        console.print(_table(group))
        console.print()
        for line in _legend(group):
            say(console, line, "dim")
        console.print()
        for note in _lines(group):
            say_note(console, note)
        more = len(tables(group))
        say(console, f"\nAll {more} tables and {len(notes(group))} notes: --full, or the report.", "dim")


def _table(group: Group) -> RichTable:
    """Systems first, then what they are held against; nothing without a headline score or another one shown."""
    columns, width = short_columns(group), common_width(group)
    made = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    made.add_column("", no_wrap=True)
    for column in columns:
        made.add_column(Text(column.heading.replace(" ", "\n", 1)), no_wrap=True)
    made.add_column("trust", no_wrap=True)
    rising = unconverged_entries(group)
    for zone in ORDER:
        rows = [entry for entry in group.entries if entry.zone == zone]
        rows = [entry for entry in rows if any(column.score(group, entry) for column in columns)]
        if rows and zone in HEADINGS:
            made.add_row(Text(HEADINGS[zone], "italic dim"))
        for entry in rows:
            label = without_width(entry.short_label, width)
            cells = [column.text(column.score(group, entry)) for column in columns]
            style = STYLES[zone]
            made.add_row(
                *(
                    Text(text, style)
                    for text in (_fitted(label), *cells, _trust(group, entry, entry in rising))
                )
            )
        made.add_section()
    return made


def _fitted(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}…"


def _trust(group: Group, entry: Entry, is_rising: bool) -> str:
    """The marks of a row of which something must be known before it is believed; nothing is said of anchors."""
    if not entry.is_trained:
        return ""
    is_warned = any(note.alarm for note in warnings_of(group, entry))
    return " ".join([NOT_CONVERGED] * is_rising + [WARNED] * is_warned) or "ok"


def _legend(group: Group) -> Iterator[str]:
    """What the numbers rest on, in two lines."""
    width, part = common_width(group), group.part
    seeds = ", ".join(str(seed) for seed in sorted({entry.record.seed for entry in group.trained}))
    budgets = ", ".join(sorted({entry.record.budget for entry in group.trained}))
    words = [
        f"{part.identities.test} test identities",
        group.protocol.searched(part),
        "in brackets 95 % intervals",
    ]
    words += [f"training seed{'s' if ',' in seeds else ''} {seeds}, budget {budgets}"] if seeds else []
    words += [f"systems of {width:g} of the published width"] if width else []
    yield f"{'; '.join(words)}."
    yield f"Judge: {group.extractor('judge') or 'none'}."
    marks = {
        f"{NOT_CONVERGED} not converged: a longer training would score higher": bool(unconverged(group)),
        f"{WARNED} see the warning": any(
            note.alarm for one in group.trained for note in warnings_of(group, one)
        ),
    }
    if any(marks.values()):
        yield f"trust: {'; '.join(words for words, is_here in marks.items() if is_here)}."


def _lines(group: Group) -> Iterator[Note]:
    """Warnings, the first verdicts, and what was not measured; of unpaired data whether each row is at chance."""
    if not group.part.paired:
        yield from main_notes(group)
    else:
        yield from (note for note in main_notes(group) if note.alarm)
        yield from (Note(against_anchors(group, entry)) for entry in group.systems[:VERDICTS])
    yield from map(Note, _of_plug_ins(group))
    yield from map(Note, unavailable(group))


def _of_plug_ins(group: Group) -> Iterator[str]:
    """What the metrics of plug-ins say of every row that has them: somebody asked for them."""
    for name, card in group.metrics.items():
        found = {entry.label: entry.score(name, group.protocol.headline_role) for entry in group.entries}
        rows = [
            f"{label} {' '.join(value_and_error(score)).strip()}" for label, score in found.items() if score
        ]
        if card.source and rows:
            yield f"{card.heading or name}: {'; '.join(rows)}."
