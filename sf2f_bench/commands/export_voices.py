"""`sf2f-bench export-voices`: the voices for another program whose faces can be scored here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sf2f_bench.commands.options import DATA_SETTINGS, FOLDER, benchmark_argument, with_settings
from sf2f_bench.types import SPLITS


@click.command(name="export-voices")
@benchmark_argument
@with_settings(*DATA_SETTINGS)
@click.option("--out", type=FOLDER, required=True, help="Folder for the voices.")
@click.option(
    "--split",
    "splits",
    type=click.Choice(SPLITS),
    multiple=True,
    default=("test",),
    show_default=True,
    help="Whose voices. Repeatable.",
)
def export_voices(config: Path | None, out: Path, splits: tuple[str, ...], **options: Any) -> None:
    """Write BENCHMARK's voices as FLAC, and a table of the windows that count, for a program that generates faces.

    Of test people only the sound that the protocol allows a system is written; of others all recordings and the
    faces. Existing files are kept: the same command resumes an interrupted export.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    from sf2f_bench.audio import LogFilterbank
    from sf2f_bench.benchmarks import benchmark_named
    from sf2f_bench.exchange.voices_out import export
    from sf2f_bench.progress import Reporter
    from sf2f_bench.runs.stages import dataset_of, prepare_store

    benchmark = benchmark_named(settings.benchmark).for_budget(settings.budget)
    dataset = dataset_of(settings, benchmark)
    reporter = Reporter()
    store = prepare_store(settings, benchmark, dataset, reporter)
    export(dataset, store, LogFilterbank(), out, benchmark.name, splits, reporter, settings.jobs)
    click.echo(f"{out}: voices of {', '.join(splits)}; see {out / 'README.txt'}")
