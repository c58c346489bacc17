"""The speed table says what the figures say: no measurement here, so it runs with the other tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.perf.official import ROWS
from tests.perf.table import is_met, table, times_as_fast

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


def benchmark(row, value, way="ours", **facts):
    return {"extra_info": {"row": row, "value": value, "way": way, **facts}}


def line(text, what):
    (found,) = [row for row in text.splitlines() if row.startswith(f"| {what}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_more_of_a_rate_and_less_of_a_time_is_faster():
    assert times_as_fast(ROW["data"], 2836, 1418) == 2
    assert times_as_fast(ROW["recall-370"], 0.16, 0.32) == 2


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [
        ("train-64-facenet", 22.5, True),
        ("train-64-facenet", 22.4, False),
        ("recall-370", 0.0032, True),
        ("recall-370", 0.0033, False),
        ("gpu-step-64-bf16-none", 12.0, True),
        ("gpu-step-64-bf16-none", 12.1, False),
        ("report-100", 10.0, True),
        ("report-100", 10.1, False),
        ("train-64", 1000, None),
    ],
)
def test_an_aim_is_met_from_the_promised_ratio_on(name, value, met):
    assert is_met(ROW[name], value) is met


def test_the_table_sets_our_figures_beside_the_official_ones():
    content = {
        "machine_info": MACHINE,
        "benchmarks": [
            benchmark("train-64-facenet", 14.0),
            benchmark("train-64-facenet", 10.0, "official"),
            benchmark("recall-1500", 0.05, memory=0.041),
            benchmark("recall-5000", 0.5),
            {"extra_info": {"seconds of sound per second": 2100}, "params": {"suffix": "flac"}},
            {"extra_info": {"seconds of sound per second": 9000}, "params": {"part": "decode wav"}},
            {"extra_info": {}, "params": None},
        ],
    }
    text = table(content)
    training = line(text, ROW["train-64-facenet"].what)
    assert training[1:] == ["samples/s", "17.3", "14", "0.81x", "1.3x", "no", "10", "1.40x"]
    recall = line(text, ROW["recall-1500"].what)
    assert recall[1:] == ["s", "6.7, +13 GB", "0.05, +0.041 GB", "134.00x", "100x", "yes", "–", "–"]
    assert line(text, ROW["recall-5000"].what)[2] == "out of memory"
    assert line(text, ROW["audio-flac"].what)[3] == "2,100"
    assert "9,000" not in text
    assert "2 cores of A Processor, AVX512, torch 2.13.0 with 2 threads" in text
    assert "3.1%" in text
    assert "Not measured in this run: " in text
    assert ROW["scoring"].what in text.splitlines()[-1]
    assert "there is no CUDA device" in text
    assert ROW["gpu-step-64-bf16-none"].what not in text


def test_the_command_prints_and_writes_it(tmp_path):
    source, out = tmp_path / "benchmark.json", tmp_path / "table.md"
    content = {"machine_info": MACHINE, "benchmarks": [benchmark("scoring", 46.0)]}
    source.write_text(json.dumps(content), encoding="utf-8")
    command = [sys.executable, "-m", "tests.perf.table", str(source), "--out", str(out)]
    root = Path(__file__).parents[2]
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert out.read_text(encoding="utf-8") in printed
    assert "2.00x" in printed


def test_no_two_rows_have_one_name():
    assert len(ROW) == len(ROWS)
