"""`sf2f-bench weights`: the files of weights of the scoring networks."""

from __future__ import annotations

from pathlib import Path

import click

from sf2f_bench.commands.options import FILE, FOLDER, OUT_FOLDER, plain_table, say


@click.group()
def weights() -> None:
    """Weights of the scoring networks: list, fetch, import and verify them."""


@weights.command(name="list")
@click.option("--all", "show_all", is_flag=True, help="Print description, licence, address and checksum too.")
def list_weights(show_all: bool) -> None:
    """List the files of published networks: whether they are on this machine, their size, and what uses them."""
    from sf2f_bench.extractors.weights import all_files, find, folders

    files = all_files()
    if not show_all:
        from rich.console import Console
        from rich.text import Text

        table = plain_table(["file", "here", "MB", "used by"], whole=["file", "here", "MB"])
        for name, file in files.items():
            size = f"{file.size / 1e6:,.0f}" if file.size else "–"
            table.add_row(*map(Text, (name, "yes" if find(file) else "no", size, ", ".join(file.used_by))))
        Console().print(table)
        say(f"folders: {', '.join(map(str, folders()))}")
        say(
            "`sf2f-bench weights list --all` shows licences, addresses and checksums; `weights fetch FILE` gets one."
        )
        return
    for name, file in files.items():
        found = find(file)
        size = f"{file.size:,} bytes" if file.size else "size not known"
        click.echo(f"{name}  {f'in {found.parent}' if found else 'not here'}")
        click.echo(f"  {file.description}; {size}; licence: {file.licence}")
        users = f"used by {', '.join(file.used_by)}; " if file.used_by else ""
        click.echo(f"  {users}sha256 {file.sha256 or 'not known'}")
        click.echo(f"  {file.url}{' (by hand, in a browser)' if file.wants_browser else ''}")
    click.echo(f"folders: {', '.join(map(str, folders()))}")


@weights.command()
@click.argument("name")
@click.option(
    "--mirror", metavar="URL", help="Address of a folder that holds NAME, in place of the publisher's."
)
def fetch(name: str, mirror: str | None) -> None:
    """Download the file NAME of a published network (see its licence in the list) and check it."""
    from sf2f_bench.extractors.fetch import fetch as bring

    click.echo(bring(name, mirror))


@weights.command(name="import")
@click.argument("file", type=FILE)
@click.option("--model", help="The system that FILE was trained as, like sf2f-64-fuser.")
@click.option("--cache", type=FOLDER, default=Path(".sf2f-bench"), show_default=True, help="With --model.")
def import_weights(file: Path, model: str | None, cache: Path) -> None:
    """Import weights that you have: of a published network, or with --model of a generator.

    A file of a published network is recognised by its checksum or name and copied to where it is searched for. A
    generator that the official code trained is converted. Only tensors are ever loaded.
    """
    if model is None:
        from sf2f_bench.extractors.fetch import take_in

        click.echo(take_in(file))
        return
    from sf2f_bench.runs.weights_import import import_checkpoint

    path = import_checkpoint(file, model, cache / "weights")
    click.echo(f"{path}\nnext: sf2f-bench run BENCHMARK --models {model}@{path}")


@weights.command()
def verify() -> None:
    """Read every file of weights on this machine and compare its checksum; fails where one is wrong."""
    from sf2f_bench.extractors.fetch import verify as check
    from sf2f_bench.types import BenchError

    wrong = 0
    for found in check():
        state = found.wrong or ("good" if found.vouched else "no published checksum to compare with")
        click.echo(f"{found.path}  {state}\n  sha256 {found.sha256 or 'none'}")
        wrong += found.wrong is not None
    if wrong:
        files = "files are" if wrong > 1 else "file is"
        raise BenchError(f"{wrong} {files} wrong: fetch them again or delete them")


@weights.command(name="build-embedded")
@click.option("--out", type=OUT_FOLDER, required=True, help="Folder for the safetensors files.")
def build_embedded(out: Path) -> None:
    """Train the embedded networks again, as the shipped ones were trained."""
    from sf2f_bench.extractors.build_embedded import build_spec
    from sf2f_bench.extractors.embedded import SHIPPED
    from sf2f_bench.progress import Reporter

    for spec in SHIPPED:
        click.echo(build_spec(spec, out, Reporter()))
