"""`sf2f-bench new`: a working model, anchor, metric, data set or extractor to start from."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from sf2f_bench.commands.options import OUT_FOLDER
from sf2f_bench.files import make_folder
from sf2f_bench.types import BenchError

# The entry-point group, and the words of `run` around FILE.py:Class.
KINDS = {
    "model": ("sf2f_bench.models", "--models {}"),
    "anchor": ("sf2f_bench.models", "--models {}"),
    "metric": ("sf2f_bench.metrics", "--metrics {}"),
    "dataset": ("sf2f_bench.datasets", "{} --root FOLDER --gallery 10 --ks 1,5"),
    "extractor": ("sf2f_bench.extractors", "--extractors {}"),
}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name")
@click.option("--out", type=OUT_FOLDER, default=Path(), help="Where the files go.  [default: this folder]")
def new(kind: str, name: str, out: Path) -> None:
    """Write a working KIND called NAME, with its test, to start from: NAME.py and test_NAME.py.

    NAME is made of lower-case letters, digits and hyphens, like deep-listener. A model gets a model card too.
    """
    words = names_of(kind, name)
    written = write(kind, words, out)
    for path in written:
        click.echo(path)
    click.echo(f"to check it: pytest {written[1]}")
    module, type_name = words[f"my_{kind}"], words[f"My{kind.title()}"]
    group, words_of_run = KINDS[kind]
    click.echo(
        f"to use it:   sf2f-bench run --budget smoke {words_of_run.format(f'{written[0]}:{type_name}')}"
    )
    entry = f"{module}:{f'{module}s' if kind == 'metric' else type_name}"
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
    names = [f"my_{kind}.py", f"test_my_{kind}.py", *(["my_model.md"] if kind == "model" else [])]
    paths = [out / _named(file, words) for file in names]
    if there := [str(path) for path in paths if path.exists()]:
        raise BenchError(f"{', '.join(there)} already exist: choose another name or folder")
    make_folder(out)
    folder = files("sf2f_bench.templates")
    for file, path in zip(names, paths, strict=True):
        path.write_text(_named(folder.joinpath(file).read_text(encoding="utf-8"), words), encoding="utf-8")
    return paths


def _named(text: str, words: dict[str, str]) -> str:
    for placeholder, word in words.items():
        text = text.replace(placeholder, word)
    return text
