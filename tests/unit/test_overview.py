"""The first screen: its sentences, ranks and lights say what the records hold, and what they cannot say."""

from __future__ import annotations

import pytest

from sf2f_bench.report.overview import answer, first_faces, leaderboard, lights
from sf2f_bench.results.records import Finding, load_all
from sf2f_bench.results.selection import groups
from sf2f_bench.types.curve import SIMILARITY
from tests.unit.record_factory import (
    ANCHORS,
    benchmark,
    full_bench,
    full_record,
    full_run,
    paper_record,
    record,
    with_scores,
)
from tests.unit.test_convergence import FLAT, RISING, curve, with_curve
from tests.unit.test_marks import trained

RECALL = "recall@10/g100"


def group_of(records):
    (group,) = groups(records)
    return group


def anchors():
    return [full_record(name, recall, how) for name, (recall, how) in ANCHORS.items()]


def system(value, low, high, name="sf2f-64", **changes):
    return with_scores(full_record(name, value, **changes), {RECALL: (value, low, high)})


def test_a_system_stands_once_with_all_its_seeds():
    board = leaderboard(group_of(full_bench()))
    first, second = board.rows
    assert [first.name, second.name] == ["sf2f-64", "voice2face-64"]
    assert (first.seeds, second.seeds) == (2, 1)
    assert first.score.value == pytest.approx((0.365 + 0.42) / 2)
    assert first.score.interval == pytest.approx((0.365 - 0.065, 0.42 + 0.065))
    assert board.headings[0] == "recall@10 g100"
    assert [first.rank, second.rank] == [None, None]


def test_the_lines_of_the_bars_are_what_anchors_reach():
    board = leaderboard(group_of(full_bench()))
    assert [round(line.value, 3) for line in board.lines] == [0.1, 0.2, 0.66, 1.0]
    assert [line.is_ceiling for line in board.lines] == [False, False, False, True]
    bar = board.rows[0].bar
    assert bar.anchors == (10.0, 20.0, 66.0, 100.0)
    assert (bar.low, bar.at, bar.high) == pytest.approx((30.0, 39.2, 48.5), abs=0.06)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (
            0.45,
            0.41,
            0.49,
            "better than chance (10 %) and knowing only the gender (20 %), and worse than a straight line",
        ),
        (
            0.22,
            0.17,
            0.26,
            "better than chance (10 %), not shown to be better than knowing only the gender (20 %), and worse than",
        ),
        (
            0.11,
            0.08,
            0.14,
            "not shown to be better than chance (10 %), and worse than knowing only the gender (20 %)",
        ),
        (0.04, 0.02, 0.06, "worse than chance (10 %), knowing only the gender (20 %) and a straight line"),
        (0.80, 0.75, 0.85, "better than chance (10 %), knowing only the gender (20 %) and a straight line"),
    ],
)
def test_the_answer_places_the_best_system_between_the_anchors(value, low, high, words):
    told = answer(group_of([*anchors(), system(value, low, high)]))
    number = f"{100 * value:.0f} % (95 % interval {100 * low:.0f} to {100 * high:.0f} %) of the voices"
    assert (
        told[0]
        == f"From the faces of sf2f-64, the right person is among the 10 nearest of 100 people for {number}."
    )
    assert words in told[1]
    assert "synthetic" in told[-1]


def test_the_answer_says_that_few_seeds_rank_nobody():
    told = " ".join(answer(group_of(full_bench())))
    assert "Which system is best is undecided: none has three training seeds." in told


def test_the_answer_names_a_best_system_where_it_is_shown(tmp_path):
    made = [
        trained(tmp_path, name, level, seed) for name, level in (("a", 0.0), ("b", 1.0)) for seed in range(3)
    ]
    assert "Of 2 systems with three training seeds, b is shown to be the best." in answer(group_of(made))
    alone = [*made, trained(tmp_path, "c", 2.0)]
    told = (
        "b is shown to be the best. 1 of 3 systems have fewer than three training seeds and are not ranked."
    )
    assert told in " ".join(answer(group_of(alone)))
    equal = [one for one in made if one.system.name == "b"]
    equal += [trained(tmp_path, "d", 1.0, seed) for seed in range(3)]
    assert "d and b may be the best." in " ".join(answer(group_of(equal))).replace("b and d", "d and b")


