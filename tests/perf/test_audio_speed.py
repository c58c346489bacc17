"""The audio front end on real recordings, one thread; run with ``--benchmark-only -s``.

Every line says seconds of sound per second of processor time, so that neighbours on the machine count little.
The official code's front end does 854 on two threads (whether that includes decoding is not known).
"""

from __future__ import annotations

import time

import pytest

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.audio.decode import to_int16
from sf2f_bench.audio.vad import keep_speech
from sf2f_bench.types import SAMPLE_RATE
from tests.unit.test_audio import write_m4a

pytestmark = pytest.mark.benchmark(timer=time.process_time)

FRONTEND = LogFilterbank()


def features_of(path):
    return FRONTEND(decode(path))


def speech_of(samples):
    return keep_speech(samples, FRONTEND.vad_mode, FRONTEND.vad_frame_ms)


@pytest.fixture(scope="module")
def recordings(shared, tmp_path_factory):
    """Ten recordings in each of three formats: VoxCeleb 1 is given out as wav, VoxCeleb 2 as m4a."""
    folder = tmp_path_factory.mktemp("m4a")
    found = {
        "wav": sorted((shared / "real" / "voxceleb_voices").glob("*.wav"))[:10],
        "flac": sorted((shared / "real" / "librispeech").glob("*.flac"))[:10],
    }
    for path in found["wav"]:
        write_m4a(folder / f"{path.stem}.m4a", decode(path)[:, None], SAMPLE_RATE)
    return found | {"m4a": sorted(folder.glob("*.m4a"))}


def speed(benchmark, work, items, seconds, name):
    """Seconds of sound per second in the best of the rounds, into ``extra_info`` and onto the terminal."""
    benchmark.pedantic(lambda: [work(item) for item in items], rounds=15, warmup_rounds=1)
    rate = seconds / benchmark.stats.stats.min
    benchmark.extra_info["seconds of sound per second"] = round(rate)
    print(f"\n{name}: {rate:,.0f} s of sound per s on one thread")


@pytest.mark.parametrize("part", ["decode wav", "decode flac", "decode m4a", "detection", "filter-bank"])
def test_a_part(benchmark, recordings, part):
    paths = recordings[part.split()[-1] if part.startswith("decode") else "wav"]
    sounds = [to_int16(decode(path)) for path in paths]
    work, items = {
        "detection": (speech_of, sounds),
        "filter-bank": (FRONTEND.of_signal, [speech_of(sound) for sound in sounds]),
    }.get(part, (decode, paths))
    speed(benchmark, work, items, sum(map(len, sounds)) / SAMPLE_RATE, part)


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a"])
def test_the_whole_front_end(benchmark, recordings, suffix):
    """From the file to the features; FFmpeg's decoding of AAC alone takes half of an m4a's time."""
    paths = recordings[suffix]
    seconds = sum(len(decode(path)) for path in paths) / SAMPLE_RATE
    speed(benchmark, features_of, paths, seconds, f"{suffix} to features")
