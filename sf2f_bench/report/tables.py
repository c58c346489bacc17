"""Records as tidy rows, and tables on the terminal and in Markdown."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sf2f_bench.protocols.names import RUNS
from sf2f_bench.report.columns import likeness_columns, retrieval_columns
from sf2f_bench.report.contents import Table, tables
from sf2f_bench.report.notes import Note, main_notes, not_here, notes
from sf2f_bench.results.numbers import NOTHING
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group, groups, label_of

MAIN_TABLES = 2  # of a summary: who is it, and how alike
LAYOUTS = ((32, 2), (21, 2), (21, 1))  # (width of labels, gap between columns), the most generous first
MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#])")


def tidy(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row a score, unrounded, with all that decides what it may be compared with."""
    rows = []
    for record in records:
        part, system = record.benchmark, record.system
        for score in record.scores:
            low, high = score.interval or (None, None)
            rows.append(
                {
                    "benchmark": part.name,
                    "benchmark_version": part.version,
                    "protocol": part.protocol,
                    "dataset": part.dataset,
                    "dataset_version": part.dataset_version,
                    "data_hash": part.data_hash,
                    "image_size": part.image_size,
                    "gallery_size": part.gallery_size,
                    "paired": part.paired,
                    "system": system.name,
                    "label": label_of(record),
                    "kind": system.kind,
                    "seed": record.seed,
                    "budget": record.budget,
                    "key": record.key,
                    "created": record.created.isoformat(),
                    "metric": score.metric,
                    "metric_version": score.version,
                    "extractor": score.extractor,
                    "extractor_role": score.extractor_role,
                    "value": score.value,
                    "n": score.n,
                    "lower": low,
                    "upper": high,
                    "spread": score.spread,
                    "higher_is_better": score.higher_is_better,
                    "basis": score.basis,
                }
            )
    return pd.DataFrame(rows)


def caption(group: Group) -> list[str]:
    """What the numbers rest on: benchmark, protocol, data, extractors, n, seeds, budget."""
    record = group.rows[0].record
    part, count = record.benchmark, record.benchmark.identities
    shown = [*retrieval_columns(group), *likeness_columns(group)]
    scores = [row.score(column.pattern, column.by) for row in group.rows for column in shown]
    sizes = sorted({score.n for score in scores if score} or {score.n for score in group.scores})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]} (scores.csv has each)"
    seeds = ", ".join(str(seed) for seed in sorted({row.record.seed for row in group.rows}))
    budgets = ", ".join(sorted({row.record.budget for row in group.trained or group.rows}))
    lines = [
        f"Benchmark {group.benchmark}, protocol {part.protocol}, {part.image_size}x{part.image_size} pixels, "
        f"{group.searched}, {part.segments} voice segments; n = {n} test identities; "
        f"seeds {seeds}; budget {budgets}.",
        f"Data {part.dataset}/{part.dataset_version} ({'real' if part.real else 'synthetic'}, "
        f"{'paired' if part.paired else 'UNPAIRED'}, hash {part.data_hash}): "
        f"{count.train}/{count.val}/{count.test} identities for training/validation/test.",
        f"Judge: {group.extractor('judge') or 'none'}; "
        f"network of the training loss: {group.extractor('training-loss') or 'none'}.",
    ]
    if beside := [*group.further, *group.attribute_judges]:
        lines[-1] += f" Beside them: {', '.join(dict.fromkeys(beside))}."
    if group.galleries:
        lines.append(
            f"Means of {RUNS} runs with random crops, ± standard deviation over the runs; anchors answer once. 95 % "
            f"intervals over identities: scores.csv and the pictures. {NOTHING} not measured, the notes say why."
        )
    else:
        lines.append(
            "In brackets 95 % intervals; ± standard deviation over parts; "
            f"{NOTHING} not measured, the notes say why."
        )
    return lines


def summary(records: Sequence[RunRecord], console: Console) -> None:
    """Print of every comparable group the main tables, the verdicts, and what the report has besides.

    Raises BenchError where there are no records.
    """
    summarise_groups(groups(records), console)


def summarise_groups(found: Sequence[Group], console: Console) -> None:
    """What `summary` prints, of groups."""
    for group in found:
        every, said = tables(group), [*main_notes(group), *map(Note, not_here(group))]
        _print_group(group, every[:MAIN_TABLES], said, console)
        parts = [f"{more} more tables" if (more := len(every) - MAIN_TABLES) > 0 else ""]
        parts += [f"{len(notes(group)) - len(said)} more notes on data, limits and what is absent"]
        console.print()
        _say(console, f"In the report: {' and '.join(filter(None, parts))}.", "dim")


