"""`sf2f-bench doctor`: what is here, what is missing, and what can be run with it."""

from __future__ import annotations

import json
import tomllib
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from sf2f_bench.commands import doctor as module
from sf2f_bench.commands.main import main
from sf2f_bench.extractors.weights import FOLDER_VARIABLE

ROOT = Path(__file__).parents[2]
HQ = "sf2f-bench run hq-voxceleb-64 --root FOLDER --budget paper"
NEEDED = ("20180402-114759-vggface2.pt", "arcface_weights.pth")


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """An empty folder of weights, and nothing of other packages' folders."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    for name in ("TORCH_HOME", "DEEPFACE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    return folder


def asked(*words, code=0):
    done = CliRunner().invoke(main, ["doctor", "--json", "found.json", *words])
    assert done.exit_code == code, done.output
    found = json.loads(Path("found.json").read_text())
    return {part["what"]: part for part in found["parts"]}, {task["command"]: task for task in found["tasks"]}


def test_the_default_can_be_run_and_the_papers_cannot_with_what_it_lacks(weights):
    parts, tasks = asked()
    assert tasks["sf2f-bench run"]["can"] == "yes"
    assert tasks[HQ]["can"] == "no"
    assert tasks[HQ]["why"] == f"needs {', '.join(NEEDED)}, the data"
    assert not any(parts[name]["here"] for name in NEEDED)


def test_weights_that_are_here_are_found(weights):
    for name in NEEDED:
        (weights / name).write_bytes(b"x")
    parts, tasks = asked()
    assert all(parts[name]["here"] for name in NEEDED)
    assert tasks[HQ]["why"] == "needs the data"


def test_a_folder_that_is_no_data_set_is_said_to_be_none(weights, tmp_path):
    parts, tasks = asked("--root", str(tmp_path))
    assert not parts["HQ-VoxCeleb"]["here"]
    assert "hq-voxceleb" in parts["HQ-VoxCeleb"]["text"]
    assert tasks[HQ.replace("FOLDER", str(tmp_path))]["can"] == "no"


def test_a_full_disk_stops_even_the_default(weights, monkeypatch):
    usage = namedtuple("usage", "total used free")(100e9, 99e9, 1e9)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda place: usage)
    parts, tasks = asked(code=1)
    assert not parts["disk"]["here"]
    assert "3 GB" in parts["disk"]["remedy"]
    assert tasks["sf2f-bench run"]["can"] == "no"


def test_the_text_says_it_in_80_columns_and_changes_nothing(weights, tmp_path):
    done = CliRunner().invoke(main, ["doctor"], env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    assert "yes: sf2f-bench run\n" in done.output
    assert "name the folder of HQ-VoxCeleb with --root" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_the_extras_are_those_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(module.EXTRAS) == set(extras)
    for name, (_, packages) in module.EXTRAS.items():
        declared = " ".join(extras[name]).replace("_", "-")
        assert all(package.replace("_", "-") in declared for package in packages)
