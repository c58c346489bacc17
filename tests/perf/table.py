"""The speed table: ``python -m tests.perf.table BENCHMARK.json [--out TABLE.md]``.

BENCHMARK.json is what ``pytest tests/perf --benchmark-only --benchmark-json=BENCHMARK.json`` writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.perf.rows import ROWS, Row

HEAD = ("what", "unit", "ours", "as official", "ratio", "rounds", "at most", "met")
SOUND = "seconds of sound per second"  # as tests/perf/test_audio_speed.py names it
NOTES = """\
*as official*: the same work done as the official code does it (tests/perf/as_official.py), timed on this machine \
alternately with ours, round by round; *ratio*: how many times as fast as that ours is, the median over the rounds, \
with the lowest and the highest. Other figures are the best of a few rounds; + GB: memory in addition to the inputs.

The official code itself was timed so elsewhere, alternately with ours in one process (AVX-512, torch 2.14, two \
threads): training step with FaceNet 1.79x at 64 pixels and 1.65x at 128, without FaceNet 1.54x and 1.40x (batch 32); \
generators 1.2x to 1.8x (batch 64). That measurement is not part of this run."""


def measured(benchmarks: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """What the benchmarks say of the table's rows, by row."""
    found = {}
    for benchmark in benchmarks:
        facts = benchmark["extra_info"]
        if "row" in facts:
            found[facts["row"]] = facts
        elif SOUND in facts and "suffix" in (
            benchmark["params"] or {}
        ):  # test_audio_speed.py, the whole front end
            found[f"audio-{benchmark['params']['suffix']}"] = {"value": facts[SOUND]}
    return found


def number(value: float) -> str:
    """Three figures, and no decimals of hundreds."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def memory(gigabytes: float | None) -> str:
    """Memory behind a figure, where it is known."""
    return "" if gigabytes is None else f", +{gigabytes:.2g} GB"


def cells(row: Row, facts: Mapping[str, Any]) -> list[str]:
    """One line of the table."""
    value, ratios = facts["value"], facts.get("ratios")
    return [
        row.what,
        row.unit,
        number(value) + memory(facts.get("memory")),
        number(facts["official"]) if ratios else "–",
        f"{facts['ratio']:.2f}x" if ratios else "–",
        f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "–",
        f"{row.at_most:g} {row.unit}" if row.at_most else "–",
        "–" if row.at_most is None else "yes" if value <= row.at_most else "no",
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
    lines = [cells(row, found[row.name]) for row in ROWS if row.name in found]
    rows = [HEAD, ["---", "---", *["---:"] * (len(HEAD) - 2)], *lines]
    missing = [row.what for row in ROWS if row.name not in found and not row.on_gpu]
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
