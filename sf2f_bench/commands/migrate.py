"""`sf2f-bench migrate`: records of an older schema to the present one."""

from __future__ import annotations

from pathlib import Path

import click

from sf2f_bench.commands.options import ANY_PATH, printable
from sf2f_bench.types import BenchError


@click.command()
@click.argument("records", nargs=-1, required=True, type=ANY_PATH)
def migrate(records: tuple[Path, ...]) -> None:
    """Bring RECORDS (files, or folders of them) of schema 1 to schema 2 and add checksums of side files, in place.

    Schema 2 keeps what metrics, extractors and systems say of themselves. No number changes. Prints a line a record,
    and what is not installed here, which gets a default card. Killed at any moment, the same command goes on.
    """
    from sf2f_bench.results.validation import record_paths
    from sf2f_bench.runs.migration import migrate as migrate_one

    faulty = 0
    paths = record_paths(records)
    for path in paths:
        outcome = migrate_one(path)
        faulty += bool(outcome.fault)
        click.echo(f"{printable(path)}: {outcome.text or f'NOT MIGRATED: {outcome.fault}'}")
        for name in outcome.unknown:
            click.echo(f"  - {name} is not installed here: it got a default card")
    if faulty:
        raise BenchError(f"{faulty} of {len(paths)} records could not be migrated, the lines above say why")
