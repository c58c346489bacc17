"""The front end that voice2face was published with (Wen et al., NeurIPS 2019).

Source: facts of the published code (github.com/cmu-mlsp/reconstructing_faces_from_voices), whose log mel-spectrogram
is that of Sphinx III. Its quirks are kept, because the published network was trained with them: the speech detector
hears every frame twice and so adapts to it twice, frames beyond the end repeat the remaining samples, and
pre-emphasis carries over from one overlapping frame to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from sf2f_bench.audio.decode import to_int16
from sf2f_bench.audio.level import check_level
from sf2f_bench.protocols.names import SEGMENT_FRAMES
from sf2f_bench.types import SAMPLE_RATE, MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

VERSION = 1  # raise it when the same recording gives different numbers
FILTERS, LOW, HIGH, NFFT = 64, 20.0, 7200.0, 1024  # LOW and HIGH in Hz
WINDOW, STEP = 400, 160  # samples: 25 ms every 10 ms
PREEMPHASIS = 0.97
SMALLEST_ENERGY = 1e-5
VAD_MODE, VAD_FRAME = 2, 320  # samples: 20 ms
LEAST_FRAMES = 1000  # a shorter recording is repeated up to here: 10 s
FRAMES_AT_ONCE = 64  # the spectra of one block stay in the processor's cache


@dataclass(frozen=True)
class WenFilterbank:
    """Log energies of 64 mel filters over 20..7200 Hz, each filter of each recording at mean 0 and variance 1.

    A recording of less than 10 s of speech is repeated up to 10 s. Features are normalised here, so the store
    keeps them as the network wants them, and a padding of zeros is the recording's mean.
    """

    @property
    def id(self) -> str:
        """Every setting that changes a stored number, and the version of this code."""
        return (
            f"wen-filterbank-v{VERSION}-{FILTERS}-{LOW:g}-{HIGH:g}hz-{NFFT}-{WINDOW}x{STEP}-hamming"
            f"-pre{PREEMPHASIS:g}-vad{VAD_MODE}x20ms-unit-{SEGMENT_FRAMES}-{LEAST_FRAMES}"
        )

    @property
    def filters(self) -> int:
        """Rows of the features."""
        return FILTERS

    @property
    def frames_per_second(self) -> float:
        """Windows a second of speech."""
        return SAMPLE_RATE / STEP

    @property
    def crop_frames(self) -> tuple[int, int]:
        """A batch's common crop: 3 to 8 s."""
        return 300, 800

    @property
    def segment_frames(self) -> int:
        """An evaluation segment: 5 s."""
        return 500

    def __call__(self, waveform: FloatArray) -> FloatArray:
        """float32 ``[T]`` at 16 kHz in -1..1 -> float32 ``[64, frames]`` of its speech, frames >= 1000.

        Raises MediaError where less than 1.25 s of speech is found, or its level is that of no speech.
        """
        speech = keep_speech(to_int16(waveform))
        energies = log_energies(speech)
        # Before any repetition, as for every other front end: one evaluation segment of SF2F's.
        if len(energies) < SEGMENT_FRAMES:
            raise MediaError(
                f"{len(speech) / SAMPLE_RATE:.2f} s of speech found in {len(waveform) / SAMPLE_RATE:.2f} s of sound, "
                f"expected {SEGMENT_FRAMES * STEP / SAMPLE_RATE:g} s or more; leave the recording out."
            )
        check_level(energies)
        centred = energies - energies.mean(axis=0)
        normalised = centred / (centred.std(axis=0) + np.finfo(np.float32).eps)
        frames = np.arange(max(LEAST_FRAMES, len(energies))) % len(energies)
        return normalised[frames].T.astype(np.float32)

    def normalise(self, features: Any) -> Any:
        """The features as they are: `__call__` has normalised them."""
        return features


def keep_speech(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """The speech of int16 ``[T]`` at 16 kHz, its runs joined: int16 ``[K]``, K <= T.

    A run begins with two voiced frames of 20 ms in succession and ends after two that are not. WebRTC's
    detector adapts to whatever it hears, and it hears the earlier frame of a pair a second time.
    """
    detector = webrtcvad.Vad(VAD_MODE)
    # Strictly less: a last frame that fits exactly is dropped.
    starts = range(0, max(len(samples) - VAD_FRAME, 0), VAD_FRAME)
    frames = [samples[start : start + VAD_FRAME] for start in starts]
    kept: list[NDArray[np.int16]] = [samples[:0]]
    speaking, pair = False, frames[:0]
    for frame in frames:
        pair = [*pair[-1:], frame]
        voiced = [detector.is_speech(part.tobytes(), SAMPLE_RATE) for part in pair]
        switches = len(pair) == 2 and all(verdict != speaking for verdict in voiced)
        if speaking:
            kept.append(frame)
        elif switches:
            kept += pair
        if switches:
            speaking, pair = not speaking, []
    return np.concatenate(kept)


def log_energies(signal: NDArray[np.int16]) -> NDArray[np.float64]:
    """A signal ``[T]`` at int16 scale, all of it, to log energies ``[floor(T / 160) + 1, 64]``.

    The window is Hamming's, the logarithm natural, energies below 1e-5 count as 1e-5.
    """
    if not len(signal):
        return np.empty((0, FILTERS))
    numbers = np.arange(len(signal) // STEP + 1)[:, None]
    before = np.where(numbers > 0, _samples(signal, np.maximum(numbers - 1, 0), np.array([WINDOW - 1])), 0)
    bank, window = mel_filters(), np.hamming(WINDOW)
    energies = np.empty((len(numbers), FILTERS))
    for at in range(0, len(numbers), FRAMES_AT_ONCE):
        block = slice(at, at + FRAMES_AT_ONCE)
        frames = np.hstack([before[block], _samples(signal, numbers[block], np.arange(WINDOW))])
        emphasised = frames[:, 1:] - PREEMPHASIS * frames[:, :-1]
        spectrum = np.fft.rfft(emphasised * window, n=NFFT, axis=1)
        energies[block] = (spectrum.real**2 + spectrum.imag**2) @ bank
    return np.log(np.maximum(energies, SMALLEST_ENERGY))


def _samples(
    signal: NDArray[np.int16], frames: NDArray[np.intp], offsets: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Samples ``[F, O]`` at offsets ``[O]`` of frames ``[F, 1]``; what is missing is repeated from the frame."""
    left = np.clip(len(signal) - frames * STEP, 0, WINDOW)  # samples that are the frame's own
    places = frames * STEP + offsets % np.maximum(left, 1)
    return np.where(left > 0, signal[np.minimum(places, len(signal) - 1)], 0).astype(np.float64)


@lru_cache(maxsize=1)
def mel_filters() -> NDArray[np.float64]:
    """Triangles of area 1 over hertz ``[513, 64]``, evenly spaced on the mel scale.

    mel = 2595 log10(1 + hz / 700); corners are rounded to the nearest bin.
    """
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (LOW, HIGH))
    hertz = 700 * (10 ** (np.linspace(lowest, highest, FILTERS + 2) / 2595) - 1)
    width = SAMPLE_RATE / NFFT  # Hz of a bin
    corners = np.rint(hertz / width)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(NFFT // 2 + 1)[:, None]
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(min=0)
    return triangles * 2 / ((right - left) * width)
