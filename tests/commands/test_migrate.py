"""Migrating the records of a run as the last release wrote them gives what the run writes now, byte for byte."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from sf2f_bench.results.records import load_all
from tests.commands.program import SMOKE, call, start_from
from tests.equality import compare

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from test_migration import as_schema_1


def test_a_migrated_run_is_the_run(anchored, tmp_path):
    folder = start_from(anchored, tmp_path / "run", with_results=True)
    done = call(folder, *SMOKE, "--models", "sf2f-64", "--steps", "2")
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder / "results", folder / "old")
    new, old = (sorted((folder / name).rglob("*.json")) for name in ("results", "old"))
    assert {record.system.kind for record in load_all(folder / "results")} == {"system", "anchor"}
    assert all(as_schema_1(path) != twin.read_bytes() for path, twin in zip(old, new, strict=True))
    done = call(folder, "migrate", "old")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": migrated: ") == len(new)
    assert "not installed" not in done.stdout
    for path, twin in zip(old, new, strict=True):
        assert path.read_bytes() == twin.read_bytes()
    assert compare(folder / "old", folder / "results").differences == []
