"""What every measurement shares: how a row is reported, and what is written down of the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from tests.perf.rows import ROWS

ROW = {row.name: row for row in ROWS}
STAT = Path("/proc/stat")


@pytest.fixture
def measure(benchmark) -> Callable[..., float]:
    """``measure(row, work, official=None, items=1, rounds=3, **facts)``: times `work`, which does `items` of the row's.

    official: the same work as the official code does it, timed before every round, so that both ways meet the same
    state of the machine. The best of the rounds, after one to warm up, goes into ``extra_info`` as the row's rate
    (or time): what the machine's other users take away is not the code's; the ratio is the median over the rounds.
    """

    def run(
        name: str,
        work: Callable[[], Any],
        official: Callable[[], Any] | None = None,
        items: float = 1,
        rounds: int = 3,
        **facts: Any,
    ) -> float:
        row, others = ROW[name], []

        def time_the_official_way() -> None:
            started = time.perf_counter()
            official()
            others.append(time.perf_counter() - started)

        setup = time_the_official_way if official else None
        benchmark.pedantic(work, setup=setup, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)
        stats = benchmark.stats.stats

        def value_of(seconds: float) -> float:
            return {"s": seconds / items, "ms": 1000 * seconds / items}.get(row.unit, items / seconds)

        if official:
            alternately = zip(others[-rounds:], stats.data, strict=True)
            ratios = [theirs / ours for theirs, ours in alternately]
            facts |= {"official": value_of(min(others[-rounds:])), "ratio": median(ratios), "ratios": ratios}
        value = value_of(stats.min)
        benchmark.extra_info |= {"row": name, "what": row.what, "unit": row.unit, "value": value, **facts}
        return value

    return run


def processor_time() -> list[int]:
    """User, nice, system, idle, iowait, irq, softirq, steal of all processors together; empty off Linux."""
    return [int(field) for field in STAT.read_text().split("\n", 1)[0].split()[1:9]] if STAT.exists() else []


STARTED = processor_time()


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info |= {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """The share of the processors' time that other guests of the same host took."""
    spent = [now - before for now, before in zip(processor_time(), STARTED, strict=True)]
    if spent and sum(spent):
        output_json["machine_info"]["steal"] = spent[7] / sum(spent)
