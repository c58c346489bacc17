"""Marks of a page: the tests of `statistics.paired`, all seeds together, in the direction the metric says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sf2f_bench.report.marks import (
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
from sf2f_bench.statistics.intervals import half_samples
from tests.unit.record_factory import JUDGE, record

N = 40
BASES = {  # metric -> (basis, is more better)
    "recall@10/g100": ("mean", True),
    "median-rank/full": ("median", False),
    "diversity": ("pseudo-values", True),
    "frechet-distance": ("replicates", False),
}


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
    """Verdicts over all metrics, of two systems by name; None where they do not pair."""
    found = systems(made)
    compared = differences(found[name], found[reference])
    return [one.verdict if (one := compared.get((metric, JUDGE))) else None for metric in BASES]


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
        ((0, 1, 2), (0, 1, 2), "system"),
        ((0, 1, 2), (3, 4, 5, 6), "system"),
        ((0,), (0, 1, 2), "anchor"),
    ],
)
def test_marks_agree_with_compare_whatever_metrics_a_table_shows(tmp_path, mine, theirs, kind):
    name = "voice2face-64" if kind == "system" else "nearest-training-face"
    made = [trained(tmp_path, name, 0.3, seed, kind=kind) for seed in mine]
    made += [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in theirs]
    (comparison,) = compare(name, "sf2f-64", tmp_path)
    assert all_differences(made, name, "sf2f-64") == [line.verdict for line in comparison.metrics]
    (group,) = groups(made)
    marks = {}
    for table in marked_tables(group):
        row = next(row for row in table.rows if row.entry.record.system.name == name)
        marks |= {column.metric: cell.mark for column, cell in zip(table.columns, row.cells, strict=True)}
    for line in comparison.metrics:
        direction = line.verdict if line.verdict in ("better", "worse") else None
        assert marks[line.metric].direction == direction
    assert {mark.direction for mark in marks.values()} & {"better", "worse"}


@pytest.mark.parametrize(("mine", "theirs"), [((0,), (0,)), ((0, 1), (0, 1)), ((0, 1), (0, 1, 2))])
def test_with_fewer_than_three_seeds_a_side_nothing_is_marked(tmp_path, mine, theirs):
    made = [trained(tmp_path, "voice2face-64", 0.5, seed) for seed in mine]
    made += [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in theirs]
    assert all_differences(made, "voice2face-64", "sf2f-64") == [None] * 4
    table = marked_tables(groups(made)[0])[0]
    assert {cell.mark for row in table.rows for cell in row.cells} == {None}
    assert "only with three training seeds a side" in table.seeds


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


def test_what_does_not_pair_is_not_marked(tmp_path):
    def voice2face(folder, **changes):
        return [trained(folder, "voice2face-64", 0.5, seed, **changes) for seed in range(3)]

    here = [trained(tmp_path, "sf2f-64", 0.0, seed) for seed in range(3)]
    whole = voice2face(tmp_path)
    lacking = trained(tmp_path / "lacking", "voice2face-64", 0.5, 2, without=("recall@10/g100",))
    found = all_differences([*here, *whole[:2], lacking], "voice2face-64", "sf2f-64")
    assert [one is None for one in found] == [True, False, False, False]
    apart = voice2face(tmp_path / "apart", others="x")
    assert all_differences([*here, *apart], "voice2face-64", "sf2f-64") == [None] * 4
    unsaved = [record("voice2face-64", scores=here[0].scores, seed=seed) for seed in range(3)]
    assert all_differences([*here, *unsaved], "voice2face-64", "sf2f-64") == [None] * 4


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
    found = sides(tmp_path, a=3, b=4, chance=1)
    assert seeds_in_words(found["b"], found["a"]) == "4 seeds against 3"
    assert seeds_in_words(found["chance"], found["a"]) == "the mean of 3 seeds"


def test_the_legend_says_what_the_seeds_allow(tmp_path):
    found = sides(tmp_path, a=3, b=4, c=1, chance=1)
    alone = what_marks_say([found["a"], found["chance"]], found["c"])
    assert alone.startswith("Better or worse than the reference (1 seeds) is marked only with three")
    both = what_marks_say([found["b"], found["chance"]], found["a"])
    assert "(4 here) are compared with all of the reference's (3)" in both
    assert "only with three" not in both
    mixed = what_marks_say([found["b"], found["c"]], found["a"])
    assert "(1 or 4 here) are compared with all of the reference's (3)" in mixed
    assert "only with three training seeds a side (1 or 4 here)" in mixed
