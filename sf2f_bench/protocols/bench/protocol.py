"""Protocol `sf2f-bench/1`: a judge that took no part in training, all galleries, one photo held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sf2f_bench.protocols.names import BENCH
from sf2f_bench.protocols.protocol import EvaluationProtocol, TableSpec

if TYPE_CHECKING:
    from sf2f_bench.results.records import RunRecord

STRATA = {"G": "gender", "N": "nationality", "A": "age", "GNA": "all three"}


def _strata_title(records: Sequence[RunRecord], _: str) -> str:
    known = {
        card.parameters.get("stratum")
        for record in records
        for score in record.scores
        if "strata" in ((card := score.card).tables or {})
    }
    letters = ", ".join(f"{word} ({letter})" for letter, word in STRATA.items() if letter in known)
    return f"Within strata: people alike in {letters}, by the judge" if letters else "Matching, by the judge"


def _attributes_title(_: Sequence[RunRecord], judge: str) -> str:
    return f"By attribute: has the face the person's gender, ethnicity and age? By {judge}"


def _further_title(records: Sequence[RunRecord], extractor: str) -> str:
    cards = [record.extractors[extractor] for record in records if extractor in record.extractors]
    return f"{cards[0].title}: {extractor}" if cards else extractor


class BenchProtocol(EvaluationProtocol):
    """`sf2f-bench/1`."""

    name = BENCH
    description = (
        "Each system hears the first 20 windows of 1.25 s of a test identity's recordings and generates one face. "
        "A judge that took no part in any training compares it with the mean over the person's true photos, of which "
        "one is held out of everything. recall@k is how often the right person is among the k nearest, expected over "
        "all galleries that the test identities allow; ties count by their expectation."
    )
    legend = "In brackets 95 % intervals; ± standard deviation over parts;"
    is_default = True
    tables = (
        TableSpec("retrieval", "Who is it? Retrieval, by the judge", main=True, plotted_from=6),
        TableSpec(
            "likeness",
            "How alike? Similarity and distributions, by the judge",
            main=True,
            plotted_from=5,
        ),
        TableSpec("strata", _strata_title),
        TableSpec("distribution", "Distribution of faces, by the judge"),
        TableSpec("attributes", _attributes_title, by="each attribute judge"),
        TableSpec("length", "By length of speech, by the judge", rows="by length"),
        TableSpec("more", "Further metrics, by the judge", main=True),
        TableSpec("further", _further_title, by="each further extractor"),
        TableSpec(
            "training-loss",
            "By the network of the training loss, shown beside the judge because it flatters",
            by="training-loss",
        ),
    )
