"""README's first screen shows what the command prints over the committed records; its figures were measured."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from sf2f_bench.benchmarks import ANCHORS, SYSTEMS
from sf2f_bench.protocols.names import BENCH
from sf2f_bench.report import brief
from sf2f_bench.results.records import load_all

ROOT = Path(__file__).parents[2]
WIDTH = 80


def test_the_table_of_the_first_screen_is_that_of_the_committed_default_run():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(part for part in text.split("```") if part.lstrip().startswith("──"))
    records = [
        record
        for record in load_all(ROOT / "results" / "reference" / "synthetic-64")
        if record.seed == 0
        and record.benchmark.protocol == BENCH
        and record.system.name in (*ANCHORS, *SYSTEMS[64])
    ]
    buffer = io.StringIO()
    brief(records, Console(file=buffer, width=WIDTH, color_system=None))
    printed = [line.rstrip() for line in buffer.getvalue().strip().splitlines()]
    assert block.strip().splitlines() == printed


def test_what_it_promises_at_full_size_is_what_was_measured():
    measured = (ROOT / "results" / "reference" / "scale.md").read_text(encoding="utf-8")
    (promise,) = [part for part in measured.split("\n\n") if part.startswith("At HQ-VoxCeleb's full size")]
    page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
    assert " ".join(promise.split()) in " ".join(page.split())


def test_it_is_short_enough_to_be_read_to_the_end():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
