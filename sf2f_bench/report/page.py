"""The report's files: one HTML page, the same in Markdown, the tables as text, LaTeX and CSV, and the pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sf2f_bench.files import write_atomically
from sf2f_bench.protocols.names import BENCH
from sf2f_bench.report.contents import tables
from sf2f_bench.report.faces import face_identities
from sf2f_bench.report.html import html_page
from sf2f_bench.report.html_gallery import gallery
from sf2f_bench.report.html_pictures import PICTURES
from sf2f_bench.report.html_tables import html_tables
from sf2f_bench.report.latex import latex_file
from sf2f_bench.report.notes import notes
from sf2f_bench.report.pictures import Drawing, Plan
from sf2f_bench.report.published import HEADINGS, published
from sf2f_bench.report.tables import caption, markdown, markdown_table, print_groups, summarise_groups, tidy
from sf2f_bench.report.words import ETHICS, PUBLISHED
from sf2f_bench.results.numbers import NOTHING
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group, groups

TEXT_WIDTH = 120


def report_files(records: Sequence[RunRecord], out: Path, console: Console | None) -> list[Path]:
    """Write everything into `out`; see `sf2f_bench.report.write_report`."""
    records = sorted(records, key=lambda record: (record.stem, record.key, record.created))
    found = groups(records)
    with Drawing(Plan(found, _stems(found), out)) as drawing:
        files = {
            "table.txt": _plain(found),
            "table.tex": latex_file(found),
            "scores.csv": tidy(records).to_csv(index=False),
        }
        if console is not None:
            summarise_groups(found, console)
        for group in found:  # kept for the page, which needs the pictures
            html_tables(group)
            gallery(group)
        pictures = drawing.finish()
    files["report.md"] = _markdown(found, pictures)
    files["report.html"] = html_page(found, pictures)
    texts = [_write(out / name, text) for name, text in files.items()]
    return texts + [path for drawn in pictures for paths in drawn.values() for path in paths]


def _markdown(found: Sequence[Group], pictures: Sequence[dict[str, list[Path]]]) -> str:
    return "\n".join(
        ["# Speech-to-face benchmark report", ""]
        + [_section(group, drawn) for group, drawn in zip(found, pictures, strict=True)]
        + _published()
        + ["## Limits and ethics", "", *(f"{text}\n" for text in map(markdown, ETHICS))]
    )


def _write(path: Path, text: str) -> Path:
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _stems(found: list[Group]) -> list[str]:
    """A name for each group's pictures: its benchmark's, with an unusual protocol's, numbered where groups share it."""
    titles = [
        group.rows[0].record.benchmark.name + ("" if group.protocol == BENCH else f"-{group.protocol}")
        for group in found
    ]
    names = [re.sub(r"[^A-Za-z0-9.]+", "-", title).strip("-.") for title in titles]
    return [
        name if names.count(name) == 1 else f"{name}-{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def _plain(found: Sequence[Group]) -> str:
    """What the terminal shows, as text."""
    buffer = io.StringIO()
    print_groups(found, Console(file=buffer, width=TEXT_WIDTH, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _section(group: Group, pictures: dict[str, list[Path]]) -> str:
    """One comparable group as Markdown."""
    lines = [f"## {markdown(group.title)}", ""]
    if group.why:
        lines += [markdown(group.why), ""]
    lines += [markdown_table(table) for table in tables(group)]
    lines += [markdown(line) + "  " for line in caption(group)]
    lines += ["", "### Notes", ""]
    lines += [
        f"- **{markdown(note.marked)}**" if note.alarm else f"- {markdown(note.text)}"
        for note in notes(group)
    ]
    lines += ["", "### Pictures", ""]
    for name, paths in pictures.items():
        lines += [f"![{PICTURES[name]}]({paths[0].name})", ""]
        if name == "faces":
            lines += [f"Test identities, left to right: {markdown(', '.join(face_identities(group)))}.", ""]
    return "\n".join([*lines, *_systems(group), *_provenance(group)])


def _published() -> list[str]:
    """What others have printed, and why it may not be compared with the tables above."""
    lines = ["## Published rows", "", markdown(PUBLISHED), ""]
    lines += ["| " + " | ".join(["system, as printed", *map(markdown, HEADINGS.values())]) + " |"]
    lines += ["|" + "---|" * (len(HEADINGS) + 1)]
    for row in published():
        cells = [markdown(text) or NOTHING for text in row.cells.values()]
        lines.append("| " + " | ".join([markdown(row.system), *cells]) + " |")
    return [*lines, ""]


def _systems(group: Group) -> list[str]:
    """What each row is, from its card."""
    lines = ["### Rows", ""]
    for row in group.rows:
        card = row.record.system
        facts = [f"{card.description}.", f"Version {card.version}."]
        facts += [f"Licence: {card.licence}."] if card.licence else []
        facts += [f"Reference: {card.reference}."] if card.reference else []
        facts += [f"Limits: {card.limits}"] if card.limits else []
        lines.append(f"- **{markdown(row.label)}**: {markdown(' '.join(fact for fact in facts if fact))}")
    return [*lines, ""]


def _provenance(group: Group) -> list[str]:
    """Where each number comes from: key, time, machine, cost; and the extractors' weights."""
    headings = [
        "row",
        "key",
        "created",
        "device",
        "torch",
        "package",
        "wall s",
        "training s",
        "peak MB",
    ]
    lines = ["### Provenance", "", "| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    for row in group.rows:
        record, ran, cost = row.record, row.record.environment, row.record.cost
        commit = f" ({ran.commit[:10]})" if ran.commit else ""
        values = [
            row.label,
            record.key[:12],
            record.created.isoformat(timespec="seconds"),
            f"{ran.device}, {ran.threads} threads, {ran.platform}, Python {ran.python}",
            ran.torch,
            f"{ran.package}{commit}",
            f"{cost.wall_seconds:.0f}",
            f"{cost.train_seconds:.0f}",
            f"{cost.peak_memory_mb:.0f}",
        ]
        lines.append("| " + " | ".join(map(markdown, values)) + " |")
    weights = {id_: digest for row in group.rows for id_, digest in row.record.weights.items()}
    lines += [""] + [
        f"- weights of {markdown(id_)}: sha256 {digest}" for id_, digest in sorted(weights.items())
    ]
    return [*lines, ""]
