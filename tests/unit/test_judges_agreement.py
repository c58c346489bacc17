"""How alike two judges order the rows of a table, in words."""

from __future__ import annotations

from sf2f_bench.report.notes import agreement
from sf2f_bench.results.selection import groups
from tests.unit.record_factory import DLIB, full_record

RECALLS = {"mean-face": 0.1, "nearest-training-face": 0.39, "sf2f-64": 0.3, "voice2face-64": 0.2}


def with_second(made, value):
    score = next(
        one for one in made.scores if one.metric == "recall@10/g100" and one.extractor_role == "judge"
    )
    second = score.model_copy(update={"extractor": DLIB, "extractor_role": "further", "value": value})
    kept = tuple(s for s in made.scores if (s.metric, s.extractor) != ("recall@10/g100", DLIB))
    return made.model_copy(update={"scores": (*kept, second)})


def said(values):
    made = [with_second(full_record(name, recall), values[name]) for name, recall in RECALLS.items()]
    (group,) = groups(made)
    return [text for text in agreement(group) if DLIB in text]


def test_the_same_order_is_a_correlation_of_one():
    (text,) = said({name: recall / 2 for name, recall in RECALLS.items()})
    assert (
        "order 4 rows with a Kendall rank correlation of 1.00 (Spearman 1.00); no two in another order"
        in text
    )


def test_rows_in_another_order_are_named():
    (text,) = said(RECALLS | {"voice2face-64": 0.35})
    assert "Kendall rank correlation of 0.67 (Spearman 0.80)" in text
    assert "in the other order: " in text
    assert "sf2f-64" in text.partition("other order")[2]
    assert "mean-face" not in text.partition("other order")[2]


def test_three_rows_have_no_order_to_compare():
    made = [with_second(full_record(name, recall), recall) for name, recall in list(RECALLS.items())[:3]]
    (group,) = groups(made)
    assert not list(agreement(group))
