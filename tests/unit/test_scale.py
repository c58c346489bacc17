"""The work of preparing, reusing, auditing and opening a data set grows as its files do, by counts of calls."""

from __future__ import annotations

import argparse
import cProfile
import io
import pickle
import pstats
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from rich.console import Console

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audit.findings import audit
from sf2f_bench.data import shards, workers
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.training import TrainingData
from sf2f_bench.progress import Reporter
from sf2f_bench.training import Machine
from sf2f_bench.types import SAMPLE_RATE, DatasetSource
from tests.perf.scale import Measured, growth, measured_command, page
from tests.perf.scale_steps import StandIns, lay_out

PEOPLE = (15, 30, 60)
FEW = 300  # calls: a function that is called no more often costs nothing


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A recording of each kind and a photo, which all files of a layout are links to."""
    folder = tmp_path_factory.mktemp("sources")
    for suffix in (".wav", ".m4a"):
        soundfile.write(folder / f"a{suffix}", np.ones(100), SAMPLE_RATE, format="WAV")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def calls(work):
    """How often each function is called, by its place."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return {place: counts[1] for place, counts in pstats.Stats(profile).stats.items()}


def prepared(dataset, folder):
    return prepare(dataset, LogFilterbank(), 16, folder, Reporter(Console(file=io.StringIO())), jobs=1)


def first_batch(dataset, folder):
    return TrainingData(prepared(dataset, folder), LogFilterbank(), 0, Machine.start("cpu").device).batch(
        0, 8
    )


@pytest.mark.parametrize("work", [prepared, lambda *of: audit(of[0], prepared(*of)), first_batch])
def test_no_function_is_called_more_often_than_the_files_grow(sources, tmp_path, monkeypatch, work):
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 8)
    counts = []
    for number, people in enumerate((PEOPLE[0], *PEOPLE)):  # one more, for what is done once in a process
        root, store = tmp_path / f"root{number}", tmp_path / f"store{number}"
        lay_out(sources, [sources / "a.png"], root, people, voices=4 * people, faces=people)
        if work is not prepared:
            prepared(StandIns(DatasetSource(root)), store)
        counts.append(calls(lambda root=root, store=store: work(StandIns(DatasetSource(root)), store)))
    of_all = [[of_one.get(place, 0) for of_one in counts[1:]] for place in counts[-1]]
    grown = dict(zip(counts[-1], of_all, strict=True))
    assert max(many for _, _, many in of_all) > 5 * PEOPLE[-1]
    worse = {
        place: (few, some, many)
        for place, (few, some, many) in grown.items()
        if many > FEW and many - some > 2.5 * (some - few)
    }
    assert not worse


def test_what_a_piece_of_work_is_done_with_is_not_sent_with_every_piece(monkeypatch):
    sent, ballast = [], bytes(1 << 20)
    real = workers._work_pickled
    monkeypatch.setattr(
        workers, "_work_pickled", lambda *given: (sent.append(len(pickle.dumps(given))), real(*given))[1]
    )
    done = list(workers.on_this_machine(lambda piece: piece * len(ballast), [1, 2, 3], jobs=1))
    assert done == [1 << 20, 2 << 20, 3 << 20]
    assert max(sent) < 1000


def sizes(power, kind="stand-ins", step="audit"):
    """A step at three sizes, whose time grows with this power of them."""
    return [
        Measured(
            kind, step, n // 100, n, n // 50, 9 + n**power / 50, 5 + n**power / 100, 0.5, n / 6250, n / 450
        )
        for n in (1000, 4000, 16000)
    ]


@pytest.mark.parametrize("power", [0.8, 1, 2])
def test_growth_is_the_exponent_whatever_the_start_takes(power):
    assert growth(*sizes(power)) == pytest.approx(power)


def test_growth_is_not_told_from_noise():
    assert growth(*sizes(0.01)) is None


def test_the_page_promises_what_was_measured_and_extrapolated():
    steps = ("again", "audit", "training", "evaluation")
    found = sizes(1, "real", "prepare") + [one for step in steps for one in sizes(1, step=step)]
    options = argparse.Namespace(identities=1600, recordings=160_000, photos=3200, jobs=2)
    text = " ".join(page(found, options, 388, 400).split())
    assert "(1,600 identities, 160,000 recordings, 356 hours of sound, 3,200 photos)" in text
    assert "`prepare` takes 27 minutes of processor time, which `--jobs` divides, 26 GB of disk" in text
    assert "| `sf2f-bench prepare` | 160 | 16,000 | 320 | 329.0 | 165.0 | 0.50 GB | 2.56 GB | 1.00 |" in text
    assert "Every later command spends 165 s" in text


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_measured_command_says_time_memory_and_what_it_printed():
    code = "import tests.tiny; held = bytearray(200_000_000); sum(range(3_000_000)); print('done')"
    seconds, processor, memory, printed = measured_command(["timeit", "-n", "5", "-r", "1", code])
    assert seconds > processor > 0
    assert 0.2 < memory < 0.6
    assert "done" in printed
