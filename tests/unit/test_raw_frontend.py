"""The front end of raw samples: what it promises to the store and to the batches."""

from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench import AudioFrontend, BenchError, DatasetSource, LogFilterbank, MediaError, RawWaveform
from sf2f_bench.audio.decode import to_int16
from sf2f_bench.audio.vad import keep_speech
from sf2f_bench.data.synthetic.dataset import SyntheticWorld

FRONTEND = RawWaveform()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return SyntheticWorld(DatasetSource()).utterances("train-0001")[0].waveform()  # 7.5 s


def test_keeps_the_protocol_and_survives_the_way_into_another_process() -> None:
    assert isinstance(FRONTEND, AudioFrontend)
    assert pickle.loads(pickle.dumps(FRONTEND)) == FRONTEND
    assert (FRONTEND.filters, FRONTEND.frames_per_second) == (160, 100.0)
    assert (FRONTEND.crop_frames, FRONTEND.segment_frames) == ((100, 125), 125)


def test_its_id_names_what_changes_a_stored_number() -> None:
    assert FRONTEND.id == RawWaveform(deviation=1.0).id
    assert len({FRONTEND.id, RawWaveform(preemphasis=0.0).id, LogFilterbank().id}) == 3
    assert LogFilterbank().id in FRONTEND.id  # whose speech detection and level it takes


@pytest.mark.parametrize("preemphasis", [0.0, 0.95])
def test_columns_read_one_after_another_are_the_speech(speech: np.ndarray, preemphasis: float) -> None:
    kept = keep_speech(to_int16(speech), 1, 30)
    features = RawWaveform(preemphasis)(speech)
    assert features.dtype == np.float32
    assert features.shape == (160, len(kept) // 160)
    level = kept / max(abs(int(kept.min())), int(kept.max()))
    expected = [level[0]] + [now - preemphasis * before for before, now in pairwise(level)]
    np.testing.assert_allclose(features.T.ravel(), expected[: features.size], atol=1e-6)


def test_it_hears_as_many_columns_as_the_filter_bank_up_to_the_last_window(speech: np.ndarray) -> None:
    assert 0 <= FRONTEND(speech).shape[1] - LogFilterbank()(speech).shape[1] <= 2


@settings(deadline=None, max_examples=20)
@given(gain=st.floats(0.2, 1.0))
def test_loudness_is_taken_away(gain: float) -> None:
    """Up to the rounding to int16, and to the verdicts of a detector that hears loudness."""
    sound = SyntheticWorld(DatasetSource()).utterances("train-0000")[0].waveform()[:48_000]
    features = RawWaveform(preemphasis=0.0)((gain * sound / np.abs(sound).max()).astype(np.float32))
    assert np.abs(features).max() == 1


@settings(deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30), st.floats(0.01, 10))
def test_normalise_treats_each_value_alone_and_leaves_silence(values: list[float], deviation: float) -> None:
    frontend = RawWaveform(deviation=deviation)
    array = np.array(values, np.float32)
    np.testing.assert_allclose(
        frontend.normalise(array), [value / deviation for value in values], rtol=1e-5, atol=1e-30
    )
    tensor = frontend.normalise(torch.from_numpy(array))
    assert tensor.dtype == torch.float32
    np.testing.assert_allclose(tensor.numpy(), frontend.normalise(array), rtol=1e-6)
    assert frontend.normalise(0.0) == 0.0


def test_the_default_deviation_is_that_of_the_default_world() -> None:
    world = SyntheticWorld(DatasetSource())
    sounds = [world.utterances(f"train-{number:04d}")[0].waveform() for number in range(0, 400, 40)]
    assert 0.6 < np.sqrt(np.mean([FRONTEND.normalise(FRONTEND(sound)).var() for sound in sounds])) < 1.6


@pytest.mark.parametrize(
    ("gain", "seconds", "message"),
    [(0.0, 7.5, "no speech found"), (1.0, 0.0, "no speech found"), (1.0, 0.1, "no speech found")],
)
def test_no_speech_is_refused_as_by_the_filter_bank(
    speech: np.ndarray, gain: float, seconds: float, message: str
) -> None:
    sound = (gain * speech[: int(16_000 * seconds)]).astype(np.float32)
    for frontend in (FRONTEND, LogFilterbank()):
        with pytest.raises(MediaError, match=message):
            frontend(sound)


def test_a_level_that_no_speech_has_is_refused_as_by_the_filter_bank(speech: np.ndarray) -> None:
    clipped = np.sign(speech).astype(np.float32)
    for frontend in (FRONTEND, LogFilterbank()):
        with pytest.raises(MediaError, match="mean log energy"):
            frontend(clipped)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"preemphasis": -0.1}, "pre-emphasis -0.1: expected 0 to 1"),
        ({"preemphasis": 1.5}, "pre-emphasis 1.5: expected 0 to 1"),
        ({"preemphasis": float("nan")}, "pre-emphasis nan"),
        ({"deviation": 0.0}, "divided by 0: expected more than 0"),
        ({"deviation": float("nan")}, "divided by nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings_: dict[str, float], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        RawWaveform(**settings_)
