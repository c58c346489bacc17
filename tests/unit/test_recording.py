"""Voices beside a record: read where the data set has waveforms, left out whole where somebody has none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sf2f_bench.runs.recording import _voices
from sf2f_bench.types import MediaError


def utterance(waveform):
    def read():
        if waveform is None:
            raise MediaError("not a recording")
        return waveform

    return SimpleNamespace(key="a", waveform=read)


def dataset(**people):
    return SimpleNamespace(utterances=lambda name: people[name])


def test_the_first_readable_recording_is_taken():
    one, other = np.zeros(5, np.float32), np.ones(7, np.float32)
    people = dataset(a=[utterance(one), utterance(other)], b=[utterance(None), utterance(other)])
    first, second = _voices(people, ["a", "b"])
    assert first is one
    assert second is other


def test_without_somebodys_waveform_there_are_no_voices():
    mel = SimpleNamespace(key="mel")  # an official mel file
    people = dataset(a=[utterance(np.ones(3, np.float32))], b=[mel], c=[utterance(None)], d=[])
    assert _voices(people, ["a"]) is not None
    for name in "bcd":
        assert _voices(people, ["a", name]) is None
    assert _voices(people, []) is None
