"""Disturbances of a waveform, before any front end hears it: noise, a telephone's band, a lossy codec."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from scipy.signal import butter, resample_poly, sosfilt

from sf2f_bench.types import SAMPLE_RATE

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

VERSION = 1  # raised when a disturbance changes
TELEPHONE_RATE, TELEPHONE_BAND = 8000, (300.0, 3400.0)  # Hz
LEVEL = 0.97  # of soundfile's compression, 0 to 1: 8 kbit/s, the lowest rate that MP3 has

MP3_DELAY = 576 + 529  # samples of the encoder and the decoder together


def with_noise(waveform: FloatArray, random: np.random.Generator, decibels: float) -> FloatArray:
    """White Gaussian noise at this ratio of speech to noise over the whole recording, brought back to its level."""
    power = float(np.mean(np.square(waveform, dtype=np.float64)))
    noise = random.standard_normal(len(waveform)) * np.sqrt(power / 10 ** (decibels / 10))
    mixed = waveform + noise
    level = np.sqrt(power / max(np.mean(np.square(mixed)), np.finfo(np.float64).tiny))
    return np.asarray(np.clip(mixed * level, -1, 1), np.float32)


def by_telephone(waveform: FloatArray, random: np.random.Generator) -> FloatArray:
    """Sampled at 8 kHz and cut to 300 to 3400 Hz (Butterworth, fourth order), then sampled at 16 kHz again."""
    narrow = resample_poly(waveform, 1, SAMPLE_RATE // TELEPHONE_RATE)
    band = butter(4, TELEPHONE_BAND, "bandpass", fs=TELEPHONE_RATE, output="sos")
    wide = resample_poly(sosfilt(band, narrow), SAMPLE_RATE // TELEPHONE_RATE, 1)
    return np.asarray(np.clip(wide[: len(waveform)], -1, 1), np.float32)


def by_mp3(waveform: FloatArray, random: np.random.Generator) -> FloatArray:
    """Written as MP3 at a constant 8 kbit/s, and read again."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        waveform,
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=LEVEL,
        bitrate_mode="CONSTANT",
    )
    buffer.seek(0)
    decoded, _ = soundfile.read(buffer, dtype="float32")
    start = MP3_DELAY if len(decoded) > len(waveform) else 0  # frames of this rate have no room to state it
    return np.asarray(np.clip(decoded[start:][: len(waveform)], -1, 1), np.float32)


DISTURBANCES: dict[str, Callable[[FloatArray, np.random.Generator], FloatArray]] = {  # `names.DISTURBANCES`
    "clean": lambda waveform, random: waveform,
    **{f"noise {ratio} dB": partial(with_noise, decibels=ratio) for ratio in (20, 10, 0)},
    "telephone": by_telephone,
    "MP3": by_mp3,
}
