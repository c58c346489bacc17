"""The options that commands share, made from the fields of `RunConfig`."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from sf2f_bench.config import FIELDS, OPTIONS, flag_of
from sf2f_bench.files import OTHER_FOLDER, check_writable
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from rich.table import Table

    from sf2f_bench.results.records import RunRecord


class NamedPath(click.Path):
    """A path that is not empty: an empty one, as of a variable that is not set, would be the current folder."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Refuse an empty text."""
        if value == "":
            self.fail("expected a path, got nothing", parameter, context)
        return super().convert(value, parameter, context)


FOLDER = NamedPath(file_okay=False, path_type=Path)
FILE = NamedPath(dir_okay=False, path_type=Path)
ANY_PATH = NamedPath(path_type=Path)


class Output(NamedPath):
    """A file to write, or a folder, which is known to be one that can be written to before any work is done."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Raise BenchError where it, or the folder of the file, cannot be written to."""
        path = Path(os.fsdecode(super().convert(value, parameter, context)))
        option = parameter.opts[0] if parameter else "output"
        check_writable(path if self.dir_okay else path.parent, option)
        if path.exists() and not os.access(path, os.W_OK):
            raise BenchError(f"{option}: {path} cannot be written to: make it writable, {OTHER_FOLDER}")
        return path


OUT_FOLDER = Output(file_okay=False, path_type=Path)
OUT_FILE = Output(dir_okay=False, path_type=Path)

ALL_SETTINGS = tuple(name for name in OPTIONS if name != "benchmark")
DATA_SETTINGS = tuple(name for name in ALL_SETTINGS if OPTIONS[name].of_data)

Command = Callable[..., Any]
benchmark_argument = click.argument("benchmark", required=False)
full_option = click.option(
    "--full", is_flag=True, help="End with every main table and verdict, not with one table."
)


def usable_records(results: Path) -> list[RunRecord]:
    """The records in RESULTS, except below a folder named `reference`; each that cannot be used is named.

    Raises BenchError where none can.
    """
    from sf2f_bench.results.records import load_all

    left_out: dict[Path, str] = {}
    found = load_all(results, ("reference",), left_out)
    name_left_out(left_out)
    if not found:
        reason = "none of its records can be used" if left_out else "it holds no record"
        raise BenchError(f"{results}: {reason}; run first, or name the folder of records")
    return found


def name_left_out(left_out: Mapping[Path, str]) -> None:
    """Say on the standard error stream which records take no part, and why."""
    for path, reason in left_out.items():
        click.echo(f"left out: {printable(path)}: {reason}", err=True)


def say(text: str, indent: str = "") -> None:
    """A sentence in lines of the terminal's width; words that are longer, such as paths, stay whole."""
    width = max(20, shutil.get_terminal_size().columns - 1)
    wrapper = textwrap.TextWrapper(width, subsequent_indent=indent)
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    click.echo(wrapper.fill(text))


def plain_table(headings: Sequence[str], whole: Sequence[str] = ()) -> Table:
    """A table for the terminal without lines between its rows; the columns in `whole` are never broken."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading in whole, overflow="fold")
    return table


def printable(path: object) -> str:
    """A path or a name as every terminal can show it."""
    from sf2f_bench.results.texts import clean

    return clean(str(path))


def with_settings(*names: str, required: str = "") -> Callable[[Command], Command]:
    """Options for these settings, and --config; required: the one that must be given."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            command = click.option(*_flags(name), **_facts(name, name == required))(command)
        return click.option("--config", type=FILE, help="TOML file with these options.")(command)

    return decorate


def _flags(name: str) -> list[str]:
    if FIELDS[name].annotation is bool:
        return [f"{flag_of(name)}/{flag_of(f'no-{name}')}"]
    short = OPTIONS[name].short
    return [flag_of(name), *([f"-{short}"] if short else [])]


def _facts(name: str, required: bool) -> dict[str, Any]:
    """Type, help and default for click; where the option is not given it hands on None, or () for a list."""
    kind = FIELDS[name].annotation
    if get_origin(kind) is UnionType:
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    text = OPTIONS[name].help if required else f"{OPTIONS[name].help}{_default(name)}"
    # click takes even None for a default, and would not ask for what is required
    facts: dict[str, Any] = {"help": text, **({"required": True} if required else {"default": None})}
    if get_origin(kind) is Literal:
        return {**facts, "type": click.Choice(get_args(kind))}
    if kind == tuple[str, ...]:
        return {"multiple": True, "help": text}
    types: dict[Any, Any] = {Path: FOLDER, int: int, float: float, str: str}
    return {**facts, "type": types[kind]} if kind in types else facts


def _default(name: str) -> str:
    default = FIELDS[name].default
    if OPTIONS[name].decided_by:
        return f"  [default: {OPTIONS[name].decided_by}'s]"
    if default is None or default is False or default == ():
        return ""
    return f"  [default: {f'{default:g}' if isinstance(default, float) else default}]"
