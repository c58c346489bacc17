"""A record that names files of the reader's machine: no command that reads records takes one."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sf2f_bench.commands.main import main
from tests.unit.record_factory import record, saved

COMMANDS = {
    "report": ["report", "results"],
    "validate": ["validate", "results"],
    "check": ["check", "results", "--against", "reference"],
    "compare": ["compare", "sf2f-64", "chance", "results"],
    "export": ["export", "results", "--out", "scores.csv"],
}


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """results/ with an honest record, and one of the stranger's, to be pointed at private.png."""
    monkeypatch.chdir(tmp_path)
    saved(record("chance", 0.1, "own"), Path("results"))
    made = saved(record("sf2f-64"), Path("results"), faces=True, curve=True)
    picture = np.random.default_rng(0).integers(0, 256, (64, 256, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "private.png")
    shutil.copytree("results", "reference")
    (tmp_path / "results" / f"{made.stem}.").mkdir()
    return tmp_path / "results" / f"{made.stem}.json"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", ["absolute", "above", "in disguise", "link"])
@pytest.mark.parametrize("side", ["faces", "curve"])
def test_no_command_takes_a_file_from_elsewhere(strangers, command, how, side):
    private = strangers.parents[1] / "private.png"
    name = {
        "absolute": str(private),
        "above": "../private.png",
        "in disguise": f"{strangers.stem}./../../private.png",
        "link": f"{strangers.stem}.link.png",
    }[how]
    if how == "link":
        (strangers.parent / name).symlink_to(private)
    assert (strangers.parent / name).is_file()
    content = json.loads(strangers.read_text())
    content["files"][side] = name
    strangers.write_text(json.dumps(content))
    secret = private.read_bytes()
    done = CliRunner().invoke(main, COMMANDS[command])
    said = f"{done.output} {done.exception}"
    assert done.exit_code == {"report": 0, "export": 0, "validate": 1}.get(
        command, 2
    )  # which go on with the others
    assert (
        "is a link" in said
        if how == "link"
        else f"expected files.{side} to be the plain name of a file" in said
    )
    written = [path for path in strangers.parents[1].rglob("*") if path.is_file() and not path.is_symlink()]
    written.remove(private)
    assert not any(
        b64encode(secret)[:60] in path.read_bytes() or secret in path.read_bytes() for path in written
    )
    tables = [path.read_text() for path in written if path.name in ("scores.csv", "report.html")]
    assert not any("sf2f-64" in table for table in tables)  # no row of the stranger's
