"""Names of artefacts, pinned: a change of one makes people train and score again what they have.

`tests/golden/artefact_keys.json` was written by the code of 26 November 2026, before modules and names moved.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from sf2f_bench.audio import LogFilterbank, RawWaveform, WenFilterbank
from sf2f_bench.benchmarks import benchmark_of
from sf2f_bench.config import OPTIONS, RunConfig
from sf2f_bench.data.prepared import store_key
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.files import hash_of
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import BENCH, PAPER
from sf2f_bench.runs import pipeline
from sf2f_bench.runs.stages import dataset_of, keys_of, record_key
from sf2f_bench.runs.systems import build
from sf2f_bench.types import ModelSettings
from tests.tiny import TinyDataset, TinyFrontend
from tests.unit.test_evaluation import make_evaluation

DRAWING = f"{Path(__file__).with_name('drawing.py')}:Drawing"  # a system that draws its faces
PINNED = json.loads((Path(__file__).parents[1] / "golden" / "artefact_keys.json").read_text(encoding="utf-8"))
EMBEDDED = {role: f"embedded-{name}" for role, name in (("judge", "judge"), ("training-loss", "perceptual"))}
REAL = {"judge": "deepface:ArcFace/1@x", "training-loss": "facenet/1@y"}
CASES = {  # what is pinned -> (settings, ids of the networks by key, attribute judges)
    "smoke": ({"budget": "smoke"}, EMBEDDED, None),
    "default, seed 3, 40 steps, width 1": ({"seed": 3, "steps": 40, "width": 1}, EMBEDDED, None),
    "galleries of 50": ({"gallery": 50, "ks": (1, 5)}, EMBEDDED, None),
    f"HQ-VoxCeleb | {BENCH}": (
        {"benchmark": "hq-voxceleb", "precision": "bf16"},
        {**REAL, "vggface2-resnet50": "v/1@z", "inception-2015": "i/1@w"},
        ["probe/1 on x", "deepface:attributes"],
    ),
    f"HQ-VoxCeleb | {PAPER}": (
        {"benchmark": "hq-voxceleb", "budget": "paper"},
        {**REAL, "paper-classifier": "v/1@z", "inception-2015": "i/1@w"},
        [],
    ),
}


def run_of(protocol, settings, networks, attribute_judges, processes=1):
    """A run over a store that is not there: of the data only their hash enters."""
    config = RunConfig(protocol=protocol, **settings)
    ids = {
        key: EmbeddedExtractor(name).id if name in EMBEDDED.values() else name
        for key, name in networks.items()
    }
    if attribute_judges is None:
        attribute_judges = [f"probe/1 on {ids['judge']}"] if protocol == BENCH else []
    store = SimpleNamespace(data_hash="afe35687513a90da")
    return SimpleNamespace(
        config=config,
        benchmark=benchmark_of(config),
        protocol=protocol_named(protocol),
        store=store,
        store_for=lambda system: store,
        device=torch.device("cpu"),
        machine=SimpleNamespace(shard=(0, processes)),
        evaluation=SimpleNamespace(
            extractors={key: SimpleNamespace(id=id_) for key, id_ in ids.items()},
            attribute_judges=[SimpleNamespace(id=id_) for id_ in attribute_judges],
            identities=range(100),
        ),
    )


def keys_of_row(run, name):
    if name == "folder of faces":
        return [record_key(run, hash_of({"external": "ab" * 32, "name": "x"}))]
    config = run.config
    system = build(name, ModelSettings(64, config.budget, "cpu", config.width, config.steps))
    keys = keys_of(run, system)
    return [keys["train"], keys["faces"], keys["record"]]


@pytest.mark.parametrize("case", sorted({pin.rpartition(" | ")[0] for pin in PINNED}))
def test_keys_of_unchanged_settings_stay(case):
    what, _, protocol = case.partition(" | ")
    run = run_of(protocol, *CASES.get(what) or CASES[case])
    pinned = {pin.rpartition(" | ")[2]: keys for pin, keys in PINNED.items() if pin.startswith(f"{case} | ")}
    assert len(pinned) == 9
    assert {name: " ".join(keys_of_row(run, name)) for name in pinned} == pinned


def test_names_of_prepared_stores_stay():
    found = {}
    for benchmark in ("synthetic-64", "synthetic-128"):
        for budget in ("smoke", "default"):
            config = RunConfig(benchmark=benchmark, budget=budget)
            data, size = dataset_of(config, benchmark_of(config)), benchmark_of(config).image_size
            frontends = (LogFilterbank(), WenFilterbank(), RawWaveform())
            keys = [store_key(data, frontend, size) for frontend in frontends]
            found[benchmark, budget] = keys
    assert found == {
        ("synthetic-64", "smoke"): ["9d3db8550fd5ed19", "7e5966791ed9c601", "3654a52c59e31068"],
        ("synthetic-64", "default"): ["7a748f07c55ce8c8", "32beb67f1f0eced3", "db5f139321106c16"],
        ("synthetic-128", "smoke"): ["99633dd007e3cf3b", "274ef62b8bc0d305", "a49461f06f4f9061"],
        ("synthetic-128", "default"): ["b89f630d20fd46f5", "0bc44f1adefe8b49", "8b045f672735ff50"],
    }


def test_names_of_features_stay(tmp_path):
    evaluation = make_evaluation(tmp_path)
    assert store_key(TinyDataset(), TinyFrontend(), 16) == "45c4215be69654a2"
    assert evaluation.store.data_hash == "51995c288411f769"
    evaluation.real("judge")
    evaluation.templates_of_all_photos("judge")
    evaluation.train_templates("judge")
    assert {path.stem for path in evaluation.cache.iterdir()} == {
        "34f0bbcddaf4272a",
        "5e257559bbbb99cd",
        "99511b4fa0378fec",
        "f30757c059f78b38",
    }


def test_the_name_of_an_audit_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "audit", lambda *_: [])
    config = RunConfig(budget="smoke", cache=tmp_path)
    store = SimpleNamespace(data_hash="afe35687513a90da")
    pipeline._findings(config, benchmark_of(config), None, store)
    assert [path.stem for path in (tmp_path / "audit").iterdir()] == ["4d50a9ca3f78e8cb"]


# A value of each setting that differs from the default; those whose effect on a key is not the setting's own to show:
# of the data, and of networks, whose ids enter.
OTHERS = {
    "protocol": PAPER,
    "seed": 1,
    "width": 0.5,
    "steps": 7,
    "gallery": 60,
    "ks": (1, 5),
    "precision": "bf16",
    "deterministic": True,
    "draws": 9,
    "compile": "default",
    "models": ("sf2f-64",),
    "ablation": True,
    "all": True,
    "results": Path("elsewhere"),
    "cache": Path("elsewhere"),
    "checkpoint_every": 0.0,
    "keep_weights": Path("elsewhere"),
    "jobs": 3,
    "scheduler": "tcp://there",
}
NOT_SHOWN = {
    "benchmark",
    "budget",
    "root",
    "voices",
    "faces",
    "device",
    "judge",
    "extractors",
    "metrics",
    "perceptual",
}


@pytest.mark.parametrize("name", sorted(set(OPTIONS) - NOT_SHOWN))
def test_a_setting_changes_the_artefacts_that_it_says_and_none_before(name):
    plain = run_of(BENCH, {}, EMBEDDED, [])
    settings = {name: OTHERS[name]}
    other = run_of(settings.pop("protocol", BENCH), settings, EMBEDDED, [])
    row = DRAWING if name == "draws" else "sf2f-64"
    changed = [a != b for a, b in zip(keys_of_row(plain, row), keys_of_row(other, row), strict=True)]
    first = ("model", "faces", "record", "none").index(OPTIONS[name].enters)
    assert changed == [False] * first + [True] * (3 - first)


@pytest.mark.parametrize("option", [{"compile": "default"}, {"compile": "graphs"}, {"deterministic": True}])
def test_other_arithmetic_is_another_training_of_a_system_and_no_other_anchor(option):
    plain, other = (run_of(BENCH, {"budget": "smoke", **more}, EMBEDDED, None) for more in ({}, option))
    assert keys_of_row(plain, "sf2f-64")[0] != keys_of_row(other, "sf2f-64")[0]
    assert keys_of_row(plain, "sf2f-64-fuser")[0] != keys_of_row(other, "sf2f-64-fuser")[0]
    assert keys_of_row(plain, "chance") == keys_of_row(other, "chance")


def test_other_numbers_of_processes_are_other_trainings_of_a_system_and_no_other_anchor():
    one, two, four = (run_of(BENCH, {"budget": "smoke"}, EMBEDDED, None, count) for count in (1, 2, 4))
    assert len({keys_of_row(run, "sf2f-64-fuser")[0] for run in (one, two, four)}) == 3
    assert keys_of_row(one, "chance") == keys_of_row(two, "chance")


def test_the_number_of_draws_is_in_the_keys_of_systems_that_draw_alone():
    one, other = (run_of(BENCH, {"draws": draws}, EMBEDDED, None) for draws in (8, 16))
    for name in ("sf2f-64", "voice2face-64", "chance"):
        assert keys_of_row(one, name) == keys_of_row(other, name)
    paper = [run_of(PAPER, {"draws": draws}, REAL, []) for draws in (8, 16)]
    assert keys_of_row(paper[0], DRAWING) == keys_of_row(paper[1], DRAWING)
    same = run_of(BENCH, {}, EMBEDDED, None)
    assert keys_of_row(one, DRAWING) == keys_of_row(same, DRAWING)
    train, faces, record = (
        a != b for a, b in zip(keys_of_row(one, DRAWING), keys_of_row(other, DRAWING), strict=True)
    )
    assert (train, faces, record) == (False, True, True)
    plain = keys_of_row(one, f"{DRAWING.partition(':')[0]}:Plain")
    assert plain == keys_of_row(other, f"{DRAWING.partition(':')[0]}:Plain")


def test_the_metrics_of_draws_enter_the_record_of_what_draws_alone():
    run = run_of(BENCH, {}, EMBEDDED, None)
    assert record_key(run, "faces") == record_key(run, "faces", 1)
    assert len({record_key(run, "faces", draws) for draws in (1, 2, 3, 8)}) == 4
