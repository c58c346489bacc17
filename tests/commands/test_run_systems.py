"""Other systems through the main job: two processes, the ablation, an official checkpoint."""

from __future__ import annotations

import sys

import pandas as pd
import torch

from sf2f_bench.benchmarks import ANCHORS, BENCHMARKS
from sf2f_bench.results.records import load_all
from sf2f_bench.types.curve import RECALL
from tests.commands.program import SMOKE, call, start_from
from tests.golden.rebuild import official_state

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def test_two_processes_train_what_one_does(anchored, tmp_path):
    """torchrun, gloo: the losses of every step, batch normalisation and noise included."""
    names = ("voice2face-64", "sf2f-64-fuser", "contrastive-prototypes", "identity-flow-64")
    words = ("--steps", "4", "--width", "0.06", *(word for name in names for word in ("--models", name)))
    alone = start_from(anchored, tmp_path / "one", with_results=True)
    done = call(alone, *SMOKE, *words)
    assert done.returncode == 0, done.stderr
    together = start_from(anchored, tmp_path / "two")
    done = call(together, "-m", "sf2f_bench", *SMOKE, *words, program=TORCHRUN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test identities; ") == 1
    whole = {record.system.name: record for record in load_all(alone / "results")}
    trained = [record for record in load_all(together / "results") if record.system.kind == "system"]
    assert {record.system.name for record in trained} == set(names)
    for record in trained:
        curves = record.curve(), whole[record.system.name].curve()
        # Shares of voices that find their face jump where rounding turns a near tie.
        ours, theirs = (curve.drop(columns=["found", RECALL], errors="ignore") for curve in curves)
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3, atol=1e-6)
        assert len(ours) >= 8  # four steps of two stages, or four validations of one


def test_the_ablation_gives_a_row_without_each_part(anchored, tmp_path):
    folder = start_from(anchored, tmp_path, with_results=True)
    done = call(folder, *SMOKE, "--ablation", "--steps", "1", "--width", "0.06")
    assert done.returncode == 0, done.stderr
    names = {record.system.name for record in load_all(folder / "results") if record.system.kind == "system"}
    parts = ("l1", "gan", "identity", "perceptual")
    assert names == {
        "sf2f-64-fuser",
        *(f"sf2f-64-without-{part}" for part in parts),
        "sf2f-64-plain-encoder",
        "sf2f-64-plain-decoder",
    }
    assert "without perceptual loss" in " ".join(done.stdout.split())


def test_all_gives_a_row_of_every_system(anchored, tmp_path):
    folder = start_from(anchored, tmp_path, with_results=True)
    done = call(folder, *SMOKE, "--all", "--steps", "1", "--width", "0.06")
    assert done.returncode == 0, done.stderr
    found = {record.system.name: record.system for record in load_all(folder / "results")}
    assert set(found) == {*ANCHORS, *BENCHMARKS["synthetic-64"].all_systems}
    told = {name for name, system in found.items() if system.trained_first}
    assert told == {
        "speech2face-64-true-embedding",
        "identity-flow-64-true-embedding",
        "contrastive-prototypes-query",
        "contrastive-space",
    }
    again = call(folder, *SMOKE, "--all", "--steps", "1", "--width", "0.06")
    assert "nothing to do" in again.stderr + again.stdout


def test_an_official_checkpoint_is_imported_and_scored(anchored, tmp_path):
    """A file as the official training writes it, with weights made on the spot, becomes a row."""
    folder = start_from(anchored, tmp_path, with_results=True)
    torch.save({"model_state": official_state("sf2f_fuser", 3000), "epoch": 3}, folder / "best.pt")
    words = ("weights", "import", "best.pt", "--model")
    done = call(folder, *words, "sf2f-64-fuser")
    assert done.returncode == 0, done.stderr
    named = done.stdout.split("--models ")[1].strip()
    done = call(folder, *SMOKE, "--models", named)
    assert done.returncode == 0, done.stderr
    (record,) = [record for record in load_all(folder / "results") if record.system.kind == "system"]
    assert record.system.name.startswith("sf2f-64-fuser@")
    assert record.system.width == 1.0
    wrong = call(folder, *words, "sf2f-128")
    assert wrong.returncode == 2
    assert "entries that do not fit" in wrong.stderr
