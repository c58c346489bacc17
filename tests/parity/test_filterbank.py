"""The front end against the official code's numbers and an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench.audio import LogFilterbank, decode, log_filterbank_of
from sf2f_bench.audio.decode import to_int16
from sf2f_bench.audio.vad import keep_speech
from tests.conftest import GOLDEN

psf = pytest.importorskip("python_speech_features")


@pytest.mark.parametrize("name", ["Alan_Tudyk", "Alicja_Bachleda", "Bingbing_Li"])
def test_equals_the_official_front_end_on_real_speech(shared, name):
    with np.load(GOLDEN / "mel.npz") as golden:
        expected = golden[name]
    features = log_filterbank_of(shared / "real" / "voxceleb_voices" / f"{name}.wav")
    assert features.dtype == np.float64
    np.testing.assert_allclose(features, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("Alan_Tudyk", 61760, 61440), ("Alicja_Bachleda", 164480, 164160), ("Bingbing_Li", 62720, 59040)],
)
def test_keeps_the_samples_that_the_official_detector_keeps(shared, name, before, after):
    samples = to_int16(decode(shared / "real" / "voxceleb_voices" / f"{name}.wav"))
    assert len(samples) == before
    assert len(keep_speech(samples, mode=1, frame_ms=30)) == after


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(400, 6000),
    seed=st.integers(0, 2**31 - 1),
    loudness=st.sampled_from([1.0, 300.0, 20_000.0]),
    zeros=st.integers(0, 1500),
)
def test_equals_python_speech_features(length, seed, loudness, zeros):
    signal = np.random.RandomState(seed).standard_normal(length) * loudness
    signal = signal.clip(-32768, 32767).astype(np.int16)
    signal[:zeros] = 0  # whole windows of silence take the floor of the energy
    ours = LogFilterbank().of_signal(signal)
    np.testing.assert_allclose(ours, psf.logfbank(signal, nfilt=40).T, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("filters", "low", "high", "nfft"),
    [(64, 20.0, 7200.0, 1024), (26, 300.0, 4000.0, 512), (80, 0.0, 8000.0, 512)],
)
def test_equals_python_speech_features_at_other_settings(filters, low, high, nfft):
    signal = (np.random.RandomState(3).standard_normal(8000) * 1000).astype(np.int16)
    ours = LogFilterbank(filters=filters, low=low, high=high, nfft=nfft).of_signal(signal)
    theirs = psf.logfbank(signal, nfilt=filters, lowfreq=low, highfreq=high, nfft=nfft)
    np.testing.assert_allclose(ours, theirs.T, rtol=0, atol=1e-9)
