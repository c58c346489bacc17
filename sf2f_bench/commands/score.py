"""`sf2f-bench score`: faces that another program drew, in the table beside the anchors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sf2f_bench.commands.options import DATA_SETTINGS, FOLDER, with_settings
from sf2f_bench.types import BenchError


@click.command()
@click.argument("folder", type=FOLDER)
@with_settings("benchmark", *DATA_SETTINGS, "results", required="benchmark")
@click.option("--name", help="The row's name.  [default: FOLDER's name]")
@click.option(
    "--description", default="faces drawn by another program", show_default=True, help="What drew them."
)
@click.option(
    "--partial", is_flag=True, help="Score those people that have a picture; the row says how many."
)
def score(
    folder: Path, config: Path | None, name: str | None, description: str, partial: bool, **options: Any
) -> None:
    """Score the faces in FOLDER, drawn by any program: FOLDER/IDENTITY/*.png (or jpg) of every test identity.

    A person's first picture by name is the face; where everybody has two, the first two (drawn from two recordings
    apart) give the consistency. `sf2f-bench export-voices` writes the voices that such a program hears.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    label = _row_name(name if name is not None else folder.resolve().name)
    if not folder.is_dir():
        raise BenchError(f"expected a folder of faces, FOLDER/IDENTITY/*.png, but {folder} is not a folder")
    from rich.console import Console

    from sf2f_bench.progress import Reporter
    from sf2f_bench.report import summary
    from sf2f_bench.runs.pipeline import score_external

    made = score_external(settings, Reporter(), label, description, folder, partial)
    summary(made, Console())
    click.echo(f"records: {settings.results}   next: sf2f-bench report {settings.results}")


def _row_name(name: str) -> str:
    """The name, if it is none that an installed system has: the table must not confuse the two."""
    from sf2f_bench.registry import MODELS

    if not name.strip():
        raise BenchError("--name is empty: say how the row shall be called in the table")
    if name in MODELS.targets():
        raise BenchError(f"{name!r} is the name of a system of sf2f-bench itself: say another --name")
    return name
