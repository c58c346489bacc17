"""`sf2f-bench validate`: check that records are complete and consistent."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sf2f_bench.commands.options import ANY_PATH, printable, say


@click.command()
@click.argument("records", nargs=-1, required=True, type=ANY_PATH)
def validate(records: tuple[Path, ...]) -> None:
    """Check RECORDS (files or folders of them): schema, side files and hashes; recompute every number.

    Prints a line for each record and every fault; exits with 1 if there is one. Records for the repository must
    pass (see CONTRIBUTING). It cannot prove that the values of the identities are those of the system, for that takes
    the faces: an edit of all that would contradict it, checksums included, is not found.
    """
    from sf2f_bench.results import validation
    from sf2f_bench.results.texts import clean

    checked = [validation.validate(path) for path in validation.record_paths(records)]
    for one in checked:
        if not one.faults:
            click.echo(f"ok     {clean(one.path.name)}: {one.summary}")
            continue
        click.echo(f"FAULTY {printable(one.path)}")
        for fault in one.faults:
            click.echo(f"  - {clean(fault)}")
    faulty = sum(bool(one.faults) for one in checked)
    click.echo(f"{len(checked)} records, {faulty or 'none'} faulty")
    say(validation.UNPROVEN)
    sys.exit(1 if faulty else 0)
