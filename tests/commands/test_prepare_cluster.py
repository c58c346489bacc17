"""`prepare` over a Dask cluster as a user starts it, one of whose two workers is killed on the way."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.data import shards, workers
from sf2f_bench.data.media import AudioFile
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.progress import Reporter
from sf2f_bench.types import SPLITS, BenchError, DatasetSource

pytest.importorskip("distributed", reason="the extra `cluster` (Dask) is not installed")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds for a process of a busy machine to start or to end


class FaultyWorld(SyntheticWorld):
    """Twelve synthetic people; one has a recording that is not there."""

    def __init__(self):
        super().__init__(DatasetSource(limits={"train": 8, "val": 2, "test": 2}))

    def utterances(self, identity):
        lost = [AudioFile("lost", Path("lost.wav"))] if identity == "train-0007" else []
        return [*lost, *super().utterances(identity)]


def run_prepare(folder, scheduler=None):
    """(the store, what was printed)"""
    text = io.StringIO()
    reporter = Reporter(Console(file=text, width=200))
    store = prepare(FaultyWorld(), LogFilterbank(), 64, folder, reporter, jobs=1, scheduler=scheduler)
    return store, text.getvalue()


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.05)


def is_whole(file):
    """Is the JSON there to its end? Dask writes it in place."""
    try:
        return bool(json.loads(file.read_text()))
    except (OSError, ValueError):
        return False


@pytest.fixture
def cluster(tmp_path):
    """(address of a scheduler, its two workers' processes)"""
    file, started = tmp_path / "scheduler.json", []
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}

    def start(*command):
        with (tmp_path / f"process{len(started)}.log").open("w") as log:
            command = [
                sys.executable,
                "-m",
                "dask",
                *command,
                "--scheduler-file",
                str(file),
                "--no-dashboard",
            ]
            started.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path))

    start("scheduler", "--host", "127.0.0.1", "--port", "0")
    wait_for(lambda: is_whole(file), "the scheduler")
    for _ in range(2):
        # Without a nanny, which would start a killed worker again.
        start("worker", "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path))
    yield json.loads(file.read_text())["address"], started[1:]
    for process in reversed(started):
        process.kill()
        process.wait()


def test_a_killed_worker_costs_nothing_but_time(tmp_path, cluster, monkeypatch):
    monkeypatch.setattr(shards, "FILES_PER_SHARD", 8)  # shards begin and end within a person
    here = tmp_path / "here"  # the workers stand in its parent, and the store's name is relative
    here.mkdir()
    monkeypatch.chdir(here)
    address, (doomed, survivor) = cluster
    written, at_the_kill = here / "cluster" / "shards", []

    def kill_on_the_way():
        wait_for(lambda: len(list(written.glob("*.parquet"))) > 1, "two shards")
        at_the_kill.extend(written.glob("*.parquet"))
        os.kill(doomed.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_on_the_way, daemon=True)
    killer.start()
    store, printed = run_prepare(Path("cluster"), address)
    killer.join()
    alone, _ = run_prepare(tmp_path / "alone")

    planned = len(json.loads((store.folder / "plan.json").read_text()))
    assert planned == 11
    assert 2 <= len(at_the_kill) < planned - 2
    assert doomed.wait(PATIENCE) == -signal.SIGKILL
    assert survivor.poll() is None
    assert f"workers at {address}" in printed
    assert re.search(
        r"prepare synthetic \(files\): 85 done in .* 360 s of audio, [1-9]\d* s of audio per s, 1 bad",
        printed,
    )

    assert store.data_hash == alone.data_hash
    pd.testing.assert_frame_equal(store.left_out, alone.left_out)
    assert store.left_out["key"].tolist() == ["lost"]
    for name in ("manifest.parquet", "identities.parquet", "plan.json", "store.json"):
        assert (store.folder / name).read_bytes() == (alone.folder / name).read_bytes(), name
    for shard in sorted((alone.folder / "shards").glob("*.safetensors")):
        assert shard.read_bytes() == (store.folder / "shards" / shard.name).read_bytes(), shard.name
    for split in SPLITS:
        for identity in alone.identities(split):
            voices = zip(store.voices(identity.id), alone.voices(identity.id), strict=True)
            assert all(np.array_equal(one, other) for one, other in voices)
            np.testing.assert_array_equal(store.faces(identity.id), alone.faces(identity.id))


def test_a_scheduler_that_does_not_answer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "CONNECT_SECONDS", 1)
    with socket.socket() as taken:  # and never listened to: nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        for wrong in (address, "carrier-pigeon://loft"):
            with pytest.raises(
                BenchError, match=f"no Dask scheduler answers at '{wrong}' within 1 s.*dask scheduler"
            ):
                run_prepare(tmp_path / "store", wrong)
