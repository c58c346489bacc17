"""The whole command `sf2f-bench report` over a hundred records; run with ``--benchmark-only``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
RECORDS = 100


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """The reference records of both benchmarks, with faces, voices and curves, and again under other seeds."""
    folder = tmp_path / "records"
    for name in ("synthetic-64", "synthetic-128"):
        shutil.copytree(REFERENCE / name, folder / name)
    originals = sorted(folder.rglob("*.json"))
    for i in range(RECORDS - len(originals)):
        path, turn = originals[i % len(originals)], 1 + i // len(originals)
        content = json.loads(path.read_text(encoding="utf-8"))
        content["seed"] += 1000 * turn
        content["key"] = f"{turn:x}{content['key'][1:]}"
        again = path.with_name(f"{path.stem}-again{turn}.json")
        again.write_text(json.dumps(content), encoding="utf-8")
    assert len(list(folder.rglob("*.json"))) == RECORDS
    return folder


def test_report(measure, records, tmp_path):
    out = tmp_path / "report"
    command = [sys.executable, "-m", "sf2f_bench", "report", str(records), "--out", str(out)]
    measure("report-100", lambda: subprocess.run(command, check=True, capture_output=True), way="ours")
    assert {"report.html", "report.md", "table.tex", "scores.csv", "synthetic-64-recall.svg"} <= {
        path.name for path in out.iterdir()
    }
