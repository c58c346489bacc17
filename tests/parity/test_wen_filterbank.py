"""voice2face's published front end against the published code's numbers and independent implementations.

golden/wen_filterbank.npz: what the published code (cmu-mlsp/reconstructing_faces_from_voices, run here with a
detector and a spectrum of their own for every recording) gives for four recordings of real/voxceleb_voices and one of
the embedded world, every fourth filter and every twentieth frame.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench import DatasetSource
from sf2f_bench.audio import WenFilterbank, decode
from sf2f_bench.audio.wen import log_energies
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from tests.conftest import GOLDEN

psf = pytest.importorskip("python_speech_features")


def published(name: str) -> np.ndarray:
    with np.load(GOLDEN / "wen_filterbank.npz") as golden:
        return golden[name]


@pytest.mark.parametrize("name", ["Alan_Tudyk", "Alicja_Bachleda", "Bingbing_Li", "Suraj_Sharma"])
def test_equals_the_published_front_end_on_real_speech(shared, name):
    features = WenFilterbank()(decode(shared / "real" / "voxceleb_voices" / f"{name}.wav"))
    np.testing.assert_allclose(features[::4, ::20], published(name), rtol=0, atol=2e-5)


def test_equals_the_published_front_end_on_the_embedded_world():
    utterance = SyntheticWorld(DatasetSource()).utterances("train-0000")[0]
    features = WenFilterbank()(utterance.waveform())
    assert features.shape == (64, 1000)  # 690 frames of speech, repeated
    np.testing.assert_allclose(features[::4, ::20], published("train-0000"), rtol=0, atol=2e-5)


def one_by_one(signal: np.ndarray) -> np.ndarray:
    """The same log energies, a frame at a time, through python_speech_features' mel scale and spectrum."""
    bins, width = np.arange(513), 15.625
    mels = np.linspace(psf.base.hz2mel(20), psf.base.hz2mel(7200), 66)
    corners = np.rint(psf.base.mel2hz(mels) / width)
    triangles = (corners[i : i + 3] for i in range(64))
    bank = np.array([np.interp(bins, three, [0, 1, 0]) * 2 / np.ptp(three * width) for three in triangles])
    rows, last = [], 0.0
    for start in range(0, len(signal) + 1, 160):
        own = signal[start : start + 400].astype(float)
        frame = np.resize(own, 400) if len(own) else np.zeros(400)
        emphasised = frame - 0.97 * np.concatenate([[last], frame[:-1]])
        last = frame[-1]
        power = psf.sigproc.powspec([emphasised * np.hamming(400)], 1024)[0] * 1024
        rows.append(np.log(np.clip(bank @ power, 1e-5, None)))
    return np.stack(rows)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 3000),
    seed=st.integers(0, 2**31 - 1),
    loudness=st.sampled_from([1.0, 300.0, 20_000.0]),
    zeros=st.integers(0, 1500),
)
def test_equals_a_frame_at_a_time(length, seed, loudness, zeros):
    signal = np.random.RandomState(seed).standard_normal(length) * loudness
    signal = signal.clip(-32768, 32767).astype(np.int16)
    signal[:zeros] = 0  # whole windows of silence take the floor of the energy
    np.testing.assert_allclose(log_energies(signal), one_by_one(signal), rtol=0, atol=1e-9)


def test_is_near_a_common_filter_bank_and_nearer_under_the_same_window():
    """What python_speech_features gives with these settings is not what the network heard: it has its own window."""
    signal = np.random.RandomState(4).standard_normal(32_000).cumsum()
    signal = (signal / np.abs(signal).max() * 20_000).astype(np.int16)
    same = {"nfilt": 64, "lowfreq": 20, "highfreq": 7200, "nfft": 1024}
    whole = slice(0, 1 + (32_000 - 400) // 160)  # frames that do not reach over the end

    def agreement(window):
        theirs = np.log(psf.fbank(signal, winfunc=window, **same)[0])[whole]
        ours = log_energies(signal)[whole]
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(ours.T, theirs.T, strict=True)])

    assert agreement(np.hamming) > 0.97
    assert agreement(np.ones) < agreement(np.hamming)
