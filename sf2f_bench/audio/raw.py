"""The sound itself as features, for networks that listen to samples and not to a spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.audio.filterbank import LogFilterbank
from sf2f_bench.audio.level import check_level
from sf2f_bench.protocols.names import SEGMENT_FRAMES
from sf2f_bench.types import SAMPLE_RATE, BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

VERSION = 1  # raise it when the same settings give different numbers
STEP = 160  # samples a column: 10 ms, as the columns of the log filter-bank
DETECTOR = LogFilterbank()  # finds the speech, and refuses what is no speech by its level


@dataclass(frozen=True)
class RawWaveform:
    """The samples of a recording's speech at a peak of 1, pre-emphasised, 10 ms a column.

    The defaults are those of Wav2Pix's published code, which divides a recording by its peak and then pre-emphasises
    it. Speech and level are decided as for `LogFilterbank`, so that both refuse the same recordings. `deviation` only
    enters `normalise`, so it is not part of `id`: the standard deviation of the default synthetic world's samples.
    """

    preemphasis: float = 0.95
    deviation: float = 0.06

    def __post_init__(self) -> None:
        if not 0 <= self.preemphasis <= 1:
            raise BenchError(f"raw waveform with pre-emphasis {self.preemphasis:g}: expected 0 to 1.")
        if not self.deviation > 0:
            raise BenchError(f"raw waveform divided by {self.deviation:g}: expected more than 0.")

    @property
    def id(self) -> str:
        """Every setting that changes a stored number, and the version of this code."""
        return f"raw-waveform-v{VERSION}-{STEP}-peak1-pre{self.preemphasis:g}-of-{DETECTOR.id}"

    @property
    def filters(self) -> int:
        """Rows of the features: samples of a column."""
        return STEP

    @property
    def frames_per_second(self) -> float:
        """Columns a second of speech."""
        return SAMPLE_RATE / STEP

    @property
    def crop_frames(self) -> tuple[int, int]:
        """A batch's common crop: 1 to 1.25 s."""
        return 100, SEGMENT_FRAMES

    @property
    def segment_frames(self) -> int:
        """An evaluation segment: 1.25 s, as of the log filter-bank."""
        return SEGMENT_FRAMES

    def __call__(self, waveform: FloatArray) -> FloatArray:
        """float32 ``[T]`` at 16 kHz in -1..1 -> raw float32 ``[160, columns]`` of its speech, read column by column.

        An incomplete last column is left out. Raises MediaError where `LogFilterbank` does.
        """
        speech = DETECTOR.speech(waveform)
        check_level(DETECTOR.of_signal(speech))
        sound = speech / float(
            np.abs(speech.astype(np.int32)).max()
        )  # not silent: it has the level of speech
        sound[1:] -= self.preemphasis * sound[:-1]
        columns = len(sound) // STEP
        return np.ascontiguousarray(sound[: columns * STEP].reshape(columns, STEP).T, np.float32)

    def normalise(self, features: Any) -> Any:
        """features / deviation, of an array or a tensor of any shape; a padding of zeros stays silence."""
        return features / self.deviation
