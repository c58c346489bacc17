"""The simulations of `coverage`, short: intervals cover, tests reject as seldom as they say, and faults are seen."""

from __future__ import annotations

import pytest

from tests.statistics.coverage import (
    DRAWING,
    INTERVALS,
    NULLS,
    Case,
    Outcome,
    drawn,
    judged,
    line,
    retrieval_metrics,
    simulate,
)

CHANCE = 2.6  # standard errors that a short simulation may be off by luck, beside the two per cent


def named(case: Case) -> str:
    return f"{case.name}, n = {case.n}"


@pytest.mark.parametrize("case", [case for case in INTERVALS if case.quick], ids=named)
def test_intervals_hold_the_truth_as_often_as_they_say(case):
    outcome = simulate(case, case.quick)
    assert outcome.holds(CHANCE), line(outcome)


@pytest.mark.parametrize("case", [case for case in NULLS if case.quick], ids=named)
def test_equals_are_told_apart_as_seldom_as_said(case):
    outcome = simulate(case, case.quick)
    assert outcome.holds(CHANCE), line(outcome)


@pytest.mark.parametrize("system", ["as sf2f-64", "hears nothing"])
def test_retrievals_intervals_cover_on_the_judges_embeddings(system):
    for outcome in judged(50, 120, system, retrieval_metrics(50)):
        assert outcome.holds(CHANCE), line(outcome)


@pytest.mark.parametrize("system", DRAWING)
def test_intervals_of_several_faces_for_one_voice_cover(system):
    for outcome in drawn(50, 120, system, draws=4):
        assert outcome.holds(CHANCE), line(outcome)


SHORTER = 150  # runs that show a gross fault
NARROW = [case for case in INTERVALS if case.quick and not case.conservative and case.n <= 50]


@pytest.mark.parametrize("case", NARROW, ids=named)
def test_intervals_of_half_the_width_are_caught(case):
    outcome = simulate(case, SHORTER, narrowed=0.5)
    assert not outcome.holds(CHANCE), line(outcome)


@pytest.mark.parametrize("case", [case for case in NULLS if case.quick and case.n <= 50], ids=named)
def test_p_values_of_half_the_error_are_caught(case):
    outcome = simulate(case, SHORTER, narrowed=0.5)
    assert not outcome.holds(CHANCE), line(outcome)


def test_intervals_twice_as_wide_are_caught_too():
    case = next(case for case in INTERVALS if case.name == "mean_interval, cosine" and case.n == 50)
    assert not simulate(case, 900, narrowed=2.0).holds(CHANCE)


def test_an_outcome_holds_within_two_per_cent():
    case = INTERVALS[0]
    strict = Case("anything", 50, case.draw)
    assert [Outcome(strict, 10_000, share).holds() for share in (0.92, 0.935, 0.965, 0.98)] == [
        False,
        True,
        True,
        False,
    ]
    assert [Outcome(strict, 9_999, share, 0.5).holds() for share in (0.02, 0.04, 0.06, 0.08)] == [
        False,
        True,
        True,
        False,
    ]
    assert not Outcome(strict, 9_999, 0.05, 1e-6).holds()
    loose = Case("anything", 50, case.draw, conservative="why")
    assert [Outcome(loose, 9_999, share).holds() for share in (0.92, 0.99)] == [False, True]
