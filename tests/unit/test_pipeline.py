"""The orchestrator on a tiny data set: what is there is not made again, a stranger's model finds its place."""

from __future__ import annotations

import io
import shutil
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from rich.console import Console

from baselines.anchors import Chance
from sf2f_bench import benchmarks
from sf2f_bench.config import RunConfig
from sf2f_bench.metrics.retrieval import MeanReciprocalRank, Recall
from sf2f_bench.progress import Reporter
from sf2f_bench.results.records import load_all
from sf2f_bench.runs import pipeline, stages
from sf2f_bench.runs.systems import build
from sf2f_bench.types import BenchError, ModelSettings, Unavailable
from tests.tiny import TinyDataset, TinyFrontend
from tests.unit.test_evaluation import BENCHMARK, PixelExtractor

MINE = '''
import torch
from sf2f_bench import ModelCard
from tests.tiny import TinyFrontend

class Mine:
    """Draws a grey whose brightness is a learnt line through the voice's mean."""

    def __init__(self, settings):
        self.card = ModelCard("mine", "1", "system", "a grey face")
        self.frontend = TinyFrontend()
        self.recipe = {"steps": settings.steps or 5}
        self.line = torch.nn.Linear(1, 1)

    def fit(self, data, context):
        torch.manual_seed(context.seed)
        self.line = torch.nn.Linear(1, 1)
        optimiser = torch.optim.SGD(self.line.parameters(), lr=0.1)
        for step in context.loop("line", self.recipe["steps"], {"line": self.line, "optimiser": optimiser}):
            batch = data.batch(step, 4)
            grey = self.line(batch.voices.mean((1, 2))[:, None])
            loss = (grey[:, 0] - batch.faces.float().mean((1, 2, 3)) / 255).square().mean()
            context.update(optimiser, loss)
            context.log(batch.identities, loss=loss)

    def generate(self, voices, *, generator):
        grey = self.line(voices.mean((1, 2, 3))[:, None]).detach()[:, :, None, None]
        noise = torch.rand(len(voices), 3, 16, 16, generator=generator)
        return ((grey + noise).clamp(0, 1) * 255).to(torch.uint8)

    def state_dict(self):
        return self.line.state_dict()

    def load_state_dict(self, state):
        self.line.load_state_dict(state)
'''
ANCHORS = ("chance", "gender-oracle", "mean-face", "shared-factor-oracle-face", "real-photo-oracle")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder to run in, with a benchmark of its own; returns a function that runs and gives the log."""
    benchmark = replace(
        BENCHMARK, anchors=ANCHORS, judge="judge", training_loss="training-loss", further=("elsewhere",)
    )
    monkeypatch.setitem(benchmarks.BENCHMARKS, "tiny", benchmark)
    monkeypatch.setattr(stages.DATASETS, "get", lambda name: lambda source: TinyDataset())
    monkeypatch.setattr(stages, "extractor_named", ModuleExtractor)
    monkeypatch.setattr(pipeline, "extractor_named", extractor_of)
    monkeypatch.setattr(pipeline, "LogFilterbank", TinyFrontend)
    monkeypatch.setattr("sf2f_bench.protocols.bench.scoring.metrics_for", few_metrics)
    (tmp_path / "mine.py").write_text(MINE)

    def run(**options):
        log = io.StringIO()
        settings = {
            "benchmark": "tiny",
            "models": (f"{tmp_path / 'mine.py'}:Mine",),
            "device": "cpu",
            "jobs": 1,
            "results": tmp_path / "results",
            "cache": tmp_path / "cache",
        }
        config = RunConfig(**{**settings, **options})
        records = pipeline.run(config, Reporter(Console(file=log, width=200)))
        return {record.system.name: record for record in records or ()}, log.getvalue()

    run.folder = tmp_path
    return run


class ModuleExtractor(PixelExtractor):
    """With an id of its own per role, and the attribute that the training loss uses."""

    def __init__(self, role):
        super().__init__(role)
        self.id = f"pixels-{role}/1"

    class Module(torch.nn.Module):
        def features(self, images):
            return [images.flatten(1) - 0.5]

    module = Module()


def extractor_of(name):
    if name == "elsewhere":
        raise Unavailable("the file elsewhere.pth is not there")
    return ModuleExtractor(name)


def few_metrics(benchmark, identities, key="judge"):
    """Recall and the reciprocal rank: the metrics that five people can give."""
    return [Recall(1, benchmark.gallery_size), MeanReciprocalRank()]


def test_a_strangers_file_stands_in_the_table_beside_the_anchors(world):
    records, log = world()
    anchors = {"chance", "gender-oracle", "mean-face", "real-photo-oracle"}
    assert set(records) == {*anchors, "mine"}
    assert "shared-factor-oracle-face: not in the table" in log
    chance = {score.metric: score.value for score in records["chance"].scores}
    assert chance["recall@1/g4"] == pytest.approx(0.25)
    assert records["mine"].curve()["stage"].unique().tolist() == ["line"]


def test_a_second_run_makes_nothing_and_says_so(world):
    world()
    before = {path: path.stat().st_mtime_ns for path in world.folder.rglob("*.json")}
    records, log = world()
    assert "nothing to do: all 5 records" in log
    assert len(records) == 5
    assert {path: path.stat().st_mtime_ns for path in world.folder.rglob("*.json")} == before


@pytest.mark.parametrize("lost", ["models", "faces", "features", "results", "prepared"])
def test_whatever_is_lost_comes_back_the_same(world, lost):
    whole, _ = world()
    tables = {name: record.per_identity() for name, record in whole.items()}
    shutil.rmtree(world.folder / ("results" if lost == "results" else f"cache/{lost}"))
    shutil.rmtree(world.folder / "results", ignore_errors=True)
    again, _ = world()
    for name, record in again.items():
        assert record.comparable_part() == whole[name].comparable_part()
        pd.testing.assert_frame_equal(record.per_identity(), tables[name], check_exact=True)


def test_another_seed_or_schedule_is_another_record_and_keeps_the_first(world):
    first, _ = world()
    other, _ = world(seed=1)
    longer, _ = world(steps=9)
    keys = {records["mine"].key for records in (first, other, longer)}
    assert len(keys) == 3
    assert first["chance"].key == other["chance"].key == longer["chance"].key
    assert len([record for record in load_all(world.folder / "results") if record.system.name == "mine"]) == 3


def test_checkpoints_are_gone_when_the_model_is_there(world):
    world()
    assert list((world.folder / "cache" / "models").iterdir())
    assert not list(Path(world.folder / "cache" / "training").iterdir())


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (("nowhere.py:Mine",), "there is no file nowhere.py"),
        (("{folder}/mine.py:Yours",), "has no class Yours"),
        (("sf2f-46",), "did you mean"),
    ],
)
def test_a_model_that_is_not_there_is_named(world, models, message):
    with pytest.raises(BenchError, match=message):
        world(models=tuple(name.format(folder=world.folder) for name in models))


def test_a_network_that_is_not_here_is_named_and_nothing_stands_in_for_it(world):
    records, log = world()
    assert "elsewhere: its numbers will be absent: the file elsewhere.pth is not there" in log.replace(
        "\n", " "
    )
    absent = [absent for absent in records["mine"].absent if absent.metric == "all"]
    assert [(found.extractor, found.reason) for found in absent] == [
        ("elsewhere", "the file elsewhere.pth is not there")
    ]
    assert {score.extractor for score in records["mine"].scores} == {
        "pixels-judge/1",
        "pixels-training-loss/1",
    }


def test_training_does_not_begin_without_the_network_of_its_loss(world):
    with pytest.raises(Unavailable, match=r"elsewhere\.pth"):
        world(perceptual="elsewhere")


def test_a_judge_that_is_missing_leaves_the_other_numbers(world):
    records, _ = world(judge="elsewhere")
    assert {score.extractor_role for score in records["mine"].scores} == {"training-loss"}


def test_an_anchor_named_among_the_models_has_one_row(world):
    mine = f"{world.folder / 'mine.py'}:Mine"
    records, log = world(models=("chance", "shared-factor-oracle-face", mine, mine))
    assert len(records) == 5
    assert log.count("shared-factor-oracle-face: not in the table") == 1
    records, log = world(models=("chance", mine))
    assert "nothing to do: all 5 records" in log


def test_anchors_are_the_main_processs_wherever_they_are_named(world, monkeypatch):
    asked = []
    monkeypatch.setattr(Chance, "answer", lambda self, evaluation: asked.append(self))
    monkeypatch.setattr(pipeline.Machine, "is_main", property(lambda machine: False))
    assert world(models=("chance",)) == ({}, "")
    assert not asked
    assert not (world.folder / "results").exists()


def test_what_a_model_was_trained_on_stands_in_its_record(world):
    (world.folder / "mine.py").write_text(
        MINE.replace('"a grey face")', '"a grey face", trained_on="other people")')
    )
    records, _ = world()
    assert records["mine"].system.trained_on == "other people"
    assert records["mean-face"].system.trained_on == "the training split's photos"


def test_a_run_and_its_evaluation_are_complete_when_they_are_made(world):
    """Every front end's store is prepared before anything is trained."""
    config = RunConfig(
        benchmark="tiny",
        device="cpu",
        jobs=1,
        models=(f"{world.folder / 'mine.py'}:Mine",),
        results=world.folder / "results",
        cache=world.folder / "cache",
    )
    system = build(config.models[0], ModelSettings(16))
    system.frontend = TinyFrontend("other")
    machine = pipeline.Machine.start("cpu")
    made = pipeline.open_run(
        config, benchmarks.benchmark_of(config), machine, Reporter(silent=True), [system]
    )
    assert set(made.stores) == {"tiny", "other"}
    assert made.evaluation.missing == {"elsewhere": "the file elsewhere.pth is not there"}
    with pytest.raises(FrozenInstanceError):
        made.stores = {}


def test_a_damaged_record_is_an_error_not_a_result(world):
    world()
    next((world.folder / "results").rglob("mine*.json")).write_text("{")
    with pytest.raises(BenchError, match="delete it and run again"):
        world()
