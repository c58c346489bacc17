"""Source-filter speech: what is asked of a voice can be measured in its sound."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sf2f_bench.audio.filterbank import LogFilterbank
from sf2f_bench.audio.vad import keep_speech
from sf2f_bench.data.synthetic.voices import VoiceParameters, speak
from sf2f_bench.types import SAMPLE_RATE, BenchError

NEUTRAL = VoiceParameters()
WOMAN = VoiceParameters(f0=205, formant_scale=1.16)


@cache
def utterance(voice: VoiceParameters = NEUTRAL, seed: int = 0, seconds: float = 7.5) -> np.ndarray:
    return speak(voice, np.random.RandomState(seed), seconds)


def spectrum(voice: VoiceParameters) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies ``[F]`` and mean power ``[F]`` of two utterances whose words are the same for every voice."""
    windows = np.concatenate([utterance(voice, seed).reshape(-1, 600) for seed in (0, 1)]) * np.hanning(600)
    return np.fft.rfftfreq(600, 1 / SAMPLE_RATE), np.mean(np.abs(np.fft.rfft(windows)) ** 2, 0)


def energy_db(voice: VoiceParameters, low: float, high: float) -> float:
    """Energy between two frequencies beside all the energy."""
    hz, power = spectrum(voice)
    return float(10 * np.log10(power[(hz >= low) & (hz < high)].sum() / power.sum()))


def measured_f0(samples: np.ndarray, expected: float) -> float:
    """Median over the periodic windows of 40 ms of the autocorrelation's peak within half an octave, in Hz."""
    windows = samples[: samples.size // 640 * 640].reshape(-1, 640).astype(float)
    power = np.abs(np.fft.rfft(windows * np.hanning(640), 2048)) ** 2
    correlation = np.fft.irfft(power)
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(640), 2048)) ** 2)
    correlation = correlation / correlation[:, :1] / (taper / taper[0]).clip(0.05)
    shortest, longest = int(SAMPLE_RATE / expected / 2**0.5), int(SAMPLE_RATE / expected * 2**0.5)
    peaks = correlation[:, shortest:longest]
    loud = windows.std(1) > 0.5 * samples.std()
    periodic = loud & (peaks.max(1) > 0.7)
    assert periodic.sum() > 20
    return float(np.median(SAMPLE_RATE / (shortest + peaks[periodic].argmax(1))))


def test_same_seed_same_sound():
    assert np.array_equal(
        speak(NEUTRAL, np.random.RandomState(5), 2.0), speak(NEUTRAL, np.random.RandomState(5), 2.0)
    )


def test_other_seed_other_words():
    first, second = utterance(seed=0), utterance(seed=1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


@pytest.mark.parametrize("seconds", [0.5, 1.2345, 7.5])
def test_length_type_and_steps(seconds: float):
    samples = utterance(seconds=seconds)
    assert samples.dtype == np.float32
    assert samples.shape == (round(seconds * SAMPLE_RATE),)
    steps = samples.astype(float) * 32768
    assert np.array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() <= 32767


@pytest.mark.parametrize("voice", [NEUTRAL, WOMAN], ids=["man", "woman"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_level_and_clipping(voice: VoiceParameters, seed: int):
    samples = utterance(voice, seed).astype(float)
    assert 10 * np.log10(np.mean(samples**2)) == pytest.approx(-18, abs=3.3)
    assert np.mean(np.abs(samples) > 0.999) < 0.005


def test_pauses_hold_the_noise_floor_only():
    windows = utterance(replace(NEUTRAL, pauses=3.0)).reshape(-1, 800).astype(float)
    quietest = 10 * np.log10(np.mean(windows**2, 1).min())
    assert -68 < quietest < -52


def test_voice_activity_detector_takes_it_for_speech():
    kept = total = 0
    for seed in range(6):
        for voice in (NEUTRAL, WOMAN, replace(WOMAN, breathiness=4.0, rate=0.6), replace(NEUTRAL, rate=1.8)):
            samples = np.rint(utterance(voice, seed).astype(float) * 32768).astype(np.int16)
            kept += keep_speech(samples, 1, 30).size
            total += samples.size
    assert kept / total > 0.95


def test_features_lie_where_those_of_real_speech_lie():
    frontend = LogFilterbank()
    features = [frontend(utterance(voice, seed)) for voice in (NEUTRAL, WOMAN) for seed in range(4)]
    normalised = frontend.normalise(np.concatenate(features, 1))
    assert abs(normalised.mean()) < 0.6
    assert 0.8 < normalised.std() < 1.3


@pytest.mark.parametrize("f0", [90.0, 120.0, 205.0, 280.0])
def test_f0_is_the_one_asked_for(f0: float):
    voice = VoiceParameters(f0=f0, formant_scale=1.16 if f0 > 160 else 1.0)
    measured = [measured_f0(utterance(voice, seed), f0) for seed in (0, 1)]
    assert measured == pytest.approx([f0, f0], rel=0.06)


def test_shorter_tract_raises_the_centroid():
    def centroid(scale: float) -> float:
        hz, power = spectrum(replace(NEUTRAL, formant_scale=scale))
        return float((hz * power).sum() / power.sum())

    assert centroid(0.9) * 1.05 < centroid(1.0) < centroid(1.15) / 1.05


@pytest.mark.parametrize(
    ("change", "low", "high"),
    [
        ({"sibilance": 1.6}, 4000, 8000),
        ({"breathiness": 3.0}, 4000, 8000),
        ({"tilt_db_per_octave": 3.0}, 2000, 8000),
    ],
)
def test_more_of_it_raises_the_high_frequencies(change: dict[str, float], low: float, high: float):
    assert energy_db(replace(NEUTRAL, **change), low, high) > energy_db(NEUTRAL, low, high) + 1.5


def test_upper_formants_move_alone():
    higher = replace(NEUTRAL, upper_formant_scale=1.15)
    hz, neutral = spectrum(NEUTRAL)
    change_db = np.abs(10 * np.log10(spectrum(higher)[1] / neutral))
    assert change_db[(hz > 2200) & (hz < 4200)].mean() > 3 * change_db[(hz > 200) & (hz < 1200)].mean()


def test_faster_speech_changes_faster():
    def flux(rate: float) -> float:
        raw = [LogFilterbank()(utterance(replace(NEUTRAL, rate=rate), seed)) for seed in range(3)]
        return float(np.mean([np.abs(np.diff(features, axis=1)).mean() for features in raw]))

    assert flux(1.6) > 1.1 * flux(1.0) > 1.2 * flux(0.6)


def test_too_short_a_wish_is_refused():
    with pytest.raises(BenchError, match=r"at least 0\.5 s"):
        speak(NEUTRAL, np.random.RandomState(0), 0.2)
