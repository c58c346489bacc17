"""The main job as a user runs it, small: all stages, a kill in the middle, a second run, the report."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from sf2f_bench.files import load_tensors
from sf2f_bench.results.records import load_all
from sf2f_bench.statistics.intervals import HALVES
from tests.commands.program import PROGRAM, SMOKE, call, environment, start_from

SYSTEMS = {"sf2f-64", "sf2f-64-fuser", "voice2face-64"}


@pytest.fixture(scope="module")
def finished(anchored, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A folder in which the smoke run went through without interruption."""
    folder = start_from(anchored, tmp_path_factory.mktemp("run"))
    done = call(folder, *SMOKE)
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


def test_every_system_has_what_it_heard_and_its_length_curve(finished):
    folder, _ = finished
    records = {record.system.name: record for record in load_all(folder / "results")}
    for name in SYSTEMS:
        metrics = {score.metric for score in records[name].scores}
        assert {f"recall@10/g100/{seconds}s" for seconds in ("1.25", "2.5", "5", "10")} <= metrics
        assert {
            "heard@10/g100",
            "cosine-heard",
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
    assert f"inception-2015: its numbers will be absent: {absent.reason}" in done.stderr
    assert "inception-2015 was not available" in done.stdout


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
    again = call(folder, *SMOKE)
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.stdout == first.stdout


@pytest.fixture(scope="module")
def both_protocols(anchored, finished, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """A folder in which the paper's protocol ran after the other one."""
    folder = start_from(anchored, tmp_path_factory.mktemp("paper"))
    for made in (Path("results"), Path(".sf2f-bench") / "models"):
        shutil.copytree(finished[0] / made, folder / made)
    done = call(folder, *SMOKE, "--protocol", "sf2f-paper/1", "--models", "sf2f-64-fuser")
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_papers_protocol_gives_a_table_of_its_own(both_protocols):
    _, done = both_protocols
    assert "train " not in done.stderr  # the trained model is that of the other protocol
    assert "sf2f-paper/1" in done.stdout


def test_the_report_reads_records_alone(both_protocols, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(both_protocols[0] / "results", results)
    done = call(tmp_path, "report", str(results))
    assert done.returncode == 0, done.stderr
    written = {path.suffix for path in (results / "report").rglob("*")}
    assert {".md", ".csv", ".tex", ".png", ".svg"} <= written
    assert done.stdout.index("protocol sf2f-bench/1") < done.stdout.index("protocol sf2f-paper/1")


def test_killed_twice_it_ends_with_the_same_records(anchored, finished, tmp_path):
    """kill -9 while SF2F trains, and while its fuser trains: bit for bit the records of the uninterrupted run."""
    folder, _ = finished
    cache = start_from(anchored, tmp_path) / ".sf2f-bench"
    # Models that are complete by then, the stage that is killed, and its steps.
    for models, stage, steps in ((1, "generator", 30), (2, "fuser", 5)):
        _kill_in(tmp_path, cache, models, stage)
        (checkpoint,) = _unfinished(cache, stage)
        done = load_tensors(checkpoint)[1]["facts"]["done"]
        # On a busy machine all steps may be done by then; the model is not complete even so.
        assert 0 < done <= steps, "it was not killed within the stage"
        assert len(_trained(cache)) == models
    done = call(tmp_path, *SMOKE)
    assert done.returncode == 0, done.stderr
    whole = {record.stem: record for record in load_all(folder / "results")}
    resumed = {record.stem: record for record in load_all(tmp_path / "results")}
    assert whole.keys() == resumed.keys()
    for stem, record in resumed.items():
        assert record.comparable_part() == whole[stem].comparable_part()
        pd.testing.assert_frame_equal(record.per_identity(), whole[stem].per_identity(), check_exact=True)


def _trained(cache: Path) -> set[str]:
    """The keys of the models that are complete."""
    return {path.stem for path in cache.glob("models/*.safetensors") if not path.stem.endswith("-best")}


def _unfinished(cache: Path, stage: str) -> list[Path]:
    """Checkpoints of this stage of models that are not complete."""
    checkpoints = cache.glob(f"training/*/{stage}.safetensors")
    return [path for path in checkpoints if path.parent.name not in _trained(cache)]


def _kill_in(folder: Path, cache: Path, models: int, stage: str) -> None:
    """Run, with a checkpoint after every step, until so many models are complete and this stage trains; kill -9."""
    command, env = [*PROGRAM, *SMOKE, "--checkpoint-every", "0"], environment(folder)
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 900
    while len(_trained(cache)) < models or not _unfinished(cache, stage):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < deadline, "the run never came to the point where the test kills it"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
