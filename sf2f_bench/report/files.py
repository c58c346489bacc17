"""The report's files: one HTML page, the same in Markdown, the tables as text, LaTeX and CSV, and the pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sf2f_bench.files import write_atomically
from sf2f_bench.report.gallery import gallery
from sf2f_bench.report.html import html_page
from sf2f_bench.report.latex import latex_file
from sf2f_bench.report.markdown import claims_file, markdown_file
from sf2f_bench.report.marks import marked_tables
from sf2f_bench.report.pictures import Drawing, PicturePlan
from sf2f_bench.report.tables import tables
from sf2f_bench.report.terminal import print_groups, summarise_groups
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group, groups
from sf2f_bench.results.texts import csv_of
from sf2f_bench.results.tidy import tidy

TEXT_WIDTH = 120


def report_files(records: Sequence[RunRecord], out: Path, console: Console | None) -> list[Path]:
    """Write everything into `out`; see `sf2f_bench.report.write_report`."""
    records = sorted(records, key=lambda record: (record.stem, record.key, record.created))
    found = groups(records)
    for group in found:  # before this process is copied, so that none of the copies makes them again
        tables(group)
    with Drawing(PicturePlan(found, _stems(found), out)) as drawing:
        files = {
            "table.txt": _plain(found),
            "table.tex": latex_file(found),
            "scores.csv": csv_of(tidy(records)),
        }
        if console is not None:
            summarise_groups(found, console)
        for group in found:  # kept for the page, which needs the pictures
            marked_tables(group)
            gallery(group)
        pictures = drawing.finish()
    files["claims.md"] = claims_file(found)
    files["report.md"] = markdown_file(found, pictures)
    files["report.html"] = html_page(found, pictures)
    texts = [_write(out / name, text) for name, text in files.items()]
    return texts + [path for drawn in pictures for paths in drawn.values() for path in paths]


def _write(path: Path, text: str) -> Path:
    return write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _stems(found: Sequence[Group]) -> list[str]:
    """A name for each group's pictures: its benchmark's, with an unusual protocol's, numbered where groups share it."""
    titles = [
        group.part.name if group.protocol.is_default else f"{group.part.name}-{group.part.protocol}"
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
