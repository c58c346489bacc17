"""The front end that voice2face was published with: what it promises to the store and to the batches."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from sf2f_bench import AudioFrontend, DatasetSource, LogFilterbank, MediaError, WenFilterbank
from sf2f_bench.audio import wen
from sf2f_bench.audio.decode import to_int16
from sf2f_bench.data.synthetic.dataset import SyntheticWorld

FRONTEND = WenFilterbank()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return SyntheticWorld(DatasetSource()).utterances("train-0001")[0].waveform()  # 7.5 s


def test_keeps_the_protocol_and_survives_the_way_into_another_process() -> None:
    assert isinstance(FRONTEND, AudioFrontend)
    assert pickle.loads(pickle.dumps(FRONTEND)) == FRONTEND
    assert FRONTEND.id == WenFilterbank().id != LogFilterbank().id
    assert (FRONTEND.filters, FRONTEND.frames_per_second) == (64, 100.0)
    assert (FRONTEND.crop_frames, FRONTEND.segment_frames) == ((300, 800), 500)


def test_every_filter_of_a_long_recording_has_mean_0_and_variance_1(speech: np.ndarray) -> None:
    features = FRONTEND(np.concatenate([speech, speech]))
    assert features.dtype == np.float32
    assert features.shape[0] == 64
    assert features.shape[1] > 1300  # nothing is cut off
    np.testing.assert_allclose(features.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=1), 1, atol=1e-5)


def test_a_short_recording_is_repeated_up_to_ten_seconds(speech: np.ndarray) -> None:
    features = FRONTEND(speech[:48_000])
    once = len(wen.log_energies(wen.keep_speech(to_int16(speech[:48_000]))))
    assert 200 < once < 310
    assert features.shape == (64, 1000)
    np.testing.assert_array_equal(features[:, once : 2 * once], features[:, :once])
    np.testing.assert_array_equal(features[:, 3 * once :], features[:, : 1000 - 3 * once])
    np.testing.assert_allclose(features[:, :once].mean(axis=1), 0, atol=1e-5)


def test_loudness_does_not_matter(speech: np.ndarray) -> None:
    """Per-recording normalisation takes a gain away, up to the rounding to int16 and the detector's verdicts."""
    signal = to_int16(speech)[:32_000].astype(np.float64)
    loud, soft = wen.log_energies(signal), wen.log_energies(signal / 4)
    np.testing.assert_allclose(loud[:198] - soft[:198], 2 * np.log(4), atol=1e-6)


def test_normalise_leaves_arrays_and_tensors_as_they_are() -> None:
    tensor, array = torch.ones(2, 3), np.ones((2, 3))
    assert FRONTEND.normalise(tensor) is tensor
    assert FRONTEND.normalise(array) is array


@pytest.mark.parametrize(("seconds", "what"), [(7.5, "silence"), (1.2, "speech"), (0.0, "speech")])
def test_too_little_speech_is_refused(speech: np.ndarray, seconds: float, what: str) -> None:
    sound = speech[: int(16_000 * seconds)] * (what == "speech")
    with pytest.raises(MediaError, match=r"of speech found in \d\.\d\d s of sound, expected 1.25 s or more"):
        FRONTEND(sound.astype(np.float32))


def test_a_filter_that_never_changes_does_not_divide_by_zero(monkeypatch, speech: np.ndarray) -> None:
    monkeypatch.setattr(wen, "log_energies", lambda signal: np.full((200, 64), 3.0))
    np.testing.assert_array_equal(FRONTEND(speech), np.zeros((64, 1000)))


class Detector:
    """WebRTC's detector with given verdicts, which writes down what it was asked."""

    def __init__(self, verdicts: str) -> None:
        self.verdicts, self.asked = verdicts, []

    def __call__(self, mode: int) -> Detector:
        assert mode == 2
        return self

    def is_speech(self, frame: bytes, rate: int) -> bool:
        assert (len(frame), rate) == (640, 16_000)
        number = int(np.frombuffer(frame, np.int16)[0])
        self.asked.append(number)
        return self.verdicts[number] == "v"


@pytest.mark.parametrize(
    ("verdicts", "kept"),
    [
        ("..vv....", [2, 3, 4, 5]),  # the two frames that end a run stay in it
        (".v.v.v.v", []),
        ("vvvvvvvv", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("vv..vv.v", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("vv..v.vv", [0, 1, 2, 3, 6, 7]),
        ("......vv", [6, 7]),
        (".......v", []),
    ],
)
def test_two_frames_in_succession_begin_and_end_a_run(monkeypatch, verdicts: str, kept: list[int]) -> None:
    samples = np.repeat(np.arange(9, dtype=np.int16), 320)  # the ninth frame fits exactly and is lost
    monkeypatch.setattr(wen.webrtcvad, "Vad", Detector(verdicts))
    np.testing.assert_array_equal(wen.keep_speech(samples), np.repeat(np.array(kept, np.int16), 320))


def test_the_detector_hears_the_earlier_frame_of_a_pair_again(monkeypatch) -> None:
    detector = Detector("..vv.v")
    monkeypatch.setattr(wen.webrtcvad, "Vad", detector)
    wen.keep_speech(np.repeat(np.arange(7, dtype=np.int16), 320))
    assert detector.asked == [0, 0, 1, 1, 2, 2, 3, 4, 4, 5]


def test_filters_are_triangles_of_area_one() -> None:
    bank = wen.mel_filters()
    assert bank.shape == (513, 64)
    assert (bank >= 0).all()
    np.testing.assert_allclose(bank.sum(axis=0) * 15.625, 1, rtol=1e-12)
    assert not bank[: int(20 / 15.625)].any()
    assert not bank[int(np.ceil(7200 / 15.625)) :].any()
