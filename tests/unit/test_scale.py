"""The work of preparing, reusing, auditing and opening a data set grows as its files do, by counts of calls."""

from __future__ import annotations

import cProfile
import io
import pickle
import pstats

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
    return TrainingData(prepared(dataset, folder), LogFilterbank(), 0, Machine.start("cpu").device).batch(0, 8)


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
    assert list(workers.on_this_machine(lambda piece: piece + len(ballast), [1, 2, 3], jobs=1)) == [
        1 + (1 << 20),
        2 + (1 << 20),
        3 + (1 << 20),
    ]
    assert max(sent) < 1000
