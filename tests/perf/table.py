"""The speed table: ``python -m tests.perf.table BENCHMARK.json [--out TABLE.md]``.

BENCHMARK.json is what ``pytest tests/perf --benchmark-only --benchmark-json=BENCHMARK.json`` writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.perf.official import ROWS, Row

HEAD = ("what", "unit", "official", "ours", "ratio", "aim", "met", "as official, here", "ratio here")
SOUND = "seconds of sound per second"  # as tests/perf/test_audio_speed.py names it
NOTES = """\
*official*: the official code on 2 CPU threads of its own machine, torch 2.13. *ratio*: how many times as fast as \
that; the aim is for this ratio. *as official, here*: the same work done as the official code does it \
(tests/perf/as_official.py) on this machine, and *ratio here*: how many times as fast as that. Each figure is the best \
of a few rounds; + GB: memory in addition to the inputs."""


def measured(benchmarks: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What the benchmarks say of the table's rows, by (row, way)."""
    found = {}
    for benchmark in benchmarks:
        facts = benchmark["extra_info"]
        if "row" in facts:
            found[facts["row"], facts["way"]] = facts
        elif SOUND in facts and "suffix" in (
            benchmark["params"] or {}
        ):  # test_audio_speed.py, the whole front end
            found[f"audio-{benchmark['params']['suffix']}", "ours"] = {"value": facts[SOUND]}
    return found


def times_as_fast(row: Row, value: float, base: float) -> float:
    """How many times as fast `value` is as `base`, both in the row's unit."""
    return base / value if row.is_time else value / base


def is_met(row: Row, value: float) -> bool | None:
    """Does `value` reach the row's aim? None where the row has none."""
    if row.aim is not None and row.official is not None:
        return times_as_fast(row, value, row.official) >= row.aim
    return value <= row.at_most if row.at_most is not None else None


def number(value: float) -> str:
    """Three figures, and no decimals of hundreds."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def memory(gigabytes: float | None) -> str:
    """Memory behind a figure, where it is known."""
    return "" if gigabytes is None else f", +{gigabytes:.2g} GB"


def cells(row: Row, found: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[str]:
    """One line of the table."""
    ours, same = found[row.name, "ours"], found.get((row.name, "official"))
    value, verdict = ours["value"], is_met(row, ours["value"])
    aim = f"{row.aim:g}x" if row.aim else f"{row.at_most:g} {row.unit}" if row.at_most else "–"
    official = row.instead if row.official is None else number(row.official) + memory(row.memory)
    return [
        row.what,
        row.unit,
        official,
        number(value) + memory(ours.get("memory")),
        "–" if row.official is None else f"{times_as_fast(row, value, row.official):.2f}x",
        aim,
        {True: "yes", False: "no", None: "–"}[verdict],
        "–" if same is None else number(same["value"]),
        "–" if same is None else f"{times_as_fast(row, value, same['value']):.2f}x",
    ]


def machine_line(machine: Mapping[str, Any]) -> str:
    """On what the figures were measured."""
    parts = [
        f"{machine['cores']} cores of {machine['cpu'].get('brand_raw', machine['machine'])}",
        machine["instructions"],
        f"torch {machine['torch']} with {machine['threads']} threads",
    ]
    if machine.get("cuda"):
        parts.append(machine["cuda"])
    if "steal" in machine:
        parts.append(f"{machine['steal']:.1%} of the processors' time taken by other guests of the host")
    return "Measured on " + ", ".join(parts) + "."


def table(content: Mapping[str, Any]) -> str:
    """Markdown of a benchmark file's content; rows that were not measured are left out."""
    found = measured(content["benchmarks"])
    lines = [cells(row, found) for row in ROWS if (row.name, "ours") in found]
    rows = [HEAD, ["---", "---", *["---:"] * (len(HEAD) - 2)], *lines]
    missing = [row.what for row in ROWS if (row.name, "ours") not in found and not row.on_gpu]
    if not content["machine_info"].get("cuda"):
        missing.append("all rows that need a GPU, because there is no CUDA device")
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    left_out = f"\n\nNot measured in this run: {'; '.join(missing)}." if missing else ""
    return f"{text}\n\n{machine_line(content['machine_info'])}\n\n{NOTES}{left_out}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="The speed table of a benchmark run.")
    parser.add_argument("benchmark", type=Path, help="the file that --benchmark-json wrote")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    options = parser.parse_args()
    text = table(json.loads(options.benchmark.read_text(encoding="utf-8")))
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
