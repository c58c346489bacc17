"""The report: tables, notes and pictures from result records, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sf2f_bench.report.brief import brief
from sf2f_bench.report.terminal import summary, summary_facts
from sf2f_bench.results.records import RunRecord

__all__ = ["brief", "summary", "summary_facts", "write_report"]


def write_report(records: Sequence[RunRecord], out: Path, console: Console | None = None) -> list[Path]:
    """Write the page, its Markdown, the claims, tables, scores and pictures into `out`; give their paths.

    console: where `summary` is printed too, while the pictures are drawn.

    Raises BenchError where there are no records.
    """
    from sf2f_bench.report.files import report_files  # matplotlib takes a second

    return report_files(records, Path(out), console)
