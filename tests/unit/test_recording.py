"""Voices beside a record: read where the data set has waveforms, left out whole where somebody has none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sf2f_bench.protocols.scores import Scores
from sf2f_bench.results.parts import own_column_of
from sf2f_bench.runs.recording import CASES_KEPT, _cases, _voices
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


def ranked(ranks, role="judge", format_="rank"):
    """What scoring gives where the right people have these ranks."""
    score = SimpleNamespace(metric="median-rank/full", extractor_role=role, column="median-rank/full|judge")
    columns = {own_column_of(score.column): np.array(ranks, np.float64)}
    return Scores([score], [], {"median-rank/full": SimpleNamespace(format=format_)}, columns)


def test_the_cases_are_the_best_the_typical_and_the_worst_by_the_judge():
    ranks = np.random.default_rng(0).permutation(300) + 1
    found = [int(ranks[i]) for i in _cases(ranked(ranks), 300)]
    assert found == [1, 2, 3, 149, 150, 151, 298, 299, 300]
    assert np.median(ranks) == 150.5


def test_equal_ranks_are_taken_in_the_order_of_the_people():
    assert _cases(ranked([5] * 11), 11) == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_nobody_is_a_case_without_a_judge_s_ranks_or_with_too_few_people():
    few = 3 * CASES_KEPT - 1
    assert _cases(ranked(range(few)), few) == []
    assert _cases(ranked(range(20), role="training-loss"), 20) == []
    assert _cases(ranked(range(20), format_="share"), 20) == []
    assert _cases(ranked(range(20)), 21) == []  # somebody has no rank
    assert _cases(Scores(), 20) == []
