"""The GitHub Action: its steps run as a runner runs them, on real records of the gate's reference."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
REFERENCE = ROOT / "results" / "reference" / "smoke-64"
NEW = ("seed8", "seed9")


@pytest.fixture
def runner(tmp_path):
    """Runs a step with the environment of a runner; ``sf2f-bench`` and ``gh`` are on its path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "sf2f-bench").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m sf2f_bench "$@"\n'
    )
    (tools / "gh").write_text('#!/bin/sh\necho "$@" > gh.txt\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    given = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
    base = {
        **os.environ,
        **{name: str(path) for name, path in given.items()},
        "PATH": f"{tools}:{os.environ['PATH']}",
    }

    def run(name, **variables):
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
        return subprocess.run(
            command, cwd=tmp_path, env=base | variables, capture_output=True, text=True, check=False
        )

    return run


def split(folder: Path) -> None:
    """The reference's last two seeds as new records, the others as the reference; the anchors on both sides."""
    for path in sorted(REFERENCE.rglob("*")):
        if path.is_file():
            side = "new" if any(f"-{seed}-" in path.name for seed in NEW) else "reference"
            places = (side,) if path.name.startswith("sf2f-64") else ("new", "reference")
            for place in places:
                target = folder / place / path.relative_to(REFERENCE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def test_a_change_without_regression_passes_with_a_comment(runner, tmp_path):
    split(tmp_path)
    done = runner("check", RESULTS="new", AGAINST="reference", OPTIONS="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == "code=0\n", done.stdout
    assert "no regression" in (tmp_path / "summary").read_text()
    assert all((tmp_path / f"gate.{ending}").stat().st_size for ending in ("md", "xml", "json"))
    assert runner("comment", PULL_REQUEST="7", GH_TOKEN="x").returncode == 0
    assert (
        tmp_path / "gh.txt"
    ).read_text() == "pr comment 7 --body-file gate.md --edit-last --create-if-none\n"
    assert runner("verdict", CODE="0").returncode == 0


def test_what_cannot_be_judged_fails_and_says_so(runner, tmp_path):
    done = runner("check", RESULTS=str(REFERENCE), AGAINST=str(REFERENCE), OPTIONS="--non-inferior")
    assert done.returncode == 0
    assert (tmp_path / "output").read_text() == "code=2\n"
    assert "exit code 2" in (tmp_path / "summary").read_text()
    assert runner("verdict", CODE="2").returncode == 2


def test_every_input_is_used_and_every_expression_is_of_an_input_or_a_step():
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    for name in ACTION["inputs"]:
        assert f"inputs.{name}" in text
    known = {*(f"inputs.{name}" for name in ACTION["inputs"]), "steps.check.outputs.code", "github.token"}
    known |= {"github.event.pull_request.number"}
    assert set(re.findall(r"\$\{\{ (\S+) \}\}", text)) <= known
    assert "inputs." not in "".join(step["run"] for step in STEPS.values())  # no text of others in a script
