"""The synthetic world with a handful of people: the benchmark's own voices and faces, made in a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sf2f_bench.data.prepared import PreparedStore, prepare
from sf2f_bench.data.synthetic import SyntheticWorld
from sf2f_bench.data.synthetic.dataset import SyntheticPhoto, SyntheticUtterance
from sf2f_bench.progress import Reporter
from sf2f_bench.types import AudioFrontend, DatasetSource

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

PEOPLE = {"train": 6, "val": 2, "test": 5}
OF_EACH = 2  # recordings and photos


@dataclass(frozen=True)
class TinyUtterance:
    """A recording of the world that is synthesised once in a process."""

    spoken: SyntheticUtterance

    @property
    def key(self) -> str:
        """The recording's own."""
        return self.spoken.key

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw features float32 ``[filters, frames]``."""
        return frontend(waveform_of(self.spoken).copy())


@lru_cache(maxsize=64)
def waveform_of(utterance: SyntheticUtterance) -> FloatArray:
    """float32 ``[T]`` at 16 kHz, read-only."""
    waveform = utterance.waveform()
    waveform.setflags(write=False)
    return waveform


class TinyWorld(SyntheticWorld):
    """`synthetic/1` with 6, 2 and 5 people in its splits, of two recordings and two photos each."""

    def __init__(self) -> None:
        super().__init__(DatasetSource(limits=PEOPLE))

    def utterances(self, identity: str) -> Sequence[TinyUtterance]:  # type: ignore[override]
        """The first recordings of one identity."""
        return [TinyUtterance(spoken) for spoken in super().utterances(identity)[:OF_EACH]]

    def photos(self, identity: str) -> Sequence[SyntheticPhoto]:
        """The first photos of one identity."""
        return super().photos(identity)[:OF_EACH]


def tiny_store(frontend: AudioFrontend, image_size: int, folder: Path) -> PreparedStore:
    """The world prepared with a front end, in this process."""
    return prepare(TinyWorld(), frontend, image_size, folder, Reporter(silent=True), jobs=1)


def one_waveform() -> FloatArray:
    """Some seconds of speech: float32 ``[T]`` at 16 kHz, which the caller may change."""
    world = TinyWorld()
    return waveform_of(world.utterances("train-0000")[0].spoken).copy()
