"""Reading: recordings to features, and training batches from a prepared store; run with ``--benchmark-only``."""

from __future__ import annotations

import io
import os

import pytest
import torch
from rich.console import Console

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.training import TrainingData
from sf2f_bench.data.workers import on_this_machine
from sf2f_bench.progress import Reporter
from sf2f_bench.types import SAMPLE_RATE
from tests.tiny import TinyDataset, TinyFrontend

BATCH, BATCHES = 256, 20
TIMES, PIECES = 40, 4  # how often each recording is read, and in how many pieces of work


def test_training_items(measure, tmp_path):
    """One thread of one process; the store's pages are in memory, as after the first epoch."""
    dataset = TinyDataset(counts={"train": 2 * BATCH, "val": 1, "test": 1})
    store = prepare(
        dataset, TinyFrontend(), 64, tmp_path / "s", Reporter(Console(file=io.StringIO())), jobs=1
    )
    data = TrainingData(store, TinyFrontend(), 0, torch.device("cpu"))

    def read():
        for step in range(BATCHES):
            data.batch(step, BATCH)

    measure("data", read, items=BATCH * BATCHES, rounds=5)


def test_audio_front_end_on_all_cores(measure, shared):
    paths = sorted((shared / "real" / "voxceleb_voices").glob("*.wav"))[:10]
    if not paths:
        pytest.skip("no recordings in ../shared/real/voxceleb_voices")
    seconds = TIMES * PIECES * sum(len(decode(path)) for path in paths) / SAMPLE_RATE
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

    def features(some):  # a closure: the worker processes cannot import this module
        return [LogFilterbank()(decode(path)).shape for path in some]

    def work():
        return list(on_this_machine(features, [paths * TIMES] * PIECES, cores))

    measure("audio", work, items=seconds, rounds=3)
