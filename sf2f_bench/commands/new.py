"""`sf2f-bench new`: a working model, anchor, metric, data set or extractor to start from."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from sf2f_bench.commands.options import FOLDER
from sf2f_bench.types import BenchError

FILES = {
    "model": ("my_model.py", "test_my_model.py", "my_model.md"),
    "anchor": ("my_anchor.py", "test_my_anchor.py"),
    "metric": ("my_metric.py", "test_my_metric.py"),
    "dataset": ("my_dataset.py", "test_my_dataset.py"),
    "extractor": ("my_extractor.py", "test_my_extractor.py"),
}
GROUPS = {  # entry-point group, and what it names in the file
    "model": ("sf2f_bench.models", "{module}:{type}"),
    "anchor": ("sf2f_bench.models", "{module}:{type}"),
    "metric": ("sf2f_bench.metrics", "{module}:{module}s"),
    "dataset": ("sf2f_bench.datasets", "{module}:{type}"),
    "extractor": ("sf2f_bench.extractors", "{module}:{type}"),
}
OPTION = {"model": "--models", "anchor": "--models", "extractor": "--extractors"}  # that takes FILE.py:Class


@click.command()
@click.argument("kind", type=click.Choice(list(FILES)))
@click.argument("name")
@click.option("--out", type=FOLDER, default=Path(), help="Where the files go.  [default: this folder]")
def new(kind: str, name: str, out: Path) -> None:
    """Write a working KIND called NAME, with its test, to start from: NAME.py and test_NAME.py.

    NAME is made of lower-case letters, digits and hyphens, like deep-listener. A model gets a model card too.
    """
    words = names_of(kind, name)
    written = write(kind, words, out)
    for path in written:
        click.echo(path)
    click.echo(f"to check it: pytest {written[1]}")
    type_name = words[f"My{kind.title()}"]
    if kind in OPTION:
        click.echo(f"to use it:   sf2f-bench run --budget smoke {OPTION[kind]} {written[0]}:{type_name}")
    group, target = GROUPS[kind]
    entry = target.format(module=words[f"my_{kind}"], type=type_name)
    click.echo(f'in a package, to be found by name: [project.entry-points."{group}"] {name} = "{entry}"')


def names_of(kind: str, name: str) -> dict[str, str]:
    """Placeholder -> word that replaces it. Raises BenchError for a name that no module can have."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise BenchError(
            f"{name!r} cannot be the name of a new {kind}: expected lower-case letters, digits and hyphens, like "
            "deep-listener"
        )
    module = name.replace("-", "_")
    if find_spec(module) is not None:
        raise BenchError(
            f"{name}: a module {module} is installed already and would be hidden: choose another name"
        )
    return {
        f"my-{kind}": name,
        f"my_{kind}": module,
        f"My{kind.title()}": "".join(part.capitalize() for part in name.split("-")),
    }


def write(kind: str, words: dict[str, str], out: Path) -> list[Path]:
    """Write the files with the user's names in them. Raises BenchError where one of them exists."""
    paths = [out / _named(file, words) for file in FILES[kind]]
    if there := [str(path) for path in paths if path.exists()]:
        raise BenchError(f"{', '.join(there)} already exist: choose another name or folder")
    out.mkdir(parents=True, exist_ok=True)
    folder = files("sf2f_bench.templates")
    for file, path in zip(FILES[kind], paths, strict=True):
        path.write_text(_named(folder.joinpath(file).read_text(encoding="utf-8"), words), encoding="utf-8")
    return paths


def _named(text: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text
