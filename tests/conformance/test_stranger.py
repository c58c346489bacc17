"""A stranger's package, from a metric to an ablation in one file each, is seen wherever the project's own are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

from sf2f_bench.results.records import load_all
from sf2f_bench.testing import check_anchor, check_dataset, check_extractor, check_metric, check_model
from sf2f_bench.types import DatasetSource
from tests.commands.program import call
from tests.conformance.stranger.ablation import WithoutDeviation
from tests.conformance.stranger.anchor import FirstPhoto
from tests.conformance.stranger.dataset import FewPeople
from tests.conformance.stranger.extractor import Thumbnail
from tests.conformance.stranger.metric import Nearness
from tests.conformance.stranger.model import Listener
from tests.plugins import install

FILES = Path(__file__).with_name("stranger")
ENTRY_POINTS = {
    "sf2f_bench.metrics": {"nearness": "stranger.metric:metrics"},
    "sf2f_bench.models": {
        "first-photo": "stranger.anchor:FirstPhoto",
        "listener": "stranger.model:Listener",
        "listener-mean": "stranger.ablation:WithoutDeviation",
    },
    "sf2f_bench.extractors": {"thumbnail": "stranger.extractor:Thumbnail"},
    "sf2f_bench.datasets": {"few-people": "stranger.dataset:FewPeople"},
}
RUN = (
    "run",
    "few-people-64",
    "--budget",
    "smoke",
    "--device",
    "cpu",
    "--gallery",
    "10",
    "--ks",
    "1,5",
    "--steps",
    "10",
)
ROWS = ("first-photo", "listener", "without deviation of the bands")
SEEDS = (0, 1, 2)  # as many as the gate asks for


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> str:
    """The folder in which the package is installed."""
    files = {f"stranger/{path.name}": path.read_text(encoding="utf-8") for path in FILES.glob("*.py")}
    return str(install(tmp_path_factory.mktemp("site"), "stranger", files, ENTRY_POINTS))


@pytest.fixture(scope="module")
def ran(site, tmp_path_factory) -> tuple[Path, CompletedProcess[str]]:
    """A folder in which everything ran once and the model with two further seeds; what the first run printed."""
    folder = tmp_path_factory.mktemp("stranger")
    all_rows = ("--models", "listener", "--models", "listener-mean", "--models", "first-photo")
    first = [*RUN, *all_rows, "--extractors", "thumbnail", "--full"]
    done = [call(folder, *first, PYTHONPATH=site, COLUMNS="160")]
    for seed in SEEDS[1:]:
        words = [*RUN, "--models", "listener", "--extractors", "thumbnail", "--seed", seed]
        done.append(call(folder, *words, PYTHONPATH=site))
    assert [one.returncode for one in done] == [0, 0, 0], done[-1].stderr
    return folder, done[0]


@pytest.fixture(scope="module")
def reported(ran) -> Path:
    """The folder of the report. It reads records alone: the package is not on its path."""
    folder, _ = ran
    done = call(folder, "report", "results")
    assert done.returncode == 0, done.stderr
    return folder / "results" / "report"


def test_its_parts_keep_their_contracts():
    check_metric(Nearness())
    check_anchor(FirstPhoto())
    check_extractor(Thumbnail("thumbnail"))
    check_dataset(FewPeople(DatasetSource()), people=1)
    check_model(Listener)
    check_model(WithoutDeviation)


def test_list_names_everything_with_its_package(site, tmp_path):
    done = call(tmp_path, "list", PYTHONPATH=site)
    assert done.returncode == 0, done.stderr
    for entries in ENTRY_POINTS.values():
        for name in entries:
            assert f"  {name:<34}of the package stranger" in done.stdout


def test_the_records_keep_the_cards(ran):
    folder, _ = ran
    records = {record.system.name: record for record in load_all(folder / "results")}
    ablation = records["listener-mean"]
    assert (ablation.system.ablation_of, ablation.system.change) == ("listener", WithoutDeviation.card.change)
    assert records["first-photo"].system.place == "floor"
    for name in ("listener", "listener-mean", "first-photo"):
        assert records[name].metrics["nearness"] == replace(Nearness.card, source="stranger 1.0")
        assert records[name].extractors[Thumbnail.id] == replace(Thumbnail.card, source="stranger 1.0")
        assert {score.extractor for score in records[name].scores if score.metric == "nearness"} >= {
            Thumbnail.id
        }
        assert records[name].benchmark.dataset == "few-people"


def test_the_terminal_shows_it(ran):
    _, done = ran
    for word in (*ROWS, "ablations of listener", "near-ness", Thumbnail.id, "Data few-people/1"):
        assert word in done.stdout


@pytest.mark.parametrize("file", ["report.html", "report.md", "table.tex"])
def test_the_report_shows_it(reported, file):
    text = (reported / file).read_text(encoding="utf-8")
    for word in (*ROWS, "near-ness", Thumbnail.card.title, "few-people-64"):
        assert word in text


def test_the_numbers_are_in_the_csv(reported):
    scores = pd.read_csv(reported / "scores.csv")
    for name in ("first-photo", "listener", "listener-mean"):
        rows = scores[
            (scores.system == name) & (scores.metric == "nearness") & (scores.extractor == Thumbnail.id)
        ]
        assert rows.value.between(-1, 1).all()
        assert len(rows) == (len(SEEDS) if name == "listener" else 1)


@pytest.mark.parametrize("other", ["first-photo", "listener-mean"])
def test_compare_tests_it(ran, other):
    folder, _ = ran
    done = call(
        folder, "compare", "listener", other, "results", "--metrics", "nearness", "--json", "found.json"
    )
    assert done.returncode == 0, done.stderr
    assert "near-ness" in done.stdout
    assert Thumbnail.id in done.stdout
    assert other in done.stdout


def test_validate_makes_its_values_anew(ran):
    folder, _ = ran
    done = call(folder, "validate", "results")
    assert done.returncode == 0, done.stdout
    assert "none faulty" in done.stdout


def test_its_metric_decides_in_check(ran):
    folder, _ = ran
    shutil.copytree(folder / "results", folder / "reference")
    done = call(folder, "check", "results", "--against", "reference", "--json", "judgement.json")
    assert done.returncode == 2, done.stdout  # of the ablation there is one seed
    lines = json.loads((folder / "judgement.json").read_text())["lines"]
    (line,) = [line for line in lines if line["metric"] == "nearness" and line["extractor_role"] == "judge"]
    assert (line["system"], line["decides"], line["margin"]) == ("listener", True, 0.02)
    assert not [
        line for line in lines if line["metric"] == "nearness" and line["extractor_role"] == "further"
    ]
