"""What every measurement shares: how a row is reported, and what is written down of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.perf.official import ROWS

ROW = {row.name: row for row in ROWS}
STAT = Path("/proc/stat")


@pytest.fixture
def measure(benchmark) -> Callable[..., float]:
    """``measure(row, work, items=1, rounds=3, **facts)``: times `work`, which does `items` of what the row counts.

    The best of the rounds, after one to warm up, goes into ``extra_info`` as the row's rate (or time): what
    the machine's other users take away is not the code's.
    """

    def run(name: str, work: Callable[[], Any], items: float = 1, rounds: int = 3, **facts: Any) -> float:
        row = ROW[name]
        benchmark.pedantic(work, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)
        seconds = benchmark.stats.stats.min
        value = {"s": seconds / items, "ms": 1000 * seconds / items}.get(row.unit, items / seconds)
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
