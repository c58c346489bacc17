"""`sf2f-bench check` as a user types it, on the committed reference runs."""

from __future__ import annotations

import json
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from click.testing import CliRunner

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.commands.check import check
from sf2f_bench.metrics.common import card_of
from sf2f_bench.protocols.catalogue import PROTOCOLS
from sf2f_bench.results.records import load
from sf2f_bench.types import BenchError

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference" / "smoke-64"
SYSTEM = "sf2f-64 (width 0.25)"


def said(*words: object, width: int = 130):
    return CliRunner(env={"COLUMNS": str(width)}).invoke(check, list(map(str, words)), catch_exceptions=False)


@pytest.fixture
def new(tmp_path):
    """One seed's records of the reference, as if they had been made anew."""
    folder = tmp_path / "new"
    folder.mkdir()
    for path in REFERENCE.rglob("*"):
        if path.is_file() and (not path.name.startswith("sf2f-64") or "-seed0-" in path.name):
            shutil.copy(path, folder)
    return folder


def spoil(folder: Path, by: float) -> None:
    """Make the trained system's cosines worse by an amount, person by person, as a new seed's run."""
    (path,) = folder.glob("sf2f-64*.json")
    record = json.loads(path.read_text())
    record["seed"] = 77
    for side, name in record["files"].items():
        if isinstance(name, str):
            record["files"][side] = name.replace("-seed0-", "-seed77-")
            (folder / name).rename(folder / record["files"][side])
    lower_cosines(folder, record, by)
    path.unlink()
    (folder / path.name.replace("-seed0-", "-seed77-")).write_text(json.dumps(record))


def lower_cosines(folder: Path, record: dict, by: float) -> None:
    """In the record and its per-identity file alike."""
    del record["files"]["sha256"]
    for score in record["scores"]:
        if score["metric"] == "cosine":
            score["value"] -= by
            score["interval"] = [end - by for end in score["interval"]]
    values = folder / record["files"]["per_identity"]
    frame = pd.read_parquet(values)
    for column in frame.columns:
        if column.startswith("cosine|"):
            frame[column] -= by
    frame.to_parquet(values, index=False)


def test_the_reference_holds_what_the_gate_needs_and_is_small():
    records = [load(path) for path in REFERENCE.rglob("*.json")]
    seeds = {record.seed for record in records if record.system.kind == "system"}
    assert len(seeds) >= 5
    tolerances = {one.system.name: one.system.tolerance for one in records if one.system.kind == "anchor"}
    exact = {name: 1e-6 for name in ("chance", "gender-oracle", "gender-age-oracle")} | {
        "real-photo-oracle": 1e-4
    }
    assert tolerances == {**exact, "mean-face": None}  # a floor is kept too
    assert sum(path.stat().st_size for path in REFERENCE.rglob("*")) < 8 * 2**20
    heard = [
        s.value
        for r in records
        for s in r.scores
        if s.metric == "verification-auc" and r.system.kind == "system"
    ]
    assert sum(heard) / len(heard) > 0.6  # it hears something, else it could not get worse


