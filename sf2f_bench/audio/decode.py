"""Decoding recordings of any format to 16 kHz mono."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from sf2f_bench.types import SAMPLE_RATE, MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

INT16_SCALE = 32_768
SOUNDFILE_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg"})
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES | {".m4a", ".aac", ".mp4", ".opus", ".webm"}
# Containers round their stated duration to a packet or two, so only a larger gap means a truncated file.
TRUNCATION_SECONDS = 0.2
SAMPLES_AT_ONCE = 1 << 22
# Programs that write a wav to a pipe leave its size at a large value: SoX at 0x7FFF_F000, FFmpeg at 0xFFFF_FFFF.
STREAMED_BYTES = 0x7FFF_F000
LARGEST_EMPTY_BYTES = 512  # of a recording without samples: its header
OVERS = 8  # of float samples: formats overshoot 1 by a little, a file on the int16 scale by thousands
OTHER_KINDS = {  # bytes at a place -> what a file is that libsndfile cannot read
    (4, b"ftyp"): "an MPEG-4 file under a wrong name: rename it to .m4a",
    (0, b"\x1aE\xdf\xa3"): "a Matroska file under a wrong name: rename it to .webm",
    (0, b"version https://git-lfs"): "a pointer of Git LFS, not the file: fetch it with `git lfs pull`",
    (0, b"<"): "a page of text, most likely a download's error message",
    (0, b"PK"): "a zip archive: unpack it",
    (0, b"\x1f\x8b"): "a gzip archive: unpack it",
}
UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's length of a FLAC that was written to a pipe


def decode(path: Path | str) -> FloatArray:
    """A recording as float32 ``[T]`` at 16 kHz, mono, -1..1, every value a multiple of 1/32768.

    Higher rates are resampled (polyphase, scipy). Raises MediaError for a file that is missing, unreadable,
    truncated, silent, sampled below 16 kHz, of several channels, or with float samples far outside -1..1. An mp3 does
    not state its length, so a truncated one is read as far as it goes.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path}: expected a recording, found no such file; check the data set's folder.")
    read = _read_soundfile if path.suffix.lower() in SOUNDFILE_SUFFIXES else _read_container
    samples, rate = read(path)
    if not samples.size:
        raise MediaError(f"{path}: the recording holds no samples; fetch it again or remove it.")
    if rate < SAMPLE_RATE:
        raise MediaError(
            f"{path}: sampled at {rate} Hz, expected {SAMPLE_RATE} Hz or more: the band above {rate // 2} Hz "
            "that the front end measures is not in it. Use the original recording, not an upsampled copy."
        )
    if samples.shape[1] != 1:  # a mean would mix two speakers into one voice
        raise MediaError(
            f"{path}: has {samples.shape[1]} channels, expected mono: if all of them hold the same speaker, "
            "mix them down to one; if each holds a speaker of its own, split them into files."
        )
    mono = samples[:, 0]
    if not np.isfinite(mono).all():
        raise MediaError(f"{path}: holds samples that are not numbers (NaN or infinite); fetch it again.")
    if mono.dtype != np.int16 and (peak := float(np.abs(mono).max())) > OVERS:
        raise MediaError(
            f"{path}: holds float samples up to {peak:,.0f}, expected -1..1: most likely they are on the int16 scale; "
            "divide them by 32768."
        )
    if rate != SAMPLE_RATE:
        mono = _resample(mono, rate)
    grid = mono if mono.dtype == np.int16 else to_int16(mono)
    if not grid.any():
        raise MediaError(f"{path}: the recording is silent (every sample is zero); leave it out.")
    return grid / np.float32(INT16_SCALE)


def stated_seconds(path: Path) -> float:
    """How long a recording is by its header, without decoding it; 0 where the header cannot be read."""
    if not path.is_file():  # a pipe would be waited for
        return 0.0
    try:
        if path.suffix.lower() in SOUNDFILE_SUFFIXES:
            stated = float(soundfile.info(path).duration)
            if stated or path.stat().st_size <= LARGEST_EMPTY_BYTES:
                return stated
        with av.open(str(path)) as container:
            return (container.duration or 0) / av.time_base
    except (soundfile.LibsndfileError, av.FFmpegError, OSError):
        return 0.0


