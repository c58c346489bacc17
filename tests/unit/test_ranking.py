"""Ranks of systems: as sure as the seeds and the people allow, and no surer."""

from __future__ import annotations

import numpy as np
import pytest

from sf2f_bench.results.ranking import Ranks, ranks
from sf2f_bench.results.records import load, save
from sf2f_bench.results.selection import groups
from tests.unit.record_factory import record
from tests.unit.test_marks import trained


def ranks_of(records) -> dict[str, Ranks]:
    (group,) = groups(records)
    return ranks(group)


def field(folder, levels, seeds=3):
    return [trained(folder, name, level, seed) for name, level in levels.items() for seed in range(seeds)]


def test_systems_that_differ_have_one_rank_each(tmp_path):
    found = ranks_of(field(tmp_path, {"low": 0.0, "high": 1.0, "middle": 0.5}))
    assert found == {"high": (1, 1), "middle": (2, 2), "low": (3, 3)}
    assert [str(one) for one in (found["high"], Ranks(1, 3))] == ["1", "1–3"]


def test_systems_that_do_not_differ_share_their_ranks(tmp_path):
    found = ranks_of(field(tmp_path, {"low": 0.0, "one": 1.0, "other": 1.0}))
    assert found == {"one": (1, 2), "other": (1, 2), "low": (3, 3)}


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_rank_nobody(tmp_path, seeds):
    assert ranks_of(field(tmp_path, {"low": 0.0, "high": 1.0}, seeds)) == {}


def test_a_system_with_too_few_seeds_has_no_rank_and_leaves_the_others_theirs(tmp_path):
    made = [*field(tmp_path, {"low": 0.0, "high": 1.0}), trained(tmp_path, "alone", 0.5)]
    assert ranks_of(made) == {"high": (1, 1), "low": (2, 2)}


def test_ablations_and_anchors_have_no_rank(tmp_path):
    made = [*field(tmp_path, {"low": 0.0}), record("chance", 0.1, "own")]
    assert set(ranks_of(made)) == {"low"}


def test_other_people_are_not_ranked(tmp_path):
    made = field(tmp_path, {"low": 0.0})
    made += [trained(tmp_path, "high", 1.0, seed, others="x") for seed in range(3)]
    assert set(ranks_of(made).values()) == {(1, 2)}


def test_where_less_is_better_the_least_is_first(tmp_path):
    def turned(made):
        scores = tuple(score.model_copy(update={"higher_is_better": False}) for score in made.scores)
        again = save(
            made.model_copy(update={"scores": scores}),
            tmp_path,
            made.per_identity(),
            replicates=made.replicates(),
        )
        return load(again)

    found = ranks_of([turned(made) for made in field(tmp_path, {"low": 0.0, "high": 1.0})])
    assert found == {"low": (1, 1), "high": (2, 2)}


def test_equal_systems_are_told_apart_as_rarely_as_promised(tmp_path):
    """Three systems of one level: a false order in 5 % of all trials. More than 9 of 60 happen once in 1,000 times."""
    wrong = 0
    for trial in range(60):
        found = ranks_of(
            field(tmp_path / str(trial), dict.fromkeys((f"a{trial}", f"b{trial}", f"c{trial}"), 0.0))
        )
        wrong += any(one != (1, 3) for one in found.values())
    assert wrong <= 9, f"{wrong} of 60"


def test_the_true_order_is_within_the_ranks(tmp_path):
    """Of systems whose levels lie close together, each true rank is among those that are left open."""
    kept = []
    for trial in range(20):
        names = [f"{letter}{trial}" for letter in "abcd"]
        levels = dict(zip(names, np.linspace(0.15, 0.0, 4), strict=True))
        found = ranks_of(field(tmp_path / str(trial), levels))
        kept += [found[name].best <= place <= found[name].worst for place, name in enumerate(names, start=1)]
    assert np.mean(kept) >= 0.9
