"""Recordings and photos that are files: what the data sets on disk hand out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sf2f_bench.audio import decode
from sf2f_bench.faces import read_photo

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
        return frontend(self.waveform())


@dataclass(frozen=True)
class PhotoFile:
    """One photo on disk."""

    key: str
    path: Path

    def image(self, size: int) -> ByteArray:
        """The photo as uint8 ``[3, size, size]``; raises MediaError for a bad file."""
        return read_photo(self.path, size)
