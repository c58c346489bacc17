"""Recordings and photos that are files: what the data sets on disk hand out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sf2f_bench.audio import decode
from sf2f_bench.faces import read_photo
from sf2f_bench.types import MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import AudioFrontend, ByteArray, FloatArray


@dataclass(frozen=True)
class AudioFile:
    """One recording on disk."""

    key: str
    path: Path

    def waveform(self) -> FloatArray:
        """float32 ``[T]`` at 16 kHz, mono, -1..1; raises MediaError for a bad recording."""
        return decode(self.path)

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw features float32 ``[filters, frames]``; raises MediaError for a bad recording."""
        waveform = self.waveform()
        try:
            return frontend(waveform)
        except MediaError as error:  # a front end sees no file names
            raise MediaError(f"{self.path}: {error}") from error


@dataclass(frozen=True)
class PhotoFile:
    """One photo on disk."""

    key: str
    path: Path

    def image(self, size: int) -> ByteArray:
        """The photo as uint8 ``[3, size, size]``; raises MediaError for a bad file."""
        return read_photo(self.path, size)


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The files of these suffixes (lower case, with dot) at any depth of a folder, sorted."""
    return sorted(_walk(folder, suffixes))


def has_files(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether `files_in` would find any; stops at the first."""
    return next(_walk(folder, suffixes), None) is not None


def _walk(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Hidden files are passed over: archives made on a Mac hold one beside every photo."""
    for place, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = Path(place, name)
            if not name.startswith(".") and path.suffix.lower() in suffixes and path.is_file():
                yield path


def hash_files(entries: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 over (label, path) pairs: each label, the names and sizes of the files at the path.

    A path is a file or a folder, which stands for every file in it. Contents are not hashed: reading
    hundreds of thousands of recordings on every run would take longer than using them.
    """
    digest = hashlib.sha256()
    for label, path in entries:
        digest.update(f"{label}\0".encode())
        for file in _all_files(path):
            name = file.removeprefix(str(path.parent))
            digest.update(f"{name}\0{_size(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _all_files(path: Path) -> list[str]:
    """Plain strings, sorted: building path objects would take most of the time."""
    if not path.is_dir():
        return [str(path)]
    return sorted(f"{place}/{name}" for place, _, names in os.walk(path, followlinks=True) for name in names)


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:  # a link to nowhere: reading it will say so
        return -1
