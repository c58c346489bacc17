"""`sf2f-bench audit`: check whether a data set is fit to measure anything with."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sf2f_bench.commands.options import DATA_SETTINGS, OUT_FILE, benchmark_argument, say, with_settings

if TYPE_CHECKING:
    from sf2f_bench.results.records import Finding


@click.command()
@benchmark_argument
@with_settings(*DATA_SETTINGS)
@click.option("--json", "json_file", type=OUT_FILE, help="Write the findings here too.")
def audit(config: Path | None, json_file: Path | None, **options: Any) -> None:
    """Look for faults in BENCHMARK's data that would invalidate a result: people or files in two splits.

    Also describes the test people: which networks were trained on them, their balance, and what knowing only the
    gender reaches. Prepares the data if that was not done yet. Exit code 1 if something must be fixed.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    from sf2f_bench.audit.findings import audit as findings_of
    from sf2f_bench.audit.findings import shares_people
    from sf2f_bench.benchmarks import benchmark_named
    from sf2f_bench.files import write_json
    from sf2f_bench.progress import Reporter
    from sf2f_bench.runs.stages import dataset_of, prepare_store

    benchmark = benchmark_named(settings.benchmark).for_budget(settings.budget)
    dataset = dataset_of(settings, benchmark)
    overlap = shares_people(dataset)
    store = None if overlap else prepare_store(settings, benchmark, dataset, Reporter())
    findings = findings_of(dataset, store, settings.gallery or benchmark.gallery_size)
    _show(findings)
    if overlap:
        say("Photos and recordings were not compared: first remove the overlap of the splits.")
    if json_file is not None:
        facts = {"benchmark": benchmark.name, "data_hash": store and store.data_hash}
        write_json(json_file, {**facts, "findings": [finding.model_dump() for finding in findings]})
    if any(finding.alarm for finding in findings):
        sys.exit(1)


def _show(findings: Sequence[Finding]) -> None:
    """One paragraph for each finding."""
    for finding in findings:
        text = f"{'WARNING ' if finding.alarm else ''}{finding.check}: {finding.text}"
        say(text, indent="  ")
    alarms = sum(finding.alarm for finding in findings)
    click.echo(f"{len(findings)} findings, {alarms} alarm{'' if alarms == 1 else 's'}.")
