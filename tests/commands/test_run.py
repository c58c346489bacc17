"""The main job as a user runs it, small: all stages, a kill in the middle, a second run, the report."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from sf2f_bench.records import load_all
from sf2f_bench.stats import HALVES
from tests.golden.rebuild import official_state

SMOKE = [sys.executable, "-m", "sf2f_bench", "run", "--budget", "smoke", "--device", "cpu"]
SYSTEMS = {"sf2f-64", "sf2f-64-fuser", "voice2face-64"}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess:
    home = {**os.environ, "HOME": str(folder)}  # whatever weights the user has stay out of it
    return subprocess.run([*SMOKE, *words], cwd=folder, env=home, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A folder in which the smoke run went through without interruption."""
    folder = tmp_path_factory.mktemp("run")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_it_ends_with_the_table(finished):
    _, done = finished
    for word in (
        *SYSTEMS,
        "chance",
        "gender-oracle",
        "real-photo-oracle",
        "shared-factor-oracle",
        "embedded-judge",
    ):
        assert word in done.stdout


def test_records_are_complete(finished):
    folder, _ = finished
    records = {record.system.name: record for record in load_all(folder / "results")}
    assert set(records) > SYSTEMS
    for record in records.values():
        assert record.benchmark.name == "synthetic-64-smoke"
        assert record.benchmark.identities.test == 100
        values = record.per_identity()
        assert len(values) == 100
        for score in record.scores:
            column = f"{score.metric}|{score.extractor or 'none'}"
            if score.basis == "replicates":
                assert len(record.replicates()[column]) == HALVES
            elif score.basis == "mean":
                assert values[column].mean() == pytest.approx(score.value, rel=1e-9)
                assert values[column].count() == score.n
        assert {finding.check for finding in record.audit} >= {
            "overlap",
            "duplicate-photos",
            "balance",
            "gallery",
        }
        assert not [finding.text for finding in record.audit if finding.alarm]


def test_every_system_has_its_shuffled_voices_and_its_length_curve(finished):
    folder, _ = finished
    records = {record.system.name: record for record in load_all(folder / "results")}
    for name in SYSTEMS:
        assert records[f"shuffled-voices:{name}"].system.kind == "anchor"
        metrics = {score.metric for score in records[name].scores}
        assert {f"recall@10/g100/{seconds}s" for seconds in ("1.25", "2.5", "5", "10")} <= metrics
        assert {
            "consistency",
            "copied-faces",
            "gender-agreement",
            "age-difference",
            "matching/1:2/G",
        } <= metrics


def test_a_network_without_its_weights_is_absent_with_a_reason_that_names_no_folder(finished):
    folder, done = finished
    record = next(record for record in load_all(folder / "results") if record.system.name == "sf2f-64")
    (absent,) = [found for found in record.absent if found.metric == "all"]
    assert absent.extractor == "inception-2015"
    assert "pt_inception-2015-12-05-6726825d.pth" in absent.reason
    assert str(folder) not in absent.reason
    assert "inception-2015 is not here" in done.stderr
    assert "Not measured for want of inception-2015" in done.stdout


def test_chance_and_gender_oracle_are_exact(finished):
    folder, _ = finished
    records = {record.system.name: record for record in load_all(folder / "results")}
    chance = {score.metric: score.value for score in records["chance"].scores}
    for k in (1, 2, 5, 10, 20, 50):
        assert chance[f"recall@{k}/g100"] == pytest.approx(k / 100, rel=1e-9)
    gender = {score.metric: score.value for score in records["gender-oracle"].scores}
    assert gender["recall@10/g100"] == pytest.approx(0.2, abs=0.02)


def test_the_real_photo_is_the_ceiling(finished):
    folder, _ = finished
    judged = {
        record.system.name: {
            s.metric: s.value for s in record.scores if s.extractor_role in ("judge", "none")
        }
        for record in load_all(folder / "results")
    }
    best = judged.pop("real-photo-oracle")["recall@10/g100"]
    assert best > 0.95
    assert all(best > scores["recall@10/g100"] for scores in judged.values())


def test_a_second_run_does_nothing_and_says_so(finished):
    folder, first = finished
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*") if path.is_file()}
    again = run(folder)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.stdout == first.stdout


def with_data_of(finished, folder: Path) -> Path:
    """A new folder to run in, with the prepared data and the true faces' features of the finished run."""
    for stage in ("prepared", "features"):
        shutil.copytree(finished[0] / ".sf2f-bench" / stage, folder / ".sf2f-bench" / stage)
    return folder


