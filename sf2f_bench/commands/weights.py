"""`sf2f-bench weights`: the files of the networks that score."""

from __future__ import annotations

from pathlib import Path

import click

from sf2f_bench.commands.options import FOLDER


@click.group()
def weights() -> None:
    """The networks that score and their weights."""


@weights.command(name="list")
def list_weights() -> None:
    """Show the files of published networks: what they are, where they come from, and whether they are here."""
    from sf2f_bench.extractors.weights import FILES, folders

    for name, file in FILES.items():
        found = [folder for folder in folders() if (folder / name).is_file()]
        size = f"{file.size:,} bytes" if file.size else "size not known"
        click.echo(f"{name}  {'in ' + str(found[0]) if found else 'not here'}")
        click.echo(f"  {file.description}; {size}; licence: {file.licence}")
        click.echo(f"  sha256 {file.sha256 or 'not known'}\n  {file.url}")
    click.echo(f"folders: {', '.join(map(str, folders()))}")


@weights.command(name="import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="The system it was trained as, like sf2f-64-fuser.")
@click.option("--cache", type=FOLDER, default=Path(".sf2f-bench"), show_default=True)
def import_weights(file: Path, model: str, cache: Path) -> None:
    """Take over a generator that the official code trained; only tensors are ever loaded."""
    from sf2f_bench.weights_import import import_checkpoint

    path = import_checkpoint(file, model, cache / "weights")
    click.echo(f"{path}\nnext: sf2f-bench run BENCHMARK --models {model}@{path}")


@weights.command(name="build-embedded")
@click.option("--out", type=FOLDER, required=True, help="Folder for the safetensors files.")
def build_embedded(out: Path) -> None:
    """Train the two embedded networks anew, as the shipped ones were."""
    from sf2f_bench.extractors.build_embedded import build
    from sf2f_bench.extractors.embedded import SPECS

    for name in SPECS:
        click.echo(build(name, out))
