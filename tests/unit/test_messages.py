"""What pictures draw of several training seeds, and what their texts say: the numbers of the records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from record_factory import ANCHORS, JUDGE, KS, full_bench, full_record, record, saved

from sf2f_bench.report import write_report
from sf2f_bench.report.curve_plots import Curve, _of_det, recall_figure, seed_curves
from sf2f_bench.report.joined import Joined, joined, landmarks, measured, systems
from sf2f_bench.report.pictures import FIGURES, MESSAGES
from sf2f_bench.results.records import ScoreRecord, load, save
from sf2f_bench.results.seed_runs import systems_of
from sf2f_bench.results.selection import groups
from sf2f_bench.statistics.paired import seeds_interval
from tests.unit.test_marks import trained


@pytest.fixture(scope="module")
def everything():
    (group,) = groups(full_bench())
    return group


def score(value, interval):
    return ScoreRecord(
        metric="recall@10/g100",
        version=1,
        extractor=None,
        extractor_role="none",
        value=value,
        n=10,
        interval=interval,
        higher_is_better=True,
    )


@given(st.lists(st.tuples(st.floats(0.2, 0.8), st.floats(0, 0.2), st.booleans()), min_size=1, max_size=5))
def test_seeds_are_joined_from_the_lowest_to_the_highest_bound(seeds):
    scores = [score(value, (value - half, value + half) if known else None) for value, half, known in seeds]
    one = joined(scores)
    assert one.value == pytest.approx(np.mean([value for value, _, _ in seeds]))
    assert one.low == min(value - half if known else value for value, half, known in seeds)
    assert one.high == max(value + half if known else value for value, half, known in seeds)
    assert one.seeds == tuple(value for value, _, _ in seeds)
    assert one.low <= one.value + 1e-12
    assert one.value <= one.high + 1e-12


def test_other_units_may_turn_a_number_round():
    assert Joined(1.0, 0.5, 2.0, (1.0,)).times(-2) == Joined(-2.0, -4.0, -1.0, (-2.0,))


def test_systems_stand_best_first_and_anchors_in_few_words(everything):
    assert [row.name for row in systems(everything)] == ["sf2f-64", "voice2face-64"]
    assert [row.index for row in systems(everything)] == [0, 1]
    assert [row.name for row in landmarks(everything)] == [
        "chance",
        "knowing only the gender",
        "a straight line from the voice",
        "another photo",
    ]
    assert list(measured(everything, "stratum")) == ["G", "A", "GNA"]


def test_widths_that_differ_stay_in_the_names():
    (group,) = groups([record("sf2f-64", width=0.25), record("voice2face-64", 0.2, width=0.5)])
    assert [row.name for row in systems(group)] == ["sf2f-64 (width 0.25)", "voice2face-64 (width 0.5)"]


def test_a_budget_is_named_where_it_is_not_that_of_most():
    made = [record("sf2f-64", seed=seed, key=f"{seed}") for seed in (0, 1)]
    (group,) = groups([*made, record("sf2f-64", 0.5, budget="long", key="long")])
    assert {row.name: len(row.entries) for row in systems(group)} == {"sf2f-64 (long)": 1, "sf2f-64": 2}
    (axes,) = recall_figure(group).axes
    assert "of budget default where no other is named" in axes.figure.texts[1].get_text().replace("\n", " ")


def test_chance_is_as_the_metrics_cards_state_it_where_no_anchor_stands_for_it():
    (group,) = groups([record()])
    (chance,) = landmarks(group)
    assert (chance.name, chance.entries, chance.headline(group).value) == ("chance", (), 0.1)


def test_the_lines_and_bands_of_recall_are_the_seeds_means_and_bounds(everything):
    (axes,) = recall_figure(everything).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert set(lines) == {row.name for row in (*systems(everything), *landmarks(everything))}
    seeds = [row.record for row in everything.systems if row.record.system.name == "sf2f-64"]
    found = [
        [
            next(s for s in one.scores if s.metric == f"recall@{k}/g100" and s.extractor_role == "judge")
            for k in KS
        ]
        for one in seeds
    ]
    values = np.array([[one.value for one in row] for row in found])
    np.testing.assert_allclose(lines["sf2f-64"], values.mean(axis=0))
    bounds = np.array([[one.interval for one in row] for row in found])
    band = next(one for one in axes.collections).get_paths()[0].vertices
    for i, k in enumerate(KS):
        heights = band[np.isclose(band[:, 0], k), 1]
        assert (heights.min(), heights.max()) == pytest.approx((bounds[:, i, 0].min(), bounds[:, i, 1].max()))


def test_curves_of_seeds_are_joined_at_the_same_ranks(tmp_path):
    made = []
    for seed, shares in enumerate(([0.1, 0.4, 1.0], [0.3, 0.6, 1.0])):
        one = record(seed=seed, key=f"{seed}")
        curves = pd.DataFrame(
            {
                "false_accepts": [0.0, 0.5, 1.0],
                "false_rejects": [1.0, 0.2 * (1 + seed), 0.0],
                "rank": [1.0, 2.0, 3.0],
                "identified": shares,
            }
        )
        values = pd.DataFrame({"identity": ["a", "b"]})
        made.append(load(save(one, tmp_path, values, det_cmc=curves)))
    (group,) = groups(made)
    ((drawn, curve),) = seed_curves(group, "rank", "identified").items()
    assert drawn.name == "sf2f-64"
    np.testing.assert_allclose(curve.middle, [0.2, 0.5, 1.0])
    np.testing.assert_allclose(curve.low, [0.1, 0.4, 1.0])
    np.testing.assert_allclose(curve.high, [0.3, 0.6, 1.0])
    assert MESSAGES["cmc"](group).startswith("Share of identities found up to rank 1 of all: sf2f-64 .20")
    assert MESSAGES["det"](group).startswith(
        "False reject rate at a false accept rate of .01 and .10: sf2f-64 .99 and .86"
    )


def test_a_curve_ends_where_the_picture_does():
    rates = np.array([0.1, 0.2, 0.4, 0.8])
    misses = np.array([0.9, 0.5, 0.3, 0.1])
    cut = _of_det(Curve(rates, misses, misses, misses))
    assert (cut.places[-1], cut.middle[-1]) == pytest.approx((0.5, 0.25))
    early = np.array([0.9, 0.5, 0.0, 0.0])
    cut = _of_det(Curve(rates, early, early, early))
    assert (cut.places[-1], cut.middle[-1]) == pytest.approx((0.2 + 0.2 * 0.49 / 0.5, 0.01))
    assert _of_det(Curve(rates, 0 * rates, 0 * rates, 0 * rates)) is None


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize("name", ["answer", "recall", "lengths", "strata", "metrics", "scatter"])
def test_a_text_says_every_systems_headline_and_chance(everything, name):
    words = MESSAGES[name](everything)
    assert "sf2f-64 " in words
    assert ".39" in words  # the mean of .365 and .420
    assert "voice2face-64 " in words
    assert ".16" in words
    assert "chance " in words
    assert ".10" in words


def test_texts_have_the_numbers_in_the_words_of_the_field(everything):
    assert MESSAGES["answer"](everything) == (
        "recall@10 in galleries of 100: sf2f-64 .39 (.30 to .48, 2 seeds), voice2face-64 .16 (.10 to .23); chance .10, "
        "knowing only the gender .20, a straight line from the voice .66, another photo 1.0."
    )
    assert (
        "of everybody, within one gender, within one age and within all three: sf2f-64 .39, within one gender .28"
        in (MESSAGES["strata"](everything))
    )
    assert "after 1.25 s and after 25 s: sf2f-64 .24 and .39" in MESSAGES["lengths"](everything)
    assert "sf2f-64 without image GAN .33 (.27 to .40); chance .10" in MESSAGES["ablations"](everything)
    assert "The best in the other panels: recall@10 full sf2f-64 .157; median rank sf2f-64 92.1" in (
        MESSAGES["metrics"](everything)
    )


def test_texts_follow_the_records():
    made = [record(name, recall, how) for name, (recall, how) in ANCHORS.items()]
    (one,), (other,) = (groups([*made, record("sf2f-64", recall)]) for recall in (0.31, 0.47))
    for name in ("answer", "recall", "metrics", "scatter"):
        assert ".31" in MESSAGES[name](one)
        assert ".31" not in MESSAGES[name](other)
        assert ".47" in MESSAGES[name](other)


def test_the_page_and_the_files_say_the_message(tmp_path):
    made = [saved(full_record(name, *ANCHORS[name]), tmp_path / "r") for name in ("chance", "mean-face")]
    made.append(saved(full_record("sf2f-64", 0.365, width=0.25), tmp_path / "r", curve=True))
    write_report(made, tmp_path / "out")
    (group,) = groups(made)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    brief = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    shown = [name for name in FIGURES if (tmp_path / "out" / f"synthetic-64-{name}.svg").exists()]
    assert {"answer", "recall", "lengths", "strata", "scatter", "metrics", "training"} == set(shown)
    for name in shown:
        words = MESSAGES[name](group)
        assert f'alt="{words}"' in page
        assert words.replace("|", "\\|") in brief.replace("\\", "")
        assert words in (tmp_path / "out" / f"synthetic-64-{name}.svg").read_text(encoding="utf-8")
        with Image.open(tmp_path / "out" / f"synthetic-64-{name}.png") as image:
            assert image.text["Title"] == words


def test_three_seeds_have_an_interval_for_new_seeds_and_two_the_hull_of_theirs(tmp_path):
    made = [trained(tmp_path, "a", 0.0, seed) for seed in range(3)]
    (group,) = groups(made)
    (row,) = systems(group)
    one = row.headline(group)
    runs = systems_of(group)["a"]
    values = np.stack([frame[f"recall@10/g100|{JUDGE}"] for frame in runs.values])
    assert (one.low, one.high) == pytest.approx(seeds_interval(values, (0.0, 1.0))[1])
    (group,) = groups(made[:2])
    (row,) = systems(group)
    bounds = [score.interval for entry in row.entries if (score := entry.score("recall@10/g100"))]
    two = row.headline(group)
    assert (two.low, two.high) == (min(low for low, _ in bounds), max(high for _, high in bounds))
