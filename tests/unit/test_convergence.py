"""Whether a training was long enough: the rule, its error rates, and its mark in every table."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sf2f_bench.report.html import html_page
from sf2f_bench.report.latex import latex_file
from sf2f_bench.report.learning_plots import learning_figure, learning_of
from sf2f_bench.report.markdown import markdown_file
from sf2f_bench.report.style import spread
from sf2f_bench.report.tables import tables
from sf2f_bench.report.terminal import print_groups
from sf2f_bench.results.convergence import LAST, still_rising
from sf2f_bench.results.selection import groups
from sf2f_bench.types.curve import CHANCE, GENDER, RECALL, SIMILARITY
from tests.unit.record_factory import record, saved

FLAT = [0.181, 0.249, 0.298, 0.294, 0.315, 0.307, 0.348, 0.348, 0.345, 0.351]  # sf2f-64 over 5,500 steps
SF2F = "sf2f-64"
RISING = [0.095, 0.133, 0.180, 0.204, 0.208, 0.250, 0.255, 0.277, 0.281, 0.301]  # over 1,600


def curve(similarities, stage="generator", recalls=None):
    """Ten validations of a stage of 100 steps of 16 samples, between points that hold a loss alone."""
    steps = np.arange(10, 101, 10)
    losses = pd.DataFrame({"stage": stage, "step": steps - 5, "samples": 16 * (steps - 5), "loss": 1.0})
    similar = pd.DataFrame({"stage": stage, "step": steps, "samples": 16 * steps, SIMILARITY: similarities})
    if recalls is not None:
        similar = similar.assign(**{RECALL: recalls, CHANCE: 0.1, GENDER: 0.2})
    return pd.concat([losses, similar]).sort_values("step", ignore_index=True)


def test_measured_curves_are_told_apart():
    assert still_rising([curve(FLAT)]) is None
    stage, start, end = still_rising([curve(RISING)])
    assert stage == "generator"
    slope, intercept = np.polyfit(range(LAST), RISING[-LAST:], 1)
    assert (start, end) == pytest.approx((intercept, intercept + 3 * slope))


@pytest.mark.parametrize(("seeds", "most"), [(1, 0.02), (3, 0.01)])
def test_a_training_that_has_ended_is_seldom_called_unfinished(seeds, most):
    """Noise as validations of sf2f-64 have it at its full learning rate, .01; at the end of a schedule it is .003."""
    random = np.random.default_rng(0)
    called = [
        still_rising(curve(0.35 + 0.01 * random.standard_normal(10)) for _ in range(seeds))
        for _ in range(400)
    ]
    assert np.mean([rise is not None for rise in called]) < most


def test_a_training_that_still_learns_is_mostly_called_so():
    """A rise of 6 % of the level from one validation to the next, as sf2f-64 has after 1,600 steps."""
    random, line = np.random.default_rng(1), 0.3 + 0.018 * np.arange(-9, 1)
    called = [
        still_rising(curve(line + 0.01 * random.standard_normal(10)) for _ in range(3)) for _ in range(400)
    ]
    assert np.mean([rise is not None for rise in called]) > 0.95


def test_a_system_that_hears_nothing_is_not_called_rising_for_its_noise():
    assert still_rising([curve(np.linspace(0.0, 0.02, 10))]) is None


def test_every_stage_counts_and_short_ones_do_not():
    both = pd.concat([curve(RISING, "first"), curve(FLAT, "second")])
    assert still_rising([both]).stage == "first"
    assert still_rising([curve(RISING).tail(3)]) is None
    assert still_rising([curve(FLAT).drop(columns=SIMILARITY)]) is None
    assert still_rising([]) is None


def with_curve(name, found, folder, recall=0.3, **changes):
    made = saved(record(name, recall, **changes), folder, curve=True)
    found.to_csv(made.path_of("curve"), index=False)
    return made


def test_every_table_and_form_of_the_report_marks_it(tmp_path):
    made = [
        with_curve("sf2f-64", curve(RISING), tmp_path),
        with_curve("voice2face-64", curve(FLAT), tmp_path, 0.2),
    ]
    found = groups(made)
    (group,) = found
    for table in tables(group):
        assert [row.label.endswith(" †") for row in table.rows] == ["sf2f" in row.label for row in table.rows]
    said = io.StringIO()
    print_groups(found, Console(file=said, width=100))
    for text in (said.getvalue(), markdown_file(found, [{}]), html_page(found, [{}]), latex_file(found)):
        assert "†" in text
    (note,) = [line for line in markdown_file(found, [{}]).splitlines() if "not converged" in line]
    assert "sf2f-64 (width 0.25) from .257 to .300 (generator)" in note
    assert "voice2face" not in note


def test_seeds_are_judged_together(tmp_path):
    """One seed that rises by luck does not make its system unfinished."""
    made = [
        with_curve("sf2f-64", curve(similarities), tmp_path, seed=seed)
        for seed, similarities in enumerate([FLAT, [*FLAT[:-1], 0.4], FLAT])
    ]
    assert still_rising([made[1].curve()]) is not None
    (group,) = groups(made)
    assert not any("†" in row.label for table in tables(group) for row in table.rows)


# ---------------------------------------------------------------- learning curves


def test_samples_and_minutes_of_all_stages_add_up(tmp_path):
    recalls = np.linspace(0.1, 0.4, 10)
    both = pd.concat([curve(FLAT, "first").drop(columns=SIMILARITY), curve(FLAT, "second", recalls)])
    made = with_curve("sf2f-64", both, tmp_path)
    cost = made.cost.model_copy(update={"stage_seconds": {"first": 60.0, "second": 120.0}})
    learnt = learning_of(made.model_copy(update={"cost": cost}))
    assert learnt.samples == pytest.approx(1600 + 160 * np.arange(1, 11))
    assert learnt.minutes == pytest.approx(1 + 2 * np.arange(1, 11) / 10)
    assert learnt.recall == pytest.approx(recalls)
    assert learnt.floors == {CHANCE: 0.1, GENDER: 0.2}
    assert np.isnan(learning_of(made).minutes).all()
    assert learning_of(with_curve("voice2face-64", curve(FLAT), tmp_path)) is None


def test_the_picture_has_a_line_a_system_and_one_for_each_floor(tmp_path):
    made = []
    for name in ("sf2f-64", "voice2face-64"):
        for seed in (0, 1, 2):
            one = with_curve(
                name, curve(FLAT, recalls=np.linspace(0.1, 0.4, 10) + seed / 50), tmp_path, seed=seed
            )
            cost = one.cost.model_copy(update={"stage_seconds": {"generator": 60.0}})
            made.append(one.model_copy(update={"cost": cost}))
    (group,) = groups(made)
    figure = learning_figure(group)
    for axes, last in zip(figure.axes, (1600, 1), strict=True):
        lines = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
        assert set(lines) == {SF2F, "voice2face-64"}
        assert lines[SF2F].get_xdata()[-1] == pytest.approx(last)
        assert lines[SF2F].get_ydata()[-1] == pytest.approx(0.42)
        assert len(axes.collections) == 2  # bands
        words = {text.get_text() for text in axes.texts}
        assert {SF2F, "voice2face-64", "chance", "knowing only the gender"} <= {
            " ".join(one.split()) for one in words
        }
    assert learning_figure(groups([with_curve("sf2f-64", curve(FLAT), tmp_path / "old")])[0]) is None


def test_names_keep_apart_and_move_no_further_than_they_must():
    assert spread([0.1, 0.5, 0.9], 0.1) == pytest.approx([0.1, 0.5, 0.9])
    assert spread([0.5, 0.5, 0.9], 0.1) == pytest.approx([0.45, 0.55, 0.9])
