"""What several commands share: their options, and how a list of numbers is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(file_okay=False, path_type=Path)
SETTINGS = [
    click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML file with these options."
    ),
    click.option("--root", type=FOLDER, help="Folder of HQ-VoxCeleb (faces, recordings, metadata)."),
    click.option("--voices", type=FOLDER, help="Folder of recordings, for null-pairs."),
    click.option("--faces", type=FOLDER, help="Folder of photos, for null-pairs."),
    click.option("--cache", type=FOLDER, help="Where stages keep what they made.  [default: .sf2f-bench]"),
    click.option("--jobs", type=int, help="Processes that prepare data.  [default: 2]"),
    click.option("--scheduler", help="Address of a Dask scheduler whose workers prepare data instead."),
    click.option("--budget", type=click.Choice(["smoke", "default", "paper"]), help="How long to train."),
]


def with_settings(command: Any) -> Any:
    """The options that name a benchmark's data and cache."""
    for option in reversed(SETTINGS):
        command = option(command)
    return command


def numbers(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """``1,5,10`` -> ``(1, 5, 10)``; None where nothing was said."""
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"expected numbers with commas between, like 1,5,10; got {value!r}"
        ) from None
