"""Marks of a page: the tests of `sf2f_bench.paired`, over a row's metrics, in the direction the metric says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factory import JUDGE, record
from scipy import stats

from sf2f_bench import stats as own_stats
from sf2f_bench.paired import Measured, compare_scores
from sf2f_bench.records import ScoreRecord, load, save
from sf2f_bench.report.html_marks import ValuesOf, by_error, by_medians, direction, q_values, sign_flip
from sf2f_bench.report.html_tables import html_tables
from sf2f_bench.report.selection import groups


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05, 0.3])
def test_sign_flips_agree_with_the_paired_test(shift):
    random = np.random.default_rng(5)
    a, b = random.normal(shift, 0.3, 120), random.normal(0, 0.3, 120)
    (p,) = sign_flip([a - b])
    expected = own_stats.paired_difference(a, b, np.random.default_rng(1))[2]
    assert p == pytest.approx(expected, abs=0.04)  # both draw 2,000 permutations


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_medians_agree_with_the_paired_test(shift):
    random = np.random.default_rng(3)
    a, b = np.round(random.normal(shift, 1, 81), 1), np.round(random.normal(0, 1, 81), 1)
    one, other = (Measured(np.array([np.median(side)]), side[None], "median", 81) for side in (a, b))
    expected = compare_scores(one, other, np.random.default_rng(1)).p
    assert by_medians(a, b) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("basis", ["pseudo-values", "replicates"])
@pytest.mark.parametrize("effect", [0.0, 0.01, 0.2])
def test_errors_agree_with_the_paired_test(basis, effect):
    random = np.random.default_rng(8)
    parts = random.normal(0, 0.5, (2, 60))
    sides = [score(f"x{i}", value, basis, n=60) for i, value in enumerate((0.5 + effect, 0.5))]
    one, other = (
        Measured(np.array([side.value]), row[None], basis, 60) for side, row in zip(sides, parts, strict=True)
    )
    expected = compare_scores(one, other, np.random.default_rng(1)).p
    assert by_error(*sides, *parts) == pytest.approx(expected, rel=1e-6)


@given(st.integers(0, 1000), st.integers(-20, 20))
def test_a_sign_flip_knows_no_unit_and_no_side(seed, exponent):
    differences = np.random.default_rng(seed).normal(0.1, 1, 30)
    (p,) = sign_flip([differences])
    assert sign_flip([differences * 2.0**exponent, -differences]) == [p, p]
    assert 0 < p <= 1
    missing = np.append(differences, np.nan)
    assert sign_flip([np.append(differences, 0.0)]) == sign_flip([missing])


def test_equal_rows_have_no_difference_and_two_identities_show_none():
    assert sign_flip([np.zeros(9), np.full(9, 1e-300)])[0] == 1.0
    assert sign_flip([np.ones(2)])[0] > 0.4  # one sign in two is as far
    assert by_medians(np.ones(5), np.ones(5)) == 1.0
    assert by_medians(np.array([1.0, np.nan]), np.array([np.nan, 1.0])) is None
    assert sign_flip([]) == []


def score(metric, value, basis="mean", n=40, higher=True):
    return ScoreRecord(
        metric=metric,
        version=1,
        extractor=JUDGE,
        extractor_role="judge",
        value=value,
        n=n,
        interval=(value - 0.02, value + 0.02),
        higher_is_better=higher,
        basis=basis,
    )


def two_systems(folder, shift=0.2, other_identities=False):
    """`one` is the reference; `two` is better by `shift` in one metric and the same in the other."""
    random = np.random.default_rng(2)
    first = random.random((40, 2))
    second = first + np.array([shift, 0]) + random.normal(0, 0.01, (40, 2))
    made = []
    for name, values in (("one", first), ("two", second)):
        scores = [score("recall@10/g100", values[:, 0].mean()), score("mrr/full", values[:, 1].mean())]
        names = [f"{'x' * (other_identities and name == 'two')}{i}" for i in range(40)]
        frame = pd.DataFrame(
            {"identity": names, **{f"{s.metric}|{JUDGE}": v for s, v in zip(scores, values.T, strict=True)}}
        )
        made.append(load(save(record(name, scores=scores), folder, frame)))
    return made


def test_marks_are_q_values_over_the_metrics_of_the_table(tmp_path):
    one, two = two_systems(tmp_path)
    pairs = list(zip(two.scores, one.scores, strict=True))
    q = q_values(ValuesOf(two), ValuesOf(one), pairs)
    frames = [made.per_identity().drop(columns="identity").to_numpy() for made in (two, one)]
    expected = stats.false_discovery_control(sign_flip(list((frames[0] - frames[1]).T)))
    np.testing.assert_allclose(q, expected)
    assert q[0] < 0.01
    (table,) = html_tables(groups([one, two])[0])
    assert table.reference == "one"
    reference, other = table.rows
    assert (reference.reference, other.reference) == (True, False)
    assert [cell.mark for cell in reference.cells] == [None, None]
    assert other.cells[0].mark == "better"
    assert other.cells[0].in_words == "q < .001"
    assert table.tested
    assert other.cells[1].mark is None


def test_a_lower_number_is_better_where_the_metric_says_so():
    low, high = score("median-rank/full", 10, higher=False), score("median-rank/full", 20, higher=False)
    assert direction(low, high, 0.01) == "better"
    assert direction(high, low, 0.01) == "worse"
    assert direction(high, low, 0.05) is None
    assert direction(high, low, None) is None


def test_other_identities_and_lost_bases_are_not_paired(tmp_path):
    one, two = two_systems(tmp_path, other_identities=True)
    pairs = list(zip(two.scores, one.scores, strict=True))
    assert q_values(ValuesOf(two), ValuesOf(one), pairs) == [None, None]
    one, two = two_systems(tmp_path)
    old = [score.model_copy(update={"basis": None}) for score in one.scores]
    assert q_values(ValuesOf(two), ValuesOf(one), list(zip(two.scores, old, strict=True))) == [None, None]
    assert q_values(ValuesOf(two), ValuesOf(one), [(None, one.scores[0])]) == [None]