def test_unchanged_records_pass_and_all_files_say_so(new, tmp_path):
    files = {name: tmp_path / f"gate.{name}" for name in ("markdown", "junit", "json")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    done = said(new, "--against", REFERENCE, *options)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    for expected in (SYSTEM, "recall@10/g100", "same numbers", "passed", "no regression (exit code 0)"):
        assert expected in words
    assert "numbers, all as in the reference" in words
    text = files["markdown"].read_text()
    assert text.startswith("### ✅ sf2f-bench check: no regression")
    assert f"**{SYSTEM}**\n\n| metric | by |" in text
    facts = json.loads(files["json"].read_text())
    assert (facts["verdict"], facts["exit_code"], facts["instrument"]["deviations"]) == (
        "no regression",
        0,
        [],
    )
    suites = ElementTree.parse(files["junit"]).getroot()
    assert suites.get("failures") == suites.get("errors") == "0"
    cases = sum(line["decides"] for line in facts["lines"])
    assert int(suites.get("tests")) == 2 + cases  # the instrument and the system's room to fall beside them


def test_a_worse_system_fails_and_every_file_says_by_what(new, tmp_path):
    spoil(new, 0.6)
    junit, page, facts = (tmp_path / name for name in ("gate.xml", "gate.md", "gate.json"))
    done = said(new, "--against", REFERENCE, "--junit", junit, "--markdown", page, "--json", facts)
    assert done.exit_code == 1, done.output
    assert "REGRESSION: sf2f-64 (width 0.25): cosine by the judge is worse by" in " ".join(
        done.output.split()
    )
    assert page.read_text().startswith("### ❌ sf2f-bench check: regression")
    failed = ElementTree.parse(junit).getroot().findall(".//testcase[failure]")
    assert {case.get("name") for case in failed} == {"cosine by the judge", "cosine by the training-loss"}
    lines = {
        (line["metric"], line["extractor_role"]): line for line in json.loads(facts.read_text())["lines"]
    }
    cosine = lines["cosine", "judge"]
    assert cosine["upper"] < -cosine["margin"]
    assert cosine["q"] < 0.05
    assert said(new, "--against", REFERENCE, "--margin", "cosine=2").exit_code != 1


def test_what_is_not_comparable_is_refused_with_exit_code_two(new, tmp_path):
    (path,) = new.glob("sf2f-64*.json")
    path.write_text(path.read_text().replace('"gallery_size": 100', '"gallery_size": 50'))
    junit = tmp_path / "gate.xml"
    done = said(new, "--against", REFERENCE, "--junit", junit)
    assert done.exit_code == 2
    assert "gallery_size differs (50 here, 100 there)" in " ".join(done.output.split())
    assert ElementTree.parse(junit).getroot().get("errors") == "1"


def test_a_changed_anchor_fails_in_words_of_its_own(new):
    (path,) = new.glob("real-photo-oracle*.json")
    record = json.loads(path.read_text())
    lower_cosines(new, record, 0.01)
    path.write_text(json.dumps(record))
    done = said(new, "--against", REFERENCE)
    assert done.exit_code == 1
    assert "the instrument has changed: real-photo-oracle: cosine" in " ".join(done.output.split())


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_number_is_cut(new, width):
    spoil(new, 0.1)
    output = said(new, "--against", REFERENCE, width=width).output
    assert "…" not in output
    verdict = r" (inconclusive|passed|regressed|\((inconclusive|passed|regressed)\)) *$"
    assert len(re.findall(verdict, output, re.MULTILINE)) == 17
    assert output.count("(inconclusive)") + output.count("(passed)") + output.count("(regressed)") >= 8
    assert max(map(len, output.splitlines())) <= width


def test_wrong_words_are_refused(new, tmp_path):
    with pytest.raises(BenchError, match="METRIC=VALUE"):
        said(new, "--against", REFERENCE, "--margin", "cosine")
    with pytest.raises(BenchError, match="there is no folder"):
        said(new, "--against", tmp_path / "nowhere")


def test_the_documented_margins_are_those_of_the_cards():
    page = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
    margins, used = re.findall(r"^\| `(.+)` \| (.+) \| (.+) \|$", page, re.MULTILINE), set()
    for protocol in PROTOCOLS.values():
        for metric in protocol.metrics(Benchmark("x", "y", gallery_size=100, ks=(1, 5, 10)), 300):
            pattern, amount, reason = next(row for row in margins if fnmatchcase(metric.name, row[0]))
            margin = card_of(metric).margin
            wanted = f"{100 * margin.amount:g} %" if margin.relative else f"{margin.amount:g}"
            assert (amount, reason) == (wanted.replace("0.", "."), margin.reason), metric.name
            used.add(pattern)
    assert used == {pattern for pattern, _, _ in margins}


def cosine_of(content: dict) -> dict:
    return next(score for score in content["scores"] if score["metric"] == "cosine")


FORGED = {
    "a value beyond all": lambda content: content["scores"][0].update(value=1e300, interval=[1e300, 1e300]),
    "a value with unedited identities": lambda content: cosine_of(content).update(
        value=0.9, interval=[0.8, 1.0]
    ),
    "no ks": lambda content: content["benchmark"].update(ks=[]),
}


@pytest.mark.parametrize("side", ["new", "reference"])
@pytest.mark.parametrize("how", FORGED)
def test_what_is_not_valid_is_not_judged(new, tmp_path, how, side):
    reference = shutil.copytree(new, tmp_path / "old")
    (path,) = (new if side == "new" else reference).glob("sf2f-64*.json")
    content = json.loads(path.read_text())
    FORGED[how](content)
    path.write_text(json.dumps(content))
    done = said(new, "--against", reference)
    assert done.exit_code == 2
    assert path.name in "".join(done.output.split())
    assert "no regression (" not in done.output
