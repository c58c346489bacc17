"""The catalogue of the fault campaign: wrong inputs by kind, each a place crossed with a damage.

A file of this package is a theme; its ``cases()`` yields `Case`. `worlds.py` makes what they start from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

THEMES = (
    "controls",
    "options",
    "settings",
    "tables",
    "recordings",
    "photos",
    "pickles",
    "folders",
    "records",
    "caches",
    "outputs",
    "plugins",
    "gates",
    "external_faces",
    "lists",
    "clusters",
)


def nothing(folder: Path) -> None:
    """Spoil nothing: the fault is in the command line."""


@dataclass(frozen=True)
class Case:
    """A command with a wrong input, and what must come of it.

    Expected is a refusal whose message matches `says`; with `named` the command goes on without the bad part, which its
    output names as `says`; with `justified` it takes the input, and this sentence says why that is right.
    world: what lies in the working folder before `spoil` damages it. remade: the files that the command may replace.
    apart: run as a process of its own, as a shell would.
    """

    kind: str
    name: str
    words: tuple[str, ...]
    world: str = "empty"
    spoil: Callable[[Path], Any] = nothing
    says: str = ""
    named: bool = False
    justified: str = ""
    remade: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    apart: bool = False


def catalogue() -> list[Case]:
    """Every case; names are unique within a kind."""
    found = [case for theme in THEMES for case in import_module(f"tests.faults.cases.{theme}").cases()]
    names = [(case.kind, case.name) for case in found]
    assert len(set(names)) == len(names), [name for name in names if names.count(name) > 1]
    return found


# ---------------------------------------------------------------- damages of any file

Spoil = Callable[[Path], Any]


def flip(path: Path) -> None:
    """One bit of a byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x84
    path.write_bytes(content)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


BYTES: dict[str, Spoil] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last bytes lost": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "flipped byte": flip,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "web page": lambda path: path.write_text("<!DOCTYPE html><html>not found</html>"),
}
ENTRIES: dict[str, Spoil] = {
    "folder instead": folder_instead,
    "link to itself": link_to_itself,
    "FIFO": fifo,
    "gone": lambda path: path.unlink(),
}


def of_file(name: str, damage: Spoil) -> Spoil:
    """The damage of the one file that a pattern below the working folder finds."""

    def spoil(folder: Path) -> None:
        damage(sorted(folder.glob(name))[0])

    return spoil


def writing(name: str, content: str | bytes | Callable[[Path], Any]) -> Spoil:
    """Write a file: its text, its bytes, or by a function of its path."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(
                content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
            )

    return spoil


def replacing(name: str, old: str, new: str) -> Spoil:
    """Replace a text within a file, once."""

    def spoil(folder: Path) -> None:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, (name, old)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return spoil


def both(*spoils: Spoil) -> Spoil:
    """Several, one after another."""

    def spoil(folder: Path) -> None:
        for one in spoils:
            one(folder)

    return spoil


def joined(*parts: Iterable[Case]) -> list[Case]:
    """Cases of several generators."""
    return [case for part in parts for case in part]
