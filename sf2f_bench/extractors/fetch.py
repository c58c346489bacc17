"""Downloading files of weights, importing those that a user has, and checking those on this machine."""

from __future__ import annotations

import bz2
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sf2f_bench.extractors.weights import (
    WeightFile,
    all_files,
    by_hand,
    check_file,
    copies,
    difference,
    file_named,
    find,
    folders,
    sha256_of,
)
from sf2f_bench.files import write_atomically
from sf2f_bench.types import BenchError

OFFLINE_VARIABLE = "SF2F_BENCH_OFFLINE"
READABLE = (".pt", ".pth", ".pkl", ".safetensors")  # by `read_tensors`; the others are for other packages
CHUNK = 1 << 20  # bytes


def fetch(name: str, mirror: str | None = None) -> Path:
    """The file of that name, downloaded from its publisher or from `mirror`/name unless it is here already.

    A download is checked before it gets its name, so a transfer that fails leaves nothing behind. A wrong file that
    is here is replaced. Raises BenchError for an unknown name, where downloads are forbidden
    (``SF2F_BENCH_OFFLINE=1``), where the transfer fails, and for a file that is not the published one.
    """
    file = file_named(name)
    here = find(file)
    if here and (here.name != name or not difference(here, file)):
        return here
    if os.environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        raise BenchError(f"{OFFLINE_VARIABLE} is set, so nothing is fetched. {by_hand(file)}")
    if not mirror and (file.wants_browser or not file.url):
        reason = "is behind a page that needs a browser" if file.url else "has no known address"
        raise BenchError(f"{name} {reason}. {by_hand(file)}")
    if mirror is not None and not mirror.strip():
        raise BenchError("--mirror is empty: give an address, or leave it out for the publisher's")
    url = f"{mirror.rstrip('/')}/{name}" if mirror else file.url
    if _scheme_of(url) not in ("http", "https", "file"):
        raise BenchError(
            f"{mirror or url} is no address: expected one like https://example.org/weights. {by_hand(file)}"
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
    """Only by pooch's downloader: files that it keeps itself have mode 0600, and it does not compare sizes."""
    from pooch import HTTPDownloader

    try:
        if urlsplit(url).scheme == "file":  # a mirror on a shared disk
            shutil.copyfile(url2pathname(urlsplit(url).path), path)
            return
        HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=CHUNK)(url, str(path), None)
    except OSError as error:  # no network, no such page, a connection that breaks
        reason = error.strerror or re.sub(r"\[Errno -?\d+\] |<[^>]*>: ", "", str(error))
        raise BenchError(f"cannot download {url} ({reason}). {by_hand(file)}") from error


def _scheme_of(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:  # half a bracket
        return ""


def unpack(path: Path) -> None:
    """Replace a bzip2 file by its content. Raises BenchError for any other file and for a truncated one."""
    content = path.with_name(f"{path.name}.unpacked")
    try:
        with bz2.open(path) as packed, content.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        content.replace(path)
    except (OSError, EOFError) as error:
        raise BenchError(f"the download is no complete bzip2 file ({error}): fetch it again") from error
    finally:
        content.unlink(missing_ok=True)


def take_in(path: Path) -> Path:
    """Copy a user's file of weights to where it is searched for; returns its new place.

    It is recognised by its checksum, whatever its name, or by its name. Raises BenchError for a file that is neither,
    for one that has a known name and is not the published one, and for one that holds anything but tensors.
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
    """The name under which a user's file is searched for."""
    files, digest = all_files(), sha256_of(path)
    for file in files.values():
        if file.sha256 == digest:
            return file.name
    for file in files.values():
        if path.name == file.name:
            check_file(path, file)
        if path.name in (file.name, file.converted):
            if path.suffix in READABLE:  # no checksum vouches for it
                from sf2f_bench.extractors.tensors import read_tensors

                read_tensors(path)
            return path.name
    raise BenchError(
        f"{path}: neither its name nor its content (sha256 {digest}) is that of weights that the benchmark uses: "
        f"{', '.join(files)}. A checkpoint of a system needs --model"
    )


@dataclass(frozen=True)
class Verified:
    """A file of weights on this machine after its content was read again."""

    path: Path
    sha256: str
    wrong: str | None  # how it differs from the published one
    vouched: bool  # a published checksum exists for it


def _unreadable(path: Path) -> str | None:
    """Why a file that no checksum vouches for holds no tensors; None where it does, or is of a kind not read here."""
    from sf2f_bench.extractors.tensors import read_tensors

    try:
        if path.suffix in READABLE:
            read_tensors(path)
    except BenchError as error:
        return str(error)
    return None


def verify() -> Iterator[Verified]:
    """Every file of weights on this machine, wherever it is kept, those of the package first."""
    from sf2f_bench.extractors.embedded import SHIPPED, path_of

    for spec in SHIPPED:
        path = path_of(spec)
        digest = sha256_of(path) if path.is_file() else ""
        expected = f"is not the file of this release: sha256 {digest or 'none'}, expected {spec.sha256}"
        yield Verified(path, digest, None if digest == spec.sha256 else expected, True)
    for file in all_files().values():
        for path in copies(file):
            published = path.name == file.name
            wrong = difference(path, file) if published else None
            if wrong is None and (not published or file.sha256 is None):
                wrong = _unreadable(path)
            yield Verified(path, sha256_of(path), wrong, published and file.sha256 is not None)