def to_int16(waveform: FloatArray) -> NDArray[np.int16]:
    """A waveform ``[T]`` in -1..1 to the nearest int16 ``[T]``; values outside are clipped."""
    scaled = waveform * INT16_SCALE
    np.rint(scaled, out=scaled)
    np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1, out=scaled)
    return scaled.astype(np.int16)


def _resample(mono: NDArray[Any], rate: int) -> NDArray[np.float64]:
    """Samples ``[T]``, int16 or in -1..1, from `rate` Hz to 16 kHz in -1..1."""
    from scipy.signal import resample_poly  # takes a second to import, and most recordings are at 16 kHz

    divisor = math.gcd(rate, SAMPLE_RATE)
    waveform = mono.astype(np.float64) / (INT16_SCALE if mono.dtype == np.int16 else 1)
    return resample_poly(waveform, SAMPLE_RATE // divisor, rate // divisor)


def _read_soundfile(path: Path) -> tuple[NDArray[Any], int]:
    """Samples ``[T, channels]`` and the rate in Hz, by libsndfile: int16 as the file has them, else float64."""
    try:
        with soundfile.SoundFile(path) as recording:
            rate, channels = recording.samplerate, recording.channels
            stated = recording.frames
            if stated == UNKNOWN_LENGTH or (not stated and path.stat().st_size > LARGEST_EMPTY_BYTES):
                return _read_container(path)
            kind = "int16" if recording.subtype == "PCM_16" else "float64"
            blocks = [np.zeros((0, channels), kind)]
            # In blocks, because a damaged header can state more than fits in memory.
            while len(block := recording.read(SAMPLES_AT_ONCE, dtype=kind, always_2d=True)):
                blocks.append(block)
    except (soundfile.LibsndfileError, OSError) as error:
        what = _kind_of(path)
        raise MediaError(
            f"{path}: {f'is {what}' if what else f'cannot be read as a recording ({error}); fetch it again'}."
        ) from error
    samples = np.concatenate(blocks)
    stated = max(stated, _stated_by_wav_header(path) or 0)
    _refuse_truncated(path, len(samples) / rate, stated / rate)
    return samples, rate


def _kind_of(path: Path) -> str | None:
    """What a file is by its first bytes, where it is a known kind that is not a recording or has a wrong name."""
    with path.open("rb") as stream:
        head = stream.read(64)
    return next((kind for (at, mark), kind in OTHER_KINDS.items() if head[at:].startswith(mark)), None)


def _stated_by_wav_header(path: Path) -> int | None:
    """Samples a channel that a RIFF header promises; None for other formats and streamed files.

    libsndfile silently prefers the file's length to its header, so a truncated wav has to be found here.
    """
    with path.open("rb") as stream:
        head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        block_align = 0
        while len(chunk := stream.read(8)) == 8:
            size = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"fmt ":
                block_align = int.from_bytes(stream.read(size)[12:14], "little")
            elif chunk[:4] == b"data":
                return size // block_align if block_align and size < STREAMED_BYTES else None
            else:
                stream.seek(size + size % 2, 1)
    return None


def _read_container(path: Path) -> tuple[NDArray[Any], int]:
    """Samples in -1..1 ``[T, channels]`` and the rate in Hz, by FFmpeg's libraries."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise MediaError(f"{path}: holds no sound track; expected a recording of speech.")
            stream = container.streams.audio[0]
            stated = (
                float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
            )
            rate, layout = stream.rate, stream.layout
            planar = av.AudioResampler(format="dblp", layout=layout, rate=rate)
            blocks: list[NDArray[Any]] = [np.zeros((layout.nb_channels, 0), np.float32)]
            for frame in container.decode(stream):
                if frame.format.name == "fltp" and frame.rate == rate and frame.layout == layout:
                    blocks.append(
                        frame.to_ndarray()
                    )  # AAC and Opus decode to this format: nothing to convert
                else:
                    blocks += [converted.to_ndarray() for converted in planar.resample(frame)]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be decoded ({error}); fetch it again.") from error
    samples = np.concatenate(blocks, axis=1).T
    _refuse_truncated(path, len(samples) / rate, stated)
    return samples, rate


def _refuse_truncated(path: Path, found: float, stated: float) -> None:
    """Raise MediaError where a file contains less sound (in seconds) than its header states."""
    if found + TRUNCATION_SECONDS < stated:
        raise MediaError(
            f"{path}: cut short: the header states {stated:.2f} s, {found:.2f} s are there; fetch it again."
        )
