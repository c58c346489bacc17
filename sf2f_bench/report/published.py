"""Published rows: what others have printed, in a table of its own because nothing here may be compared with it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

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


@dataclass(frozen=True)
class Published:
    """One printed row; `cells` by the columns of `HEADINGS`, as printed, empty where nothing was."""

    system: str
    cells: dict[str, str]


def published() -> list[Published]:
    """The rows in the order of their sources."""
    file = resources.files("sf2f_bench") / "data" / "published_results.csv"
    lines = csv.DictReader(file.read_text(encoding="utf-8").splitlines())
    return [Published(line["system"], _cells(line)) for line in lines]


def _cells(line: dict[str, str]) -> dict[str, str]:
    cells = {name: line[name] for name in HEADINGS}
    if line["vfs_std"]:
        cells["vfs_mean"] += f" ± {line['vfs_std']}"
    return cells
