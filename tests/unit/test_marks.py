"""Marks of a page: the tests of `statistics.paired`, all seeds together, in the direction the metric says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_factory import JUDGE, record
from scipy import stats

from sf2f_bench.report.marks import (
    Difference,
    differences,
    marked_tables,
    seeds_in_words,
    what_marks_say,
)
from sf2f_bench.results.compare import compare
from sf2f_bench.results.numbers import number
from sf2f_bench.results.records import ScoreRecord, load, save
from sf2f_bench.results.seed_runs import seed_runs
from sf2f_bench.results.selection import groups
from sf2f_bench.statistics import intervals as own_stats
from sf2f_bench.statistics.exchanges import by_medians, p_values, sign_flip
from sf2f_bench.statistics.intervals import half_samples
from sf2f_bench.statistics.paired import Measured, compare_scores

N = 40
BASES = {  # metric -> (basis, is more better)
    "recall@10/g100": ("mean", True),
    "median-rank/full": ("median", False),
    "diversity": ("pseudo-values", True),
    "frechet-distance": ("replicates", False),
}


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05, 0.3])
def test_sign_flips_agree_with_the_paired_test(shift):
    random = np.random.default_rng(5)
    a, b = random.normal(shift, 0.3, 120), random.normal(0, 0.3, 120)
    (p,) = sign_flip([a - b], 120)
    expected = own_stats.paired_difference(a, b, np.random.default_rng(1))[2]
    assert p == pytest.approx(expected, abs=0.04)  # both draw 2,000 permutations


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_medians_agree_with_the_paired_test(shift):
    random = np.random.default_rng(3)
    a, b = np.round(random.normal(shift, 1, 81), 1), np.round(random.normal(0, 1, 81), 1)
    one, other = (Measured(np.array([np.median(side)]), side[None], "median", 81) for side in (a, b))
    expected = compare_scores(one, other, np.random.default_rng(1)).p
    assert by_medians(a, b) == pytest.approx(expected, abs=0.05)
    assert p_values([(one, other)], 81) == [by_medians(a, b)]


@given(st.integers(0, 1000), st.integers(-20, 20))
def test_a_sign_flip_knows_no_unit_and_no_side(seed, exponent):
    values = np.random.default_rng(seed).normal(0.1, 1, 30)
    (p,) = sign_flip([values], 30)
    assert sign_flip([values * 2.0**exponent, -values], 30) == [p, p]
    assert 0 < p <= 1
    assert sign_flip([np.append(values, 0.0)], 31) == sign_flip([values], 31)


def test_equal_rows_have_no_difference_and_two_identities_show_none():
    assert sign_flip([np.zeros(9), np.full(9, 1e-300)], 9)[0] == 1.0
    assert sign_flip([np.ones(2)], 2)[0] > 0.4  # one sign in two is as far
    assert by_medians(np.ones(5), np.ones(5)) == 1.0
    assert sign_flip([], 5) == []


# ---------------------------------------------------------------- records


def trained(folder, name, level, seed=0, without=(), budget="default", kind="system", others=""):
    """A saved record of every basis: the same easy and hard identities, a system's level, a training's luck."""
    easy = np.random.default_rng(1).random(N)
    random = np.random.default_rng([seed, *name.encode()])
    values = easy + level + 0.05 * random.standard_normal() + 0.2 * random.random((len(BASES), N))
    scores, columns, halves = [], {}, {}
    for (metric, (basis, higher)), parts in zip(BASES.items(), values, strict=True):
        if metric in without:
            continue
        value = float(np.median(parts) if basis == "median" else parts.mean())
        column = f"{metric}|{JUDGE}"
        if basis == "replicates":
            halves[column] = parts[half_samples(N)].mean(axis=1)
        else:
            columns[column] = parts
        scores.append(score(metric, value, basis, higher))
    made = record(name, scores=scores, seed=seed, budget=budget, kind=kind)
    frame = pd.DataFrame({"identity": [f"{others}{i:02d}" for i in range(N)], **columns})
    return load(save(made, folder, frame, replicates=pd.DataFrame(halves)))


def score(metric, value, basis="mean", higher=True):
    return ScoreRecord(
        metric=metric,
        version=1,
        extractor=JUDGE,
        extractor_role="judge",
        value=value,
        n=N,
        interval=(value - 0.02, value + 0.02),
        higher_is_better=higher,
        basis=basis,
    )


def all_differences(made, name, reference):
    """Over all metrics, of two systems by name."""
    found = systems(made)
    keys = [(metric, JUDGE) for metric in BASES]
    return differences(found[name], found[reference], [(key, key) for key in keys])


def systems(made):
    """The runs of every system by its name."""
    (group,) = groups(made)
    return {
        entries[0].record.system.name: seed_runs([entry.record for entry in entries])
        for entries in group.by_system.values()
    }


@pytest.mark.parametrize(
    ("mine", "theirs", "kind"),
    [
        ((0, 1), (0, 1), "system"),
        ((0, 1), (2, 3, 4), "system"),
        ((0,), (0, 1), "system"),
        ((0, 1), (5,), "system"),
        ((0,), (0, 1), "anchor"),
        ((0,), (0, 1, 2), "anchor"),
        ((0, 1, 2), (0, 1, 2), "system"),
        ((0,), (0,), "system"),
        ((0,), (0,), "anchor"),
    ],
)
@pytest.mark.parametrize("shift", [0.02, 0.4])
def test_marks_agree_with_compare(tmp_path, mine, theirs, kind, shift):
    name = "voice2face-64" if kind == "system" else "nearest-training-face"
    made = [trained(tmp_path, name, shift, seed, kind=kind) for seed in mine]
    made += [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in theirs]
    (comparison,) = compare(name, "sf2f-64", tmp_path)
    lines = {line.metric: line for line in comparison.metrics}
    drawn = (
        len(mine) == len(theirs) == 1
    )  # one seed's means and medians by 2,000 random exchanges on either way
    found = all_differences(made, name, "sf2f-64")
    for (metric, (_, higher)), difference in zip(BASES.items(), found, strict=True):
        line = lines[metric]
        assert difference.q == pytest.approx(line.q, abs=0.05 if drawn else 1e-9)
        assert (difference.value, difference.reference) == pytest.approx((line.a, line.b))
        if not drawn or shift == 0.4:
            assert (difference.direction(higher) or "no difference shown") == line.verdict


def test_one_seed_shows_what_two_that_differ_do_not(tmp_path):
    """Seeds that move a system by more than another system does: the reason why seeds stand together."""
    one = [trained(tmp_path / "one", "sf2f-64", 0.0), trained(tmp_path / "one", "voice2face-64", 0.1)]
    assert all_differences(one, "voice2face-64", "sf2f-64")[0].direction(True) == "better"
    two = [
        trained(tmp_path / "two", name, level, seed)
        for name, levels in (("sf2f-64", (0.0, 0.3)), ("voice2face-64", (0.1, 0.2)))
        for seed, level in enumerate(levels)
    ]
    assert [found.direction(True) for found in all_differences(two, "voice2face-64", "sf2f-64")] == [None] * 4


def test_every_row_of_a_system_bears_its_mark_and_the_reference_none(tmp_path):
    made = [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in range(4)]
    made += [trained(tmp_path, "voice2face-64", 0.5, seed) for seed in range(4)]
    table = marked_tables(groups(made)[0])[0]
    assert table.reference == "sf2f-64 (width 0.25)"
    assert [row.is_reference for row in table.rows] == [True] * 4 + [False] * 4
    assert {cell.mark for row in table.rows[:4] for cell in row.cells} == {None}  # it is not tested
    directions = {tuple(cell.mark.direction for cell in row.cells) for row in table.rows[4:]}
    assert directions == {("better", "worse")}
    (words,) = {row.cells[0].mark.words for row in table.rows[4:]}
    mine, theirs = (
        np.mean([row.cells[0].score.value for row in rows]) for rows in (table.rows[4:], table.rows[:4])
    )
    numbers = " against ".join(number(value, "share", 3) for value in (mine, theirs))
    assert words.startswith(f"better than sf2f-64 (width 0.25): {numbers}; 4 seeds against 4; q ")
    (line,) = {cell.bar.reference for row in table.rows for cell in row.cells[:1]}
    values = sorted(row.cells[0].bar.at for row in table.rows[:4])
    assert values[0] < line < values[-1]


def test_marks_are_q_values_over_the_metrics_of_the_table(tmp_path):
    made = [trained(tmp_path, "one", 0.0), trained(tmp_path, "two", 0.2)]
    frames = [one.per_identity() for one in made]
    column = f"recall@10/g100|{JUDGE}"
    p = sign_flip([(frames[1][column] - frames[0][column]).to_numpy()], N)
    p.append(by_medians(*(frame[f"median-rank/full|{JUDGE}"].to_numpy() for frame in frames[::-1])))
    retrieval = marked_tables(groups(made)[0])[0]
    assert [column.heading for column in retrieval.columns] == ["recall@10 g100", "median rank"]
    assert retrieval.reference == "one"
    marked = retrieval.rows[1].cells
    assert [cell.mark.direction for cell in marked] == ["better", "worse"]
    q = stats.false_discovery_control(p)
    assert max(q) < 0.001
    assert marked[0].mark.words == "better than one; these two trained models alone; q < .001"


def test_a_lower_number_is_better_where_the_metric_says_so():
    low = Difference(10, 20, 0.01)
    assert (low.direction(False), low.direction(True)) == ("better", "worse")
    assert Difference(20, 10, 0.01).direction(False) == "worse"
    assert Difference(20, 10, 0.05).direction(False) is None
    assert Difference(10, 10, 0.0).direction(True) is None


def test_what_does_not_pair_is_not_marked(tmp_path):
    here = [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in (0, 1)]
    lacking = trained(tmp_path / "lacking", "voice2face-64", 0.5, 1, without=("recall@10/g100",))
    found = all_differences(
        [*here, trained(tmp_path, "voice2face-64", 0.5), lacking], "voice2face-64", "sf2f-64"
    )
    assert [difference is None for difference in found] == [True, False, False, False]
    apart = trained(tmp_path / "apart", "voice2face-64", 0.5, others="x")
    assert all_differences([*here, apart], "voice2face-64", "sf2f-64") == [None] * 4
    unsaved = record("voice2face-64", scores=here[0].scores)
    assert all_differences([*here, unsaved], "voice2face-64", "sf2f-64") == [None] * 4
    lost = [one.model_copy(update={"basis": None, "value": one.value + 1}) for one in here[0].scores]
    other = save(record("voice2face-64", scores=lost), tmp_path / "lost", here[0].per_identity())
    assert all_differences([*here, load(other)], "voice2face-64", "sf2f-64") == [None] * 4


def test_budgets_are_systems_of_their_own(tmp_path):
    made = [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in (0, 1)]
    made.append(trained(tmp_path, "sf2f-64", 0.4, 0, budget="smoke"))
    (group,) = groups(made)
    assert {name: len(entries) for name, entries in group.by_system.items()} == {
        "sf2f-64 (width 0.25), budget default": 2,
        "sf2f-64 (width 0.25), budget smoke": 1,
    }
    assert marked_tables(group)[0].reference == "sf2f-64 (width 0.25), budget default"


# ---------------------------------------------------------------- words


def sides(folder, **seeds):
    """Systems with so many training seeds; `anchor` trains nothing."""
    made = [
        trained(folder, name, 0.0, seed, kind="anchor" if name == "chance" else "system")
        for name, count in seeds.items()
        for seed in range(count)
    ]
    return systems(made)


def test_how_many_seeds_stand_on_each_side_is_said(tmp_path):
    found = sides(tmp_path, a=2, b=2, c=1, d=1, chance=1)
    said = {
        (one, other): seeds_in_words(found[one], found[other])
        for one, other in ("ab", "ac", "ca", "cd", ("chance", "a"), ("chance", "c"))
    }
    assert said == {
        ("a", "b"): "2 seeds against 2",
        ("a", "c"): "2 seeds against 1",
        ("c", "a"): "1 seed against 2",
        ("c", "d"): "these two trained models alone",
        ("chance", "a"): "the mean of 2 seeds",
        ("chance", "c"): "that trained model alone",
    }


def test_the_legend_says_what_the_seeds_allow(tmp_path):
    found = sides(tmp_path, a=2, b=3, c=1, d=1, chance=1)
    alone = what_marks_say([found["d"], found["chance"]], found["c"])
    assert "trained models alone, with one training seed each" in alone
    assert what_marks_say([found["chance"]], found["c"]) == alone
    both = what_marks_say([found["b"], found["chance"]], found["a"])
    assert "(3 here) are compared with all of the reference's (2)" in both
    assert "single" not in both
    mixed = what_marks_say([found["a"], found["d"]], found["c"])
    assert "(1 or 2 here) are compared with all of the reference's (1)" in mixed
    assert "assumed to vary as the other side's" in mixed
    assert "One seed against one" in mixed
    assert "system are compared" in what_marks_say([found["chance"]], found["a"])
