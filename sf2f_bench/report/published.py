"""Published rows: what others have printed, in tables of their own because nothing here may be compared with it."""

from __future__ import annotations

import csv
from importlib import resources

from sf2f_bench.report.tables import Cell, Column, Row, Section, Table

HEADINGS = {  # column of the file -> heading
    "dataset": "data",
    "resolution": "pixels",
    "audio_seconds": "seconds of speech",
    "gallery": "gallery",
    "embedding": "network that scores",
    "cosine": "cosine",
    "l1": "L1",
    "l2": "L2",
    "recall@1": "recall@1 (%)",
    "recall@2": "recall@2 (%)",
    "recall@5": "recall@5 (%)",
    "recall@10": "recall@10 (%)",
    "vfs_mean": "VGGFace Score",
    "source": "source",
    "note": "note",
}
NUMBERS = ("cosine", "l1", "l2", "recall@1", "recall@2", "recall@5", "recall@10", "vfs_mean")
LOWER_IS_BETTER = ("l1", "l2")


def published() -> Table:
    """The rows in the order of their sources; a column's metric is its name in the file; empty where nothing was."""
    file = resources.files("sf2f_bench") / "data" / "published_results.csv"
    lines = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    columns = tuple(
        Column(heading, name, higher_is_better=name not in LOWER_IS_BETTER)
        for name, heading in HEADINGS.items()
    )
    rows = tuple(Row(line["system"], tuple(_cell(line, name) for name in HEADINGS)) for line in lines)
    return Table("Published rows, as printed", columns, (Section("system", rows),))


def _cell(line: dict[str, str], name: str) -> Cell:
    deviation = line["vfs_std"] if name == "vfs_mean" else ""
    return Cell(line[name], f"± {deviation}" if deviation else "")