def test_the_last_system_is_placed_by_the_nearest_anchors_alone():
    made = [*anchors(), system(0.45, 0.41, 0.49), system(0.15, 0.12, 0.18, "voice2face-64")]
    (last,) = [text for text in answer(group_of(made)) if text.startswith("voice2face-64")]
    assert last == (
        "voice2face-64 has the lowest value of 2 systems, 15 % (95 % interval 12 to 18 %): better than chance (10 %), "
        "and worse than knowing only the gender (20 %)."
    )


def test_nothing_is_answered_without_a_system_and_at_random_only_a_leak():
    assert answer(group_of(anchors())) == []
    assert leaderboard(group_of(anchors())).rows == ()
    unpaired = [record("sf2f-64", benchmark=benchmark(paired=False))]
    assert "leak" in " ".join(answer(group_of(unpaired)))


def test_lights_are_good_doubtful_or_bad_with_reasons(tmp_path):
    def states(records):
        return {light.name: (light.state, light.word) for light in lights(group_of(records))}

    assert states(full_bench()) == {
        "data": ("doubtful", "not audited"),
        "rows": ("good", "no warning"),
        "seeds": ("doubtful", "too few for 2 of 2"),
        "training": ("doubtful", "unknown for 2 of 2"),
    }
    audited = [full_record(audit=(Finding(check="overlap", text="one person in two splits", alarm=True),))]
    assert states(audited)["data"] == ("bad", "1 warning")
    clean = [full_record(audit=(Finding(check="overlap", text="nobody", alarm=False),))]
    assert states(clean)["data"] == ("good", "audited")
    unchecked = [paper_record("sf2f-64", 0.2, "average")]
    assert states(unchecked)["rows"] == ("doubtful", "not checked")
    collapsed = {"effective-faces": (1.2, 1.1, 1.3)}
    alarmed = [*anchors(), with_scores(full_record(), collapsed)]
    assert states(alarmed)["rows"][0] == "bad"
    (row,) = leaderboard(group_of(alarmed)).rows
    assert row.is_doubted
    assert any(
        text == "Do not trust sf2f-64 before the warnings about them are resolved."
        for text in answer(group_of(alarmed))
    )
    seeds = [trained(tmp_path, "a", 0.0, seed) for seed in range(3)]
    assert states(seeds)["seeds"] == ("good", "three or more")


@pytest.mark.parametrize(
    ("found", "state", "word"),
    [
        (curve(RISING), "doubtful", "too short for 1 of 1"),
        (curve(FLAT), "good", "long enough"),
        (curve(FLAT).tail(3), "doubtful", "unknown for 1 of 1"),
        (curve(FLAT).drop(columns=SIMILARITY), "doubtful", "unknown for 1 of 1"),
    ],
)
def test_a_training_that_ended_too_early_or_was_not_watched_is_doubtful(tmp_path, found, state, word):
    made = with_curve("sf2f-64", found, tmp_path)
    (light,) = [light for light in lights(group_of([made])) if light.name == "training"]
    assert (light.state, light.word) == (state, word)


def test_the_first_faces_are_those_of_the_best_systems(tmp_path):
    full_run(tmp_path)
    group = group_of(load_all(tmp_path))
    people, strips = first_faces(group)
    assert [strip.label for strip in strips] == ["true face", *(row.name for row in leaderboard(group).rows)]
    assert all(len(strip.faces) == len(people) for strip in strips)


def test_the_tenth_is_not_taken_for_the_first(tmp_path):
    names = [f"s{place:02d}" for place in range(11)]
    made = [
        trained(tmp_path, name, float(place), seed) for place, name in enumerate(names) for seed in range(3)
    ]
    told = " ".join(answer(group_of(made)))
    assert "Of 11 systems with three training seeds, s10 is shown to be the best." in told
