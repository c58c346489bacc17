"""Bringing files of weights to this machine, and checking those that are here."""

from __future__ import annotations

import bz2
import http.client
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sf2f_bench.extractors.weights import (
    WeightFile,
    all_files,
    by_hand,
    check_file,
    difference,
    find,
    folders,
    places,
    read_tensors,
    sha256_of,
)
from sf2f_bench.files import write_atomically
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError

OFFLINE_VARIABLE = "SF2F_BENCH_OFFLINE"
READABLE = (".pt", ".pth", ".pkl", ".safetensors")  # by `read_tensors`; the others are for other packages


def fetch(name: str, mirror: str | None = None) -> Path:
    """The file of that name, fetched from its publisher or from `mirror`/name unless it is here already.

    What comes is checked before it gets its name, so a transfer that fails leaves nothing behind. A wrong file that
    is here is replaced. Raises BenchError for an unknown name, where nothing may be fetched
    (``SF2F_BENCH_OFFLINE=1``), where the transfer fails, and for a file that is not the published one.
    """
    files = all_files()
    if name not in files:
        raise BenchError(unknown("file of weights", name, list(files)))
    file = files[name]
    here = find(file)
    if here and (here.name != name or not difference(here, file)):
        return here
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        raise BenchError(f"{OFFLINE_VARIABLE} is set, so nothing is fetched. {by_hand(file)}")
    if file.wants_browser and not mirror:
        raise BenchError(f"{name} lies behind a page that wants a browser. {by_hand(file)}")
    url = f"{mirror.rstrip('/')}/{name}" if mirror else file.url
    if urlsplit(url).scheme not in ("http", "https", "file"):
        raise BenchError(
            f"{mirror} is no address: expected one like https://example.org/weights. {by_hand(file)}"
        )
    target = (here.parent if here else folders()[0]) / name

    def transfer(temporary: Path) -> None:
        _download(url, temporary, file)
        if file.packed and not mirror:
            unpack(temporary)
        if wrong := difference(temporary, file):
            raise BenchError(f"what {url} sent {wrong}; it was not kept. {by_hand(file)}")

    return write_atomically(target, transfer)


def _download(url: str, path: Path, file: WeightFile) -> None:
    import torch

    try:
        torch.hub.download_url_to_file(url, str(path), progress=sys.stderr.isatty())
    # No network, no such page, a connection that breaks.
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"nothing came from {url} ({error}). {by_hand(file)}") from error


def unpack(path: Path) -> None:
    """Replace a file packed with bzip2 by its content. Raises BenchError where it is none, or is cut short."""
    content = path.with_name(f"{path.name}.unpacked")
    try:
        with bz2.open(path) as packed, content.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        content.replace(path)
    except (OSError, EOFError) as error:
        raise BenchError(f"what came is no whole bzip2 file ({error}): fetch it again") from error
    finally:
        content.unlink(missing_ok=True)


def take_in(path: Path) -> Path:
    """Copy a file of weights that the user has to where it is looked for; returns its new place.

    It is known by its checksum whatever it is called, or by its name. Raises BenchError for a file that is neither,
    or that has a known name and is not the published one, or holds anything but tensors.
    """
    if not path.is_file():
        raise BenchError(f"there is no file {path}: give the weights to import")
    target = folders()[0] / _published_name(path)
    if target.exists() and target.samefile(path):
        return target

    def copy(temporary: Path) -> None:
        shutil.copyfile(path, temporary)
        if sha256_of(temporary) != sha256_of(path):
            raise BenchError(f"{path} changed while it was copied: import it again")

    return write_atomically(target, copy)


def _published_name(path: Path) -> str:
    """The name under which a user's file is looked for."""
    files, digest = all_files(), sha256_of(path)
    for file in files.values():
        if file.sha256 == digest:
            return file.name
    for file in files.values():
        if path.name == file.name:
            check_file(path, file)
        if path.name in (file.name, file.converted):
            if path.suffix in READABLE:  # no checksum vouches for it
                read_tensors(path)
            return path.name
    raise BenchError(
        f"{path}: neither its name nor its content (sha256 {digest}) is that of weights that the benchmark uses: "
        f"{', '.join(files)}. A checkpoint of a system needs --model"
    )


@dataclass(frozen=True)
class Checked:
    """A file of weights on this machine after its content was read again."""

    path: Path
    sha256: str
    wrong: str | None  # what is wrong with it
    vouched: bool  # a published checksum exists for it


def verify() -> Iterator[Checked]:
    """Every file of weights on this machine, wherever it lies, those of the package first."""
    from sf2f_bench.extractors.embedded import SPECS, path_of

    for spec in SPECS.values():
        path = path_of(spec)
        digest = sha256_of(path) if path.is_file() else ""
        expected = f"is not the file of this release: sha256 {digest or 'none'}, expected {spec.sha256}"
        yield Checked(path, digest, None if digest == spec.sha256 else expected, True)
    for file in all_files().values():
        for path in (folder / name for folder in places(file) for name in (file.name, file.converted)):
            if path.is_file():
                published = path.name == file.name
                wrong = difference(path, file) if published else None
                yield Checked(path, sha256_of(path), wrong, published and file.sha256 is not None)