def test_two_processes_train_what_one_does(finished, tmp_path):
    """torchrun, gloo: the losses of every step, batch normalisation and noise included."""
    words = ("--steps", "4", "--width", "0.06", "--models", "voice2face-64", "--models", "sf2f-64-fuser")
    alone = with_data_of(finished, tmp_path / "one")
    done = run(alone, *words)
    assert done.returncode == 0, done.stderr
    together = with_data_of(finished, tmp_path / "two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, *SMOKE[1:], *words]
    done = subprocess.run(command, cwd=together, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("How alike?") == 1
    whole = {record.system.name: record for record in load_all(alone / "results")}
    for record in load_all(together / "results"):
        if record.system.kind == "system":
            ours, theirs = record.curve(), whole[record.system.name].curve()
            pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3, atol=1e-6)
            assert len(ours) >= 8  # four steps and four validations


def test_the_ablation_gives_a_row_without_each_part(finished, tmp_path):
    folder = with_data_of(finished, tmp_path / "ablation")
    done = run(folder, "--ablation", "--steps", "1", "--width", "0.06")
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


def test_the_papers_protocol_gives_a_table_of_its_own(finished, tmp_path):
    folder = with_data_of(finished, tmp_path / "paper")
    shutil.copytree(finished[0] / ".sf2f-bench" / "models", folder / ".sf2f-bench" / "models")
    shutil.copytree(finished[0] / "results", folder / "results")
    done = run(folder, "--protocol", "sf2f-paper/1", "--models", "sf2f-64-fuser")
    assert done.returncode == 0, done.stderr
    assert "train " not in done.stderr  # the trained model is that of the other protocol
    assert "sf2f-paper/1" in done.stdout
    report = subprocess.run(
        [sys.executable, "-m", "sf2f_bench", "report", "results"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.returncode == 0, report.stderr
    assert report.stdout.index("protocol sf2f-bench/1") < report.stdout.index("protocol sf2f-paper/1")


def test_an_official_checkpoint_is_imported_and_scored(finished, tmp_path):
    """A file as the official training writes it, with weights made on the spot, becomes a row."""
    folder = with_data_of(finished, tmp_path / "official")
    torch.save({"model_state": official_state("sf2f_fuser", 3000), "epoch": 3}, folder / "best.pt")
    bench = [sys.executable, "-m", "sf2f_bench"]
    words = ["weights", "import", "best.pt", "--model", "sf2f-64-fuser"]
    done = subprocess.run([*bench, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = done.stdout.split("--models ")[1].strip()
    done = run(folder, "--models", named)
    assert done.returncode == 0, done.stderr
    (record,) = [record for record in load_all(folder / "results") if record.system.kind == "system"]
    assert record.system.name.startswith("sf2f-64-fuser@")
    assert record.system.width == 1.0
    wrong = subprocess.run(
        [*bench, *words[:-1], "sf2f-128"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "entries that do not fit" in wrong.stderr


def test_the_report_reads_records_alone(finished, tmp_path):
    folder, _ = finished
    results = tmp_path / "results"
    shutil.copytree(folder / "results", results)
    done = subprocess.run(
        [sys.executable, "-m", "sf2f_bench", "report", str(results)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = {path.suffix for path in (results / "report").rglob("*")}
    assert {".md", ".csv", ".tex", ".png", ".svg"} <= written


def test_killed_twice_it_ends_with_the_same_records(finished, tmp_path):
    """kill -9 while SF2F trains, and again later: bit for bit the records of the uninterrupted run."""
    folder, _ = finished
    cache = with_data_of(finished, tmp_path) / ".sf2f-bench"
    for wait in (lambda: list(cache.glob("training/*/*.safetensors")), lambda: list(cache.glob("models/*"))):
        _kill_when(tmp_path, wait)
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    whole = {record.stem: record for record in load_all(folder / "results")}
    resumed = {record.stem: record for record in load_all(tmp_path / "results")}
    assert whole.keys() == resumed.keys()
    for stem, record in resumed.items():
        assert record.comparable_part() == whole[stem].comparable_part()
        pd.testing.assert_frame_equal(record.per_identity(), whole[stem].per_identity(), check_exact=True)


def _kill_when(folder: Path, happened) -> None:
    command = [*SMOKE, "--checkpoint-every", "0"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 900
    while not happened():
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "the run never came to the point where the test kills it"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
