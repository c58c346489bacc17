"""The picture of the answer: a row a system with all of its seeds, and a line for what each anchor reaches."""

from __future__ import annotations

from itertools import pairwise

import pytest
from record_factory import ANCHORS, record

from sf2f_bench.report.answer_plots import answer_figure
from sf2f_bench.results.selection import groups


def of(records):
    (group,) = groups(records)
    return answer_figure(group)


def full():
    made = [record(name, recall, how) for name, (recall, how) in ANCHORS.items()]
    made += [record("sf2f-64", 0.3 + seed / 20, seed=seed) for seed in range(3)]
    return [*made, record("voice2face-64", 0.2, width=0.25)]


def test_a_system_has_one_row_with_every_seed_and_their_mean():
    (axes,) = of(full()).axes
    names = [text.get_text() for text in axes.texts][:2]
    assert names == ["sf2f-64", "voice2face-64"]  # the best on top
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert "systems at width 0.25" in axes.figure.texts[1].get_text()  # said once
    seeds = [line for line in axes.get_lines() if line.get_marker() == "." and len(line.get_xdata()) == 3]
    assert [list(line.get_xdata()) for line in seeds] == [pytest.approx([0.3, 0.35, 0.4])]
    means = {
        line.get_ydata()[0]: line.get_xdata()[0] for line in axes.get_lines() if line.get_marker() == "o"
    }
    assert means == {0: pytest.approx(0.35), 1: pytest.approx(0.2)}


def test_lines_stand_at_what_the_anchors_reach():
    (axes,) = of(full()).axes
    upright = {line.get_xdata()[0] for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]}
    assert upright == {0.1, 0.2, 0.66, 1.0}
    words = {" ".join(text.get_text().split()) for text in axes.texts}
    assert {"chance", "knowing only the gender", "a straight line from the voice", "another photo"} <= words


def test_words_of_near_lines_do_not_overlap():
    figure = of(full())
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = sorted(
        (
            text.get_window_extent()
            for text in axes.texts
            if text.get_text() not in ("sf2f-64", "voice2face-64")
        ),
        key=lambda box: box.x0,
    )
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))


def test_without_systems_there_is_none():
    assert of([record("chance", 0.1, "own")]) is None
