"""The log filter-bank that is the input of SF2F and of voice2face as SF2F compares it."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sf2f_bench.audio.decode import decode, to_int16
from sf2f_bench.audio.level import check_level
from sf2f_bench.audio.vad import PADDING_MS, keep_speech
from sf2f_bench.protocols.names import SEGMENT_FRAMES
from sf2f_bench.types import SAMPLE_RATE, BenchError, MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

VERSION = 1  # raise it when the same settings give different numbers
FRAMES_AT_ONCE = 128  # the spectra of one block stay in the processor's cache
FILTERS_AT_ONCE = 8  # neighbours share most of their bins; with all filters at once 3/4 of the products are 0


@dataclass(frozen=True)
class LogFilterbank:
    """Log energies of triangular mel filters over the speech of a recording.

    The defaults are SF2F's: 40 filters over 0..8000 Hz, 25 ms rectangular windows every 10 ms, on
    samples at int16 scale. `mean` and `std` are the data set's constants of the official code; they
    only enter `normalise`, so they are not part of `id`.
    """

    filters: int = 40
    low: float = 0.0  # Hz
    high: float = 8000.0  # Hz
    nfft: int = 512
    window_seconds: float = 0.025
    step_seconds: float = 0.010
    preemphasis: float = 0.97
    vad_mode: int = 1
    vad_frame_ms: int = 30
    mean: float = 10.9915
    std: float = 3.1661

    def __post_init__(self) -> None:
        if self.filters < 1:
            raise BenchError(f"filter-bank of {self.filters} filters: expected 1 or more.")
        if not 0 <= self.low < self.high <= SAMPLE_RATE / 2:
            raise BenchError(
                f"filter-bank band {self.low:g}..{self.high:g} Hz: "
                f"expected 0 <= low < high <= {SAMPLE_RATE // 2}."
            )
        if not 1 <= self.step <= self.window <= self.nfft:
            raise BenchError(
                f"filter-bank step {self.step}, window {self.window}, nfft {self.nfft} samples: "
                "expected 1 <= step <= window <= nfft."
            )
        if self.vad_mode not in range(4) or self.vad_frame_ms not in (10, 20, 30):
            raise BenchError(
                f"voice activity detection mode {self.vad_mode} on {self.vad_frame_ms} ms frames: "
                "expected a mode of 0..3 and frames of 10, 20 or 30 ms."
            )

    @property
    def id(self) -> str:
        """Every setting that changes a stored number, and the version of this code."""
        return (
            f"log-filterbank-v{VERSION}-{self.filters}-{self.low:g}-{self.high:g}hz-{self.nfft}"
            f"-{self.window}x{self.step}-pre{self.preemphasis:g}-vad{self.vad_mode}x{self.vad_frame_ms}ms"
        )

    @property
    def window(self) -> int:
        """Samples in a window."""
        return round(self.window_seconds * SAMPLE_RATE)

    @property
    def step(self) -> int:
        """Samples from one window to the next."""
        return round(self.step_seconds * SAMPLE_RATE)

    @property
    def frames_per_second(self) -> float:
        """Windows a second of speech."""
        return SAMPLE_RATE / self.step

    @property
    def crop_frames(self) -> tuple[int, int]:
        """A batch's common crop: 1 to 1.5 s."""
        return 100, 150

    @property
    def segment_frames(self) -> int:
        """An evaluation segment: 1.25 s."""
        return SEGMENT_FRAMES

    @property
    def silence(self) -> float:
        """The value of a padded frame (raw 0) after normalisation."""
        return -self.mean / self.std

    def __call__(self, waveform: FloatArray) -> FloatArray:
        """float32 ``[T]`` at 16 kHz in -1..1 -> raw float32 ``[filters, frames]`` of its speech.

        Raises MediaError where less than one window of speech is found, or its level is that of no speech.
        """
        energies = self.raw(waveform)
        check_level(energies)
        return energies.astype(np.float32)

    def raw(self, waveform: FloatArray) -> NDArray[np.float64]:
        """As `__call__`, in double precision and of any level."""
        return self.of_signal(self.speech(waveform))

    def speech(self, waveform: FloatArray) -> NDArray[np.int16]:
        """The speech of float32 ``[T]``: int16 ``[K]``. Raises MediaError where it is shorter than a window."""
        speech = keep_speech(to_int16(waveform), self.vad_mode, self.vad_frame_ms)
        if len(speech) < self.window:
            raise MediaError(
                f"no speech found in {len(waveform) / SAMPLE_RATE:.2f} s of sound (voice activity detection "
                f"needs {PADDING_MS} ms of voice on end); leave the recording out."
            )
        return speech

    def of_signal(self, signal: NDArray[Any]) -> NDArray[np.float64]:
        """A signal ``[T]``, all of it, to log energies ``[filters, frames]``, natural logarithm.

        frames = 1 + ceil((T - window) / step), the last padded with zeros; an energy of exactly 0
        counts as the smallest double above 1, less 1. Davis and Mermelstein 1980.
        """
        frames = 1 + max(0, -(-(len(signal) - self.window) // self.step))
        energies = np.empty((frames, self.filters))
        space = _workspace_of(threading.get_ident(), self.window, self.step, self.nfft)
        bands = _bands(self.filters, self.low, self.high, self.nfft)
        for first in range(0, frames, FRAMES_AT_ONCE):
            block = slice(first, min(first + FRAMES_AT_ONCE, frames))
            squares = space.squares(signal, block, self.preemphasis)
            for columns, filters, weights in bands:
                energies[block, filters] = squares[:, columns] @ weights
        energies /= self.nfft
        energies[energies == 0] = np.finfo(np.float64).eps
        return np.log(energies, out=energies).T

    def normalise(self, features: Any) -> Any:
        """(features - mean) / std, of an array or a tensor of any shape."""
        return (features - self.mean) / self.std


@lru_cache(maxsize=8)
def mel_filters(filters: int, low: float, high: float, nfft: int) -> NDArray[np.float64]:
    """Triangular filters ``[nfft // 2 + 1, filters]``, evenly spaced on the mel scale.

    mel = 2595 log10(1 + hz / 700); corners are floored to bins of (nfft + 1) / rate, each filter
    rises from its left corner to 1 at its centre and falls to 0 at its right corner.
    """
    lowest, highest = (2595 * math.log10(1 + hertz / 700) for hertz in (low, high))
    mels = np.linspace(lowest, highest, filters + 2)
    corners = np.floor((nfft + 1) * 700 * (10 ** (mels / 2595) - 1) / SAMPLE_RATE)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.arange(nfft // 2 + 1)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):  # a side without width has no bins either
        rising = np.where((bins >= left) & (bins < centre), (bins - left) / (centre - left), 0.0)
        falling = np.where((bins >= centre) & (bins < right), (right - bins) / (right - centre), 0.0)
    return rising + falling


@lru_cache(maxsize=8)
def _bands(
    filters: int, low: float, high: float, nfft: int
) -> list[tuple[slice, slice, NDArray[np.float64]]]:
    """`mel_filters` in bands of neighbours: (columns of the squares, filters, their weights).

    The squares have two columns a bin, of the real and of the imaginary part, so every weight is there twice.
    """
    bank = np.repeat(mel_filters(filters, low, high, nfft), 2, axis=0)
    bands = []
    for at in range(0, filters, FILTERS_AT_ONCE):
        weights = bank[:, at : at + FILTERS_AT_ONCE]
        heard = np.flatnonzero(weights.any(axis=1))
        columns = slice(heard[0], heard[-1] + 1) if len(heard) else slice(0)
        bands.append((columns, slice(at, at + FILTERS_AT_ONCE), np.ascontiguousarray(weights[columns])))
    return bands


class _Workspace:
    """Memory for one block of frames, kept because allocating it takes as long as computing the spectra in it."""

    def __init__(self, window: int, step: int, nfft: int) -> None:
        length = (FRAMES_AT_ONCE - 1) * step + window
        self.step, self.window = step, window
        self.sound = np.zeros(1 + length)  # the first is the sample before the block
        self.emphasised = np.zeros(length)
        self.windows = sliding_window_view(self.emphasised, window)[::step]
        self.padded = np.zeros((FRAMES_AT_ONCE, nfft))
        self.spectra = np.zeros((FRAMES_AT_ONCE, nfft // 2 + 1), np.complex128)

    def squares(self, signal: NDArray[Any], frames: slice, preemphasis: float) -> NDArray[np.float64]:
        """Squared real and imaginary parts, side by side, of some frames' spectra: ``[frames, 2 * bins]``.

        The signal is pre-emphasised, with 0 before its first sample. The result is valid until the next call.
        """
        count, start = frames.stop - frames.start, frames.start * self.step
        part = signal[max(start - 1, 0) : start + (count - 1) * self.step + self.window]
        ahead = int(start == 0)
        self.sound[:ahead] = 0
        self.sound[ahead : ahead + len(part)] = part
        np.multiply(self.sound[:-1], -preemphasis, out=self.emphasised)
        self.emphasised += self.sound[1:]
        self.emphasised[len(signal) - start :] = 0
        self.padded[:count, : self.window] = self.windows[:count]
        spectra = np.fft.rfft(self.padded[:count], axis=1, out=self.spectra[:count])
        squares = spectra.view(np.float64)
        squares *= squares
        return squares


@lru_cache(maxsize=16)
def _workspace_of(thread: int, window: int, step: int, nfft: int) -> _Workspace:
    """Each thread has its own."""
    return _Workspace(window, step, nfft)


def log_filterbank_of(path: Path | str) -> NDArray[np.float64]:
    """SF2F's features of a recording: ``[40, frames]`` after voice activity detection, not normalised."""
    return LogFilterbank().raw(decode(path))
