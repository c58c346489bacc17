"""The protocols as reports read them: words and tables, without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sf2f_bench.protocols.catalogue import PROTOCOLS, protocol_named
from sf2f_bench.results.records import RunRecord
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard, ModelCard
from tests.unit.record_factory import INCEPTION, VGGFACE2, benchmark, paper_record, record


def test_reports_read_a_protocol_without_torch():
    code = (
        "import sys; from sf2f_bench.protocols.catalogue import PROTOCOLS; "
        "assert 'torch' not in sys.modules; assert all(protocol.tables for protocol in PROTOCOLS.values())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_protocol_is_named_with_the_nearest():
    with pytest.raises(BenchError, match="did you mean 'sf2f-paper/1'"):
        protocol_named("sf2f-papre/1")


def test_only_the_published_protocol_leaves_the_true_photo_out():
    oracle = ModelCard("any name", "1", "anchor", "another photo", purpose="true-photo")
    found = {name: protocol.left_out(oracle) for name, protocol in PROTOCOLS.items()}
    assert found["sf2f-bench/1"] is None
    assert "mean over ALL photos" in (found["sf2f-paper/1"] or "")
    assert PROTOCOLS["sf2f-paper/1"].left_out(ModelCard("chance", "1", "anchor", "guesses")) is None


def measured_by(made, **extractors):
    """The record with further scores: ``{metric: extractor's id}``."""
    like = made.scores[0]
    more = [
        like.model_copy(update={"metric": metric, "extractor": by, "extractor_role": "further"})
        for metric, by in extractors.items()
    ]
    kept = [score for score in made.scores if score.metric not in extractors]
    return made.model_copy(update={"scores": (*kept, *more)})


def test_titles_say_where_and_by_whom():
    retrieval, likeness, _ = PROTOCOLS["sf2f-paper/1"].tables
    made = paper_record()
    where = "Who is it? Recall in fixed galleries (g100x3), by the network of the training loss"
    assert retrieval.title_of([made]) == where
    start = "How alike? By the network of the training loss; "
    assert likeness.title_of([made]) == f"{start}mutual information (MI) by the judge"
    published = measured_by(made, **{"mutual-information/5-parts": VGGFACE2, "frechet-distance": INCEPTION})
    published = published.model_copy(
        update={
            "metrics": {"mutual-information/5-parts": MetricCard(headings={"vggface2": "VGGFace Score"})},
            "extractors": {VGGFACE2: ExtractorCard(convention="vggface2")},
        }
    )
    title = f"{start}VGGFace Score by {VGGFACE2}; FID and IS by {INCEPTION}"
    assert likeness.title_of([published]) == title


def test_a_table_of_strata_names_those_that_are_known():
    strata = next(spec for spec in PROTOCOLS["sf2f-bench/1"].tables if spec.name == "strata")
    made = record()
    assert strata.title_of([made]) == "Matching, by the judge"
    cards = {
        made.scores[0].metric: MetricCard(parameters={"stratum": "GNA"}, tables={"strata": 1}),
        made.scores[1].metric: MetricCard(parameters={"stratum": "G"}, tables={"strata": 2}),
    }
    known = RunRecord.model_validate(made.model_copy(update={"metrics": cards}).model_dump())
    assert strata.title_of([made, known]) == (
        "Within strata: among people who share gender (G), all three (GNA), by the judge"
    )


def test_where_recall_is_searched_in_words():
    bench, paper = (PROTOCOLS[name] for name in ("sf2f-bench/1", "sf2f-paper/1"))
    assert bench.searched(benchmark()) == "galleries of 100"
    assert paper.searched(benchmark()) == "3 fixed galleries of 100"
    assert paper.searched(benchmark(gallery_size=200)) == "1 fixed gallery of 200"


def test_the_published_protocol_says_what_its_numbers_carry_along():
    made = paper_record()
    notes = PROTOCOLS["sf2f-paper/1"].notes([made])
    assert "stands for VGGFace2's classifier" in notes[0]
    assert notes[-2] == "Recall rests on the first 300 identities of the test list, the distances on all 378."
    all_of_them = made.model_copy(
        update={"benchmark": made.benchmark.model_copy(update={"gallery_size": 126})}
    )
    assert not any("Recall rests on" in note for note in PROTOCOLS["sf2f-paper/1"].notes([all_of_them]))
    assert PROTOCOLS["sf2f-bench/1"].notes([record()]) == []