def print_groups(found: Sequence[Group], console: Console) -> None:
    """Print every group's tables and notes, in as many columns as the console has room for."""
    for group in found:
        _print_group(group, tables(group), notes(group), console)


def _print_group(group: Group, shown: Sequence[Table], said: Sequence[Note], console: Console) -> None:
    console.print()
    console.rule(Text(group.title, "bold"))
    if group.why:
        _say(console, group.why, "yellow")
    for table in shown:
        drawn, dropped = _fit(table, console)
        console.print(Text(f"\n{table.title}", "bold"))
        console.print(drawn)
        if dropped:
            _say(console, f"Left out at this width: {', '.join(dropped)}. The report has them.", "dim")
    console.print()
    for line in caption(group):
        _say(console, line, "dim")
    console.print()
    for note in said:
        _bullet(console, note)


def markdown_table(table: Table) -> str:
    """A pipe table; rows of anchors are set apart by italics."""
    lines = [f"**{markdown(table.title)}**", ""]
    lines.append("| " + " | ".join(["", *map(markdown, table.headings)]) + " |")
    lines.append("|" + "---|" * (len(table.headings) + 1))
    first_ablation = table.first("ablation")
    for line in table.lines:
        label = markdown(line.label)
        name = f"**{label}**" if line.zone == "system" else label if line.zone == "ablation" else f"*{label}*"
        if line is first_ablation:
            heading = f"*{markdown(table.ablations)}*"
            lines.append("| " + " | ".join([heading, *[""] * len(table.headings)]) + " |")
        lines.append("| " + " | ".join([name, *map(markdown, line.cells)]) + " |")
    return "\n".join(lines) + "\n"


def markdown(text: str) -> str:
    """Text that Markdown shows as it stands, also inside a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _fit(table: Table, console: Console) -> tuple[RichTable, list[str]]:
    """The widest version that fits the console, and the headings that had to go."""
    dropped: list[str] = []
    while True:
        for label_width, gap in LAYOUTS:
            if width_of(table, label_width, gap) <= console.width:
                return draw(table, label_width, gap), dropped
        kept = [i for i, rank in enumerate(table.ranks) if rank > min(table.ranks)]
        if not kept:
            return draw(table, *LAYOUTS[-1]), dropped
        dropped += [heading for i, heading in enumerate(table.headings) if i not in kept]
        table = table.only(kept)


def width_of(table: Table, label_width: int, gap: int) -> int:
    """What rich measures of what `draw` makes, in a tenth of the time."""
    labels = [_label(line.label, label_width) for line in table.lines]
    if table.first("ablation"):
        labels.append(_label(table.ablations, label_width))
    columns = [labels]
    for heading, values in zip(
        table.headings, zip(*(line.cells for line in table.lines), strict=True), strict=True
    ):
        columns.append([_heading(heading), *_aligned(values)])
    widths = [max(cell_len(line) for text in column for line in text.split("\n")) for column in columns]
    return sum(widths) + gap * (len(widths) - 1)


def draw(table: Table, label_width: int, gap: int) -> RichTable:
    """For a terminal: labels broken at this width, so many spaces between the columns."""
    padding = (0, gap - 1, 0, 0)  # the box itself leaves one space between columns
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    drawn.add_column("", no_wrap=True)
    for heading in table.headings:
        drawn.add_column(Text(_heading(heading)), no_wrap=True)
    columns = [_aligned(values) for values in zip(*(line.cells for line in table.lines), strict=True)]
    previous = None
    for line, cells in zip(table.lines, zip(*columns, strict=True), strict=True):
        if previous not in (None, line.zone):
            drawn.add_section()
            if line.zone == "ablation":
                drawn.add_row(Text(_label(table.ablations, label_width), "italic dim"))
        previous = line.zone
        style = {"system": "bold", "ablation": ""}.get(line.zone, "dim")
        drawn.add_row(Text(_label(line.label, label_width), style), *(Text(value, style) for value in cells))
    return drawn


def _heading(text: str) -> str:
    return text.replace(" ", "\n", 1)


def _label(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or "?"


def _aligned(cells: Sequence[str]) -> list[str]:
    """Values right-justified among themselves, so that their intervals begin in one place."""
    parts = [value.partition(" ") for value in cells]
    width = max(len(value) for value, _, _ in parts)
    return [f"{value:>{width}}{space}{rest}" for value, space, rest in parts]


def _say(console: Console, text: str, style: str) -> None:
    """Plain text, never markup: labels may hold brackets."""
    console.print(Text(text, style))


def _bullet(console: Console, note: Note) -> None:
    wrapped = textwrap.wrap(f"- {note.marked}", max(20, console.width - 1), subsequent_indent="  ")
    console.print(Text("\n".join(wrapped), "bold red" if note.alarm else ""))
