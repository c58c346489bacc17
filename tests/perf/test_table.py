"""The speed table says what the figures say: no measurement here, so it runs with the other tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.perf.rows import ROWS
from tests.perf.table import table

ROW = {row.name: row for row in ROWS}
MACHINE = {
    "machine": "x86_64",
    "cpu": {"brand_raw": "A Processor"},
    "cores": 2,
    "instructions": "AVX512",
    "torch": "2.13.0",
    "threads": 2,
    "cuda": None,
    "steal": 0.031,
}


def benchmark(row, value, **facts):
    return {"extra_info": {"row": row, "value": value, **facts}}


def line(text, what):
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {what}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("gpu-step-64-bf16-none", 12.0, "yes"),
        ("gpu-step-64-bf16-none", 12.1, "no"),
        ("report-100", 10.0, "yes"),
        ("report-100", 10.1, "no"),
        ("train-64", 1000, "–"),
    ],
)
def test_an_aim_is_met_up_to_its_figure(name, value, met):
    assert (
        line(table({"machine_info": MACHINE, "benchmarks": [benchmark(name, value)]}), ROW[name].what)[-1]
        == met
    )


def test_the_table_sets_our_figures_beside_the_official_way():
    both = {"official": 10.0, "ratio": 1.4, "ratios": [1.3, 1.4, 1.5]}
    content = {
        "machine_info": MACHINE,
        "benchmarks": [
            benchmark("train-64-facenet", 14.0, **both),
            benchmark("recall-1500", 0.05, memory=0.041),
            {"extra_info": {"seconds of sound per second": 2100}, "params": {"suffix": "flac"}},
            {"extra_info": {"seconds of sound per second": 9000}, "params": {"part": "decode wav"}},
            {"extra_info": {}, "params": None},
        ],
    }
    text = table(content)
    training = line(text, ROW["train-64-facenet"].what)
    assert training[1:] == ["samples/s", "14", "10", "1.40x", "1.30 to 1.50", "–", "–"]
    assert line(text, ROW["recall-1500"].what)[1:] == ["s", "0.05, +0.041 GB", "–", "–", "–", "–", "–"]
    assert line(text, ROW["audio-flac"].what)[2] == "2,100"
    assert "9,000" not in text
    assert "2 cores of A Processor, AVX512, torch 2.13.0 with 2 threads" in text
    assert "3.1%" in text
    assert "Not measured in this run: " in text
    assert ROW["scoring"].what in text.splitlines()[-1]
    assert "there is no CUDA device" in text
    assert ROW["gpu-step-64-bf16-none"].what not in text


def test_the_command_prints_and_writes_it(tmp_path):
    source, out = tmp_path / "benchmark.json", tmp_path / "table.md"
    content = {
        "machine_info": MACHINE,
        "benchmarks": [benchmark("scoring", 46.0, official=23.0, ratio=2.0, ratios=[2.0])],
    }
    source.write_text(json.dumps(content), encoding="utf-8")
    command = [sys.executable, "-m", "tests.perf.table", str(source), "--out", str(out)]
    root = Path(__file__).parents[2]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert out.read_text(encoding="utf-8") in printed
    assert "2.00x" in printed


def test_no_two_rows_have_one_name():
    assert len(ROW) == len(ROWS)
