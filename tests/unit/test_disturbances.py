"""Disturbed voices: what is done to the waveform, that any front end hears it, and what is scored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audio.disturb import DISTURBANCES
from sf2f_bench.data.synthetic import SyntheticWorld
from sf2f_bench.evaluation import disturbed
from sf2f_bench.evaluation.disturbed import disturbed_windows
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols import names
from sf2f_bench.protocols.bench.generation import with_disturbed
from sf2f_bench.testing.world import PEOPLE, TinyWorld, one_waveform, tiny_store
from sf2f_bench.types import Answer, DatasetSource, MediaError


def disturb(what: str, waveform: np.ndarray, seed: int = 0) -> np.ndarray:
    return DISTURBANCES[what](waveform, np.random.default_rng(seed))


def power_above(waveform: np.ndarray, hertz: float) -> float:
    """Share of the power above a frequency."""
    spectrum = np.abs(np.fft.rfft(waveform)) ** 2
    return spectrum[np.fft.rfftfreq(len(waveform), 1 / 16000) > hertz].sum() / spectrum.sum()


def test_the_protocol_names_them():
    assert tuple(DISTURBANCES) == names.DISTURBANCES


@pytest.mark.parametrize("what", names.DISTURBANCES)
def test_length_type_and_range_stay(what):
    waveform = one_waveform()
    made = disturb(what, waveform)
    assert made.dtype == np.float32
    assert made.shape == waveform.shape
    assert np.abs(made).max() <= 1
    assert np.array_equal(made, disturb(what, waveform))
    assert np.array_equal(made, waveform) == (what == "clean")


@pytest.mark.parametrize("decibels", [20, 10, 0])
def test_noise_has_the_ratio_it_says_at_the_recordings_level(decibels):
    waveform = one_waveform().astype(np.float64)
    made = disturb(f"noise {decibels} dB", one_waveform())
    assert np.mean(made**2.0) == pytest.approx(np.mean(waveform**2), rel=0.03)
    gain = (made @ waveform) / (waveform @ waveform)
    noise = made - gain * waveform
    ratio = 10 * np.log10(np.mean((gain * waveform) ** 2) / np.mean(noise**2))
    assert ratio == pytest.approx(decibels, abs=0.3)
    assert not np.array_equal(made, disturb(f"noise {decibels} dB", one_waveform(), 1))


def test_a_telephone_keeps_its_band_alone():
    noise = (0.1 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)
    made = disturb("telephone", noise)
    assert power_above(noise, 4000) > 0.4
    assert power_above(made, 4000) < 0.01
    assert 1 - power_above(made, 200) < 0.01
    assert power_above(made, 1000) > 0.5


def test_mp3_loses_the_highest_frequencies_and_stays_in_time():
    waveform = one_waveform()
    made = disturb("MP3", waveform)
    assert np.corrcoef(waveform, made)[0, 1] > 0.8
    assert power_above(made, 7000) < power_above(waveform, 7000)


@dataclass(frozen=True)
class LoudestFrontend(LogFilterbank):
    """A stranger's front end, which keeps what it was given."""

    heard: ClassVar[list[np.ndarray]] = []

    def __call__(self, waveform):
        self.heard.append(waveform)
        return super().__call__(waveform)


class SpokenWorld(TinyWorld):
    """The tiny world with waveforms."""

    def utterances(self, identity):
        return SyntheticWorld(DatasetSource(limits=PEOPLE)).utterances(identity)[:2]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(LogFilterbank(), 64, tmp_path_factory.mktemp("store"))


def test_any_front_end_hears_the_disturbed_waveform_once(store, tmp_path: Path):
    LoudestFrontend.heard.clear()
    found = disturbed_windows(SpokenWorld(), store, LoudestFrontend(), 5, tmp_path, print)
    assert list(found) == list(names.DISTURBANCES)
    people = store.identities("test")
    assert [len(windows) for windows in found.values()] == [len(people)] * len(found)
    assert {windows.shape for windows in found["telephone"]} == {(4, 40, 125)}  # 5 s
    first = SpokenWorld().utterances(people[0].id)[0].waveform()
    assert np.array_equal(LoudestFrontend.heard[0], first)
    for what, heard in zip(names.DISTURBANCES, LoudestFrontend.heard[:6], strict=True):
        assert np.array_equal(heard, first) == (what == "clean")
    expected = LogFilterbank()(LoudestFrontend.heard[2])[:, :125]
    np.testing.assert_array_equal(found["noise 10 dB"][0][0], expected)
    count = len(LoudestFrontend.heard)
    again = disturbed_windows(SpokenWorld(), store, LoudestFrontend(), 5, tmp_path, print)
    assert len(LoudestFrontend.heard) == count  # kept
    assert all(np.array_equal(a, b) for what in found for a, b in zip(found[what], again[what], strict=True))


def test_without_waveforms_the_reason_stands_in_their_place(store, tmp_path: Path):
    found = disturbed_windows(TinyWorld(), store, LogFilterbank(), 5, tmp_path, print)
    assert all("5 of 5 people (first: test-0000)" in reason for reason in found.values())


def test_one_person_whom_the_front_end_does_not_hear_takes_that_disturbance_alone(
    store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def deaf(waveform, random):
        raise MediaError("no speech found")

    monkeypatch.setattr(disturbed, "DISTURBANCES", {**DISTURBANCES, "MP3": deaf})
    found = disturbed_windows(SpokenWorld(), store, LogFilterbank(), 5, tmp_path, print)
    assert isinstance(found["MP3"], str)
    assert isinstance(found["telephone"], list)


def test_a_system_generates_from_what_it_hears(store, tmp_path: Path):
    class System:
        frontend = LogFilterbank()
        card = replace(__import__("baselines.anchors", fromlist=["Chance"]).Chance.card, kind="system")

        def generate(self, voices, *, generator):
            level = voices.mean(dim=(1, 2, 3)).sigmoid() * 255
            return level.to(torch.uint8)[:, None, None, None].expand(-1, 3, 64, 64)

    windows = disturbed_windows(SpokenWorld(), store, LogFilterbank(), 5, tmp_path, print) | {"MP3": "no MP3"}
    answer = Answer(np.zeros((5, 3, 64, 64), np.uint8))
    noise = lambda what: torch.Generator().manual_seed(0)  # noqa: E731
    made = with_disturbed(
        answer, windows, System(), 64, noise, Reporter(silent=True), tmp_path / "faces.safetensors"
    )
    assert made.disturbed["MP3"] == "no MP3"
    clean, noisy = made.disturbed["clean"].faces, made.disturbed["noise 0 dB"].faces
    assert clean.shape == (5, 3, 64, 64)
    assert (noisy.mean(axis=(1, 2, 3)) > clean.mean(axis=(1, 2, 3))).all()  # it is louder above
