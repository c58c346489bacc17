"""Where the code of a plug-in comes from: it enters the keys of what the plug-in makes.

What this distribution brings has no source here: its cards, ids and stages carry versions.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path
from types import ModuleType
from typing import Any

OWN = "sf2f-bench"
MARK = "_sf2f_bench_source"
_SOURCES: dict[str, str] = {}  # by the name of a module, or of an installed package for all modules in it


def source_of(thing: Any) -> str:
    """``source 1a2b...`` or ``package 1.0`` of what a plug-in made; empty for what this distribution brings."""
    return getattr(thing, MARK, "") or source_of_module(type(thing).__module__)


def source_of_module(name: str) -> str:
    """The same of a module, by its name."""
    return _SOURCES.get(name) or _SOURCES.get(name.partition(".")[0], "")


def mark(thing: Any, source: str) -> None:
    """Remember the source of what a plug-in made: its class may be of another module than the plug-in itself."""
    if source and hasattr(thing, "__dict__"):
        object.__setattr__(thing, MARK, source)


def keyed(thing: Any) -> str:
    """The id of an extractor, a judge or a front end as keys have it: with the source, where it has one."""
    return f"{thing.id} of {source}" if (source := source_of(thing)) else thing.id


def remember_file(module: str, file: Path) -> None:
    """The module of a `FILE.py`, before it runs: its source is that of the file and of the modules beside it."""
    _SOURCES[module] = _hash_of_sources(file, file.parent)
    for beside in _closure(file, file.parent) - {file}:
        parts = beside.relative_to(file.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        _SOURCES[name] = _hash_of_sources(beside, file.parent)


def remember_package(module: ModuleType, top: ModuleType, owner: Distribution | None) -> None:
    """An installed plug-in: its source is the distribution's name and version.

    One that is installed in editable form keeps its version while its code changes, so its files are hashed too.
    """
    if owner is None or owner.name.lower().replace("_", "-") == OWN:
        return
    source = f"{owner.name} {owner.version}"
    facts = json.loads(owner.read_text("direct_url.json") or "{}")
    if facts.get("dir_info", {}).get("editable"):
        folders = [Path(folder) for folder in getattr(top, "__path__", ())]
        files = [file for folder in folders for file in sorted(folder.rglob("*.py"))] or [
            Path(str(module.__file__))
        ]
        source += f" {_digest(files, files[0].parent)}"
    _SOURCES[module.__name__.partition(".")[0]] = source


@cache
def _own_packages() -> set[str]:
    """The packages of this distribution; a checkout of it may lie beside a user's file."""
    return {__name__.partition(".")[0], *(distribution(OWN).read_text("top_level.txt") or "").split()}


def _hash_of_sources(file: Path, folder: Path) -> str:
    return f"source {_digest(sorted(_closure(file, folder)), file.parent)}"


def _digest(files: list[Path], folder: Path) -> str:
    """Of contents, and of names from the folder, which can move without a change."""
    digest = hashlib.sha256()
    for file in files:
        name = os.path.relpath(file, folder)
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _closure(file: Path, folder: Path) -> set[Path]:
    """The file, and every file of the folder that it imports, at any remove; of this distribution none."""
    found: set[Path] = set()
    waiting = [file]
    while waiting:
        if (path := waiting.pop()) not in found:
            found.add(path)
            waiting += _imported(path, folder)
    return found


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # importing it says so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_of(folder, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom) and node.level < len(file.parents):
            start = [folder, *file.parents][node.level]
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _files_of(start, [*module, alias.name])


def _files_of(folder: Path, parts: list[str]) -> Iterator[Path]:
    """What importing ``a.b.c`` runs, as far as it is there: a/__init__.py, a/b.py, ..."""
    if parts[0] in _own_packages():
        return
    for count in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:count])
        places = (path / "__init__.py", path.with_name(f"{path.name}.py"))
        yield from (place for place in places if place.is_file())
