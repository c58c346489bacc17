"""The main job as a user runs it, small: all stages, a kill in the middle, a second run, the report."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sf2f_bench.records import load_all

SMOKE = [sys.executable, "-m", "sf2f_bench", "run", "--budget", "smoke", "--device", "cpu"]
SYSTEMS = {"sf2f-64", "voice2face-64"}


def run(folder: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([*SMOKE, *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """With two threads, sums were once seen to round differently between two runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


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
            if column in values and not score.metric.startswith("median"):
                assert values[column].mean() == pytest.approx(score.value, rel=1e-9)


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
    cache = tmp_path / ".sf2f-bench"
    for stage in ("prepared", "features"):
        shutil.copytree(folder / ".sf2f-bench" / stage, cache / stage)
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
