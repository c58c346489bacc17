"""Subgroups: their people, their recall and AUC in the gallery of all, and the gap between best and worst."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sf2f_bench.benchmarks import BENCHMARKS
from sf2f_bench.evaluation.test_people import take
from sf2f_bench.metrics.retrieval import Recall
from sf2f_bench.metrics.subgroups import (
    SMALLEST,
    THIRDS,
    auc_of_members,
    gap_between,
    known_subgroups,
    labels_of,
    subgroup_scores,
    thirds,
)
from sf2f_bench.metrics.verification import (
    VerificationAUC,
    verification_auc,
    verification_auc_leave_one_out,
)
from sf2f_bench.protocols.bench.scoring import all_metrics
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.results.recomputation import score_faults
from sf2f_bench.statistics.intervals import pseudo_values
from sf2f_bench.types import Features, Score

METRICS = [Recall(10, 40, "cosine", 10), VerificationAUC()]


def people(n: int, seed: int = 0, noise: float = 1.0) -> tuple[Features, Features]:
    random = np.random.default_rng(seed)
    true = random.standard_normal((n, 8))
    names = tuple(map(str, range(n)))
    nations = [("Ireland", "India", None, "Peru")[i % 20 // 6 if i % 20 < 18 else 3] for i in range(n)]
    labels = labels_of(["fm"[i % 2] for i in range(n)], [20 + i % 50 for i in range(n)], nations)
    made = Features(names, true + noise * random.standard_normal((n, 8)))
    return Features(names, true, subgroups=labels), made


def scores(real: Features, fake: Features) -> dict[str, Score | str]:
    found = subgroup_scores(METRICS, real, fake, lambda _: np.random.default_rng(0))
    return {asked.name: result for asked, result in found}


def test_thirds_hold_people_of_one_age_together():
    assert thirds([20, 30, 40, 50, 60, 70]) == tuple(name for name in THIRDS for _ in range(2))
    assert thirds([30] * 4 + [None]) == (THIRDS[0],) * 4 + (None,)
    assert thirds([None, None]) == (None, None)


def test_recall_of_subgroups_is_the_mean_of_their_people_among_all():
    real, fake = people(200)
    found = scores(real, fake)
    whole = METRICS[0](real, fake, np.random.default_rng(0))
    women, men = found["recall@10/g40/women"], found["recall@10/g40/men"]
    assert (women.n, men.n) == (100, 100)
    assert (women.value + men.value) / 2 == pytest.approx(whole.value)
    assert np.isfinite(women.per_identity).tolist() == [i % 2 == 0 for i in range(200)]
    assert sum(found[f"recall@10/g40/{third}"].n for third in THIRDS) == 200


def test_a_small_subgroup_prints_no_number():
    found = scores(*people(200))
    sizes = [score.n for score in found.values() if isinstance(score, Score)]
    assert min(sizes) >= SMALLEST
    assert "recall@10/g40/Peru" not in found
    assert isinstance(found["recall@10/g40/gap by nationality"], Score)
    few = scores(*people(50))
    assert not any(isinstance(score, Score) for score in few.values())
    assert "fewer than 30 people" in few["verification-auc/gap by gender"]


def test_the_auc_of_members_counts_every_pair_of_theirs():
    real, fake = people(12)
    real_side, fake_side = real.embeddings.round(), fake.embeddings.round()
    members = np.arange(12) % 3 != 0
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (fake_side, real_side)]
    cosines = unit[0] @ unit[1].T

    def by_hand(kept: list[int], everybody: list[int]) -> float:
        wins = [
            (cosines[i, i] > cosines[row, column] + 1e-12)
            + (abs(cosines[i, i] - cosines[row, column]) <= 1e-12) / 2
            for i, row, column in product(kept, kept, everybody)
            if row != column
        ]
        return float(np.mean(wins))

    value, without = auc_of_members(fake_side, real_side, members)
    kept, everybody = list(np.flatnonzero(members)), list(range(12))
    assert value == pytest.approx(by_hand(kept, everybody))
    outside = [i for i in everybody if i not in kept]
    for place, left_out in enumerate(kept):
        rest = [i for i in kept if i != left_out]
        expected = (len(kept) - 1) / 11 * by_hand(rest, rest) + len(outside) / 11 * by_hand(rest, outside)
        assert without[place] == pytest.approx(expected)


def test_what_each_member_adds_has_the_value_as_its_mean():
    """So that `validate` finds no fault: also of one who knows the gender, whom half of the rivals tie with."""
    gender = np.eye(2)[np.arange(70) % 2]
    value, without = auc_of_members(gender, gender, np.arange(70) % 2 == 0)
    assert pseudo_values(value, without).mean() == pytest.approx(value, abs=1e-9)
    real, fake = people(90)
    for asked, score in subgroup_scores(METRICS, real, fake, lambda _: np.random.default_rng(0)):
        found = Scores()
        if isinstance(score, Score):
            found.add(asked, score, SimpleNamespace(id="check"), "judge")
            table = pd.DataFrame({"identity": real.identities, **found.columns})
            assert not list(score_faults(f"{asked.name}|check", found.scores[0], table, None))


def test_all_members_have_the_auc_of_all():
    real, fake = people(60)
    value, without = auc_of_members(fake.embeddings, real.embeddings, np.ones(60, bool))
    pair = fake.embeddings, real.embeddings
    assert value == pytest.approx(verification_auc(*pair))
    assert without == pytest.approx(verification_auc_leave_one_out(*pair))


@pytest.mark.parametrize("groups", [2, 3])
def test_the_gap_covers_the_truth_and_is_zero_at_its_lower_end_for_equal_subgroups(groups):
    covered, shown, difference = [], [], 0.2
    for seed in range(300):
        random = np.random.default_rng(seed)
        drawn = [Score(float(v.mean()), 60, None, v) for v in random.beta(2, 3, (groups, 60))]
        shown.append(gap_between(drawn).interval[0] > 0)
        last = drawn[-1].per_identity + difference
        gap = gap_between([*drawn[:-1], Score(float(last.mean()), 60, None, last)])
        covered.append(gap.interval[0] <= difference <= gap.interval[1])
    assert np.mean(covered) > 0.92
    assert np.mean(shown) < 0.08


def test_intervals_cover_the_auc_of_a_subgroup():
    def auc(seed: int) -> Score:
        return scores(*people(90, seed))["verification-auc/women"]

    expected = np.mean([auc(seed).value for seed in range(1000, 1200)])
    found = [auc(seed).interval for seed in range(120)]
    assert np.mean([low <= expected <= high for low, high in found]) > 0.89


def test_rows_that_are_taken_keep_their_subgroups():
    real, _ = people(40)
    rows = np.arange(40) % 4 == 0
    assert take(real, rows).subgroups["gender"] == ("women",) * 10


def test_a_records_key_knows_them():
    names = {metric.name for metric in all_metrics(BENCHMARKS["synthetic-64"], 300)}
    known = known_subgroups([Recall(10, 100, "cosine", 10), VerificationAUC()])
    assert {one.name for one in known} <= names
    assert "verification-auc/gap by age" in names
