"""What nobody here has heard of stands where its card says: in every form of the report, in scores.csv and in compare.

An unknown metric without a card and one with a card, an unknown anchor, an unknown extractor, an ablation of a
stranger's model that says so, and a model called ``foo-without-bar`` that is none.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from record_factory import JUDGE, LOSS, record
from rich.console import Console

from sf2f_bench.report import summary, write_report
from sf2f_bench.report.tables import tables
from sf2f_bench.results.compare import compare
from sf2f_bench.results.records import ScoreRecord, load, save
from sf2f_bench.results.selection import groups
from sf2f_bench.types import Alarm, ExtractorCard, MetricCard

N = 40
EYES = "raven-eyes/7@0badcafe"
CARDED = MetricCard(
    quantity="caricature",
    family="distribution",
    parameters={"strength": 3},
    heading="Caricature",
    headings={"ravens": "Ravenness"},
    format="size",
    factor=100.0,
    tables={"likeness": 99, "further": 5},
    order={"likeness": -1},
    alarm=Alarm(0.0325, above=True, text="it draws caricatures", expected="a caricaturist may"),
    heading_with_n=True,
    caveat="Caricature grows with n = {n}.",
)
LOST = MetricCard(quantity="chill", tables={"a table that this protocol does not have": 3})
METRICS = {"recall@10/g100": 0.4, "warmth": 0.25, "chill": 0.5, "caricature/3": 0.031}
SYSTEMS = {  # name -> (kind, of its card, how much higher its numbers are)
    "guesser": ("anchor", {"place": "floor", "order": 7, "purpose": "chance"}, -0.2),
    "all-knowing": ("anchor", {"place": "ceiling", "order": 1}, 0.5),
    "unplaced": ("anchor", {}, 0.0),
    "my-model": ("system", {}, 0.1),
    "foo-without-bar": ("system", {}, 0.05),
    "my-variant": ("system", {"ablation_of": "my-model", "change": "without memory"}, -0.1),
}
ORDER = ["guesser", "unplaced", "foo-without-bar", "my-model", "my-variant", "all-knowing"]


def scores(level: float, parts: dict[str, np.ndarray]) -> list[ScoreRecord]:
    made = []
    for extractor, role in ((JUDGE, "judge"), (LOSS, "training-loss"), (EYES, "further")):
        for metric, value in METRICS.items():
            column = f"{metric}|{extractor}"
            parts[column] = value * (1 + level) + 0.01 * np.random.default_rng(len(parts)).random(N)
            value_here = float(parts[column].mean())
            made.append(
                ScoreRecord(
                    metric=metric,
                    version=1,
                    extractor=extractor,
                    extractor_role=role,
                    value=value_here,
                    n=N,
                    interval=(value_here - 0.001, value_here + 0.001),
                    higher_is_better=metric != "caricature/3",
                    basis="mean",
                )
            )
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(records, their folder)."""
    folder = tmp_path_factory.mktemp("strangers")
    found = []
    for name, (kind, card, level) in SYSTEMS.items():
        parts: dict[str, np.ndarray] = {}
        new = record(name, scores=scores(level, parts), kind=kind, **card)
        eyes = ExtractorCard(title="By the eyes of a raven", convention="ravens")
        cards = {
            "metrics": {**new.metrics, "caricature/3": CARDED, "chill": LOST},
            "extractors": {**new.extractors, EYES: eyes},
        }
        frame = pd.DataFrame({"identity": [f"id{i:02d}" for i in range(N)], **parts})
        found.append(load(save(new.model_copy(update=cards), folder, frame)))
    return found, folder


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    """The text of every file of the report, by its name."""
    out = tmp_path_factory.mktemp("out")
    written = write_report(made[0], out)
    return {
        path.name: path.read_text(encoding="utf-8") for path in written if path.suffix not in (".png", ".svg")
    }


@pytest.fixture(scope="module")
def group(made):
    (only,) = groups(made[0])
    return only


def test_every_row_stands_where_its_card_says(group):
    assert [entry.label for entry in group.entries] == ORDER
    zones = {entry.label: entry.zone for entry in group.entries}
    assert zones == {
        "guesser": "floor",
        "unplaced": "floor",
        "foo-without-bar": "system",
        "my-model": "system",
        "my-variant": "ablation",
        "all-knowing": "ceiling",
    }
    assert group.whole(group.ablations[0]).label == "my-model"


def test_a_metric_with_a_card_stands_where_it_says_and_one_without_in_a_table_of_its_own(group):
    found = {table.title: table for table in tables(group)}
    likeness = found["How alike? Similarity and distributions, by the judge"]
    assert likeness.headings == ("Caricature n=40",)
    assert str(likeness.rows[3].cells[0]).startswith("3.")  # .034, a hundredfold
    assert found[f"By the eyes of a raven: {EYES}"].headings == ("recall@10 g100", "Ravenness n=40")
    more = found[f"Further metrics, by {JUDGE}"]
    assert more.headings == ("warmth", "chill")
    assert [row.label for row in more.rows] == ORDER
    assert more.is_main


@pytest.mark.parametrize("name", ["table.txt", "report.md", "table.tex", "report.html"])
def test_every_form_of_the_report_has_all_of_it(files, name):
    text = re.sub(r"\\([^A-Za-z])", r"\1", files[name])  # Markdown and LaTeX escape some characters
    block = "my-variant" if name == "report.html" else "ablations of my-model"
    for words in ("Caricature", "Ravenness", "warmth", "By the eyes of a raven", block, *ORDER[:4]):
        assert words in text, words
    if name == "table.tex":  # which has no notes
        return
    assert "Caricature grows with n = 40." in text
    assert "WARNING: my-model: Caricature 3." in text
    assert "it draws caricatures." in text
    assert "all-knowing: Caricature 5." in text
    assert "it draws caricatures; a caricaturist may." in text
    assert "WARNING: all-knowing" not in text


def test_the_terminal_shows_them_after_a_run(made):
    buffer = io.StringIO()
    summary(made[0], Console(file=buffer, width=200, color_system=None))
    text = buffer.getvalue()
    for words in ("warmth", "Caricature", "without memory", "ablations of my-model", *ORDER[:4]):
        assert words in text
    assert text.index("foo-without-bar") < text.index("ablations of my-model")


def test_verdicts_know_what_an_anchor_is_for(files):
    assert "my-model: recall@10 .445 (.444 to .446) is above chance (.325)" in files["table.txt"]


def test_scores_csv_holds_every_score(files, made):
    frame = pd.read_csv(io.StringIO(files["scores.csv"]), float_precision="round_trip")
    assert len(frame) == len(SYSTEMS) * 3 * len(METRICS)
    for one in made[0]:
        for score in one.scores:
            row = frame[
                (frame.system == one.system.name)
                & (frame.metric == score.metric)
                & (frame.extractor == score.extractor)
            ]
            assert row["value"].tolist() == [score.value]


def test_compare_has_them_too(made):
    (comparison,) = compare("my-model", "my-variant", made[1])
    assert {(one.metric, one.extractor) for one in comparison.metrics} == {
        (metric, extractor) for metric in METRICS for extractor in (JUDGE, LOSS, EYES)
    }
    by_eyes = {one.metric: one for one in comparison.metrics if one.extractor == EYES}
    assert set(by_eyes) == set(METRICS)
    assert {one.verdict for one in by_eyes.values()} == {"too few seeds"}
    assert all(one.difference > 0 for one in by_eyes.values())
    assert comparison.card_of("caricature/3").format == "size"
    assert comparison.card_of("warmth").format == "share"
