"""Protocol `sf2f-bench/1`: a judge that took no part in training, all galleries, one photo held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sf2f_bench.files import hash_of, seed_of
from sf2f_bench.protocols.names import BENCH, DISTURBED_SECONDS
from sf2f_bench.protocols.protocol import FURTHER_METRICS, EvaluationProtocol, TableSpec, TrainedSystem
from sf2f_bench.types import Answer

if TYPE_CHECKING:
    from sf2f_bench.benchmarks import Benchmark
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.progress import Reporter
    from sf2f_bench.protocols.scores import NamedMetric, Scores
    from sf2f_bench.results.records import RunRecord

NO_STRATA = "Matching, by the judge"
STRATA = {"G": "gender", "N": "nationality", "A": "age", "GNA": "all three"}


def _strata_title(records: Sequence[RunRecord], _: str) -> str:
    cards = [score.card for record in records for score in record.scores]
    known = {card.parameters.get("stratum") for card in cards if "strata" in (card.tables or {})}
    letters = ", ".join(f"{word} ({letter})" for letter, word in STRATA.items() if letter in known)
    return f"Within strata: among people who share {letters}, by the judge" if letters else NO_STRATA


def _attributes_title(_: Sequence[RunRecord], judge: str) -> str:
    return f"By attribute: does the face have the person's gender, ethnicity and age? By {judge}"


def _further_title(records: Sequence[RunRecord], extractor: str) -> str:
    cards = [record.extractors[extractor] for record in records if extractor in record.extractors]
    return f"{cards[0].title}: {extractor}" if cards else extractor


class BenchProtocol(EvaluationProtocol[Answer]):
    """`sf2f-bench/1`."""

    name = BENCH
    description = (
        "Each system hears the first 20 windows of 1.25 s of a test identity's recordings and generates one face. "
        "A judge that took no part in any training compares it with the mean over the person's true photos, of which "
        "one is held out of everything. recall@k is how often the right person is among the k nearest, expected over "
        "all galleries that the test identities allow; ties count by their expectation."
    )
    legend = "In brackets 95 % intervals; ± standard deviation over parts."
    is_default = True
    asks_attribute_judges = True
    asks_draws = True
    tables = (
        TableSpec("retrieval", "Who is it? Retrieval, by the judge", main=True),
        TableSpec("likeness", "How alike? Similarity and distributions, by the judge", main=True),
        TableSpec("strata", _strata_title),
        TableSpec("verification", "Verification: one person or two? By the judge"),
        TableSpec(
            "subgroups",
            "By subgroup, each in the gallery of all people, by the judge; gap: the best subgroup less the worst",
        ),
        TableSpec("distribution", "Distribution of faces, by the judge"),
        TableSpec("attributes", _attributes_title, by="each attribute judge"),
        TableSpec(
            "disturbance", "Robustness: from 5 s of the first voices, as they are and disturbed, by the judge"
        ),
        TableSpec("draws", "One voice, several faces, by the judge"),
        TableSpec(
            "traits",
            "Trait by trait: errors over those of one guess for everybody",
            by="each attribute judge",
        ),
        TableSpec("length", "By length of speech, by the judge", rows="by length"),
        FURTHER_METRICS,
        TableSpec("further", _further_title, by="each further extractor"),
        TableSpec(
            "training-loss",
            "By the network of the training loss, shown beside the judge because it flatters",
            by="training-loss",
        ),
    )

    def further_extractors(self, benchmark: Benchmark) -> dict[str, str]:
        """The benchmark's own and the user's, each by its name."""
        return {name: name for name in benchmark.further}

    def metrics(self, benchmark: Benchmark, identities: int) -> list[NamedMetric]:
        """The installed metrics, the audio-length curve, and the attributes."""
        from sf2f_bench.protocols.bench.scoring import all_metrics

        return all_metrics(benchmark, identities)

    def metrics_of_draws(self, benchmark: Benchmark, identities: int, *draws: int) -> Sequence[NamedMetric]:
        """The best and the mean of the draws, and how varied the faces for one voice are."""
        from sf2f_bench.protocols.bench.scoring import all_metrics_of_draws

        return all_metrics_of_draws(benchmark, identities, *draws)

    def notes(self, records: Sequence[RunRecord]) -> list[str]:
        """Which rows generated several faces for a voice, and what their other columns are about."""
        drawn: dict[str, int] = {}
        for record in records:
            counts = [score.card.parameters.get("best of", 0) for score in record.scores]
            if most := max(map(int, counts), default=0):
                drawn[record.system.label] = max(most, drawn.get(record.system.label, 0))
        if not drawn:
            return []
        rows = ", ".join(f"{label} ({count})" for label, count in drawn.items())
        return [
            f"Several faces for each voice were drawn by {rows}; all other rows have one draw and are not in the table "
            '"One voice, several faces". In the other tables a row is scored by its first draw.'
        ]

    def generate(
        self, evaluation: Evaluation, trained: TrainedSystem, reporter: Reporter, path: Path
    ) -> None:
        """Faces from all segments, from less speech, and from two recordings apart; and the further draws."""
        import torch

        from sf2f_bench.protocols.bench.generation import FACES_PER_IDENTITY, generate, save

        system, device = trained.system, trained.device
        noise = torch.Generator(device=device).manual_seed(seed_of(trained.seed, "generate"))
        draws = [
            torch.Generator(device=device).manual_seed(seed_of(trained.seed, "draw", number))
            for number in range(1, trained.draws)
        ]
        total = (FACES_PER_IDENTITY + len(draws)) * len(evaluation.identities)
        with reporter.bar(f"generate {system.card.label} (faces)", total) as bar:
            save(generate(system, trained.store, device, noise, bar.advance, draws), path)

    def load(self, path: Path) -> Answer:
        """As `Answer`, with `shorter`, `repeat_faces` and `draws`."""
        from sf2f_bench.protocols.bench.generation import load

        return load(path)

    def with_disturbed(
        self,
        evaluation: Evaluation,
        trained: TrainedSystem,
        reporter: Reporter,
        made: Answer,
        folder: Path,
        key: str,
    ) -> Answer:
        """With faces from disturbed voices, an artefact of its own."""
        import torch

        from sf2f_bench.audio.disturb import VERSION
        from sf2f_bench.protocols.bench.generation import with_disturbed

        def noise(what: str) -> torch.Generator:
            return torch.Generator(device=trained.device).manual_seed(seed_of(trained.seed, "generate", what))

        system, store, count = trained.system, trained.store, evaluation.benchmark.gallery_size
        windows = evaluation.disturbed_windows(store, system.frontend)
        path = folder / f"{hash_of([key, 'disturbed', count, VERSION, DISTURBED_SECONDS])}.safetensors"
        return with_disturbed(made, windows, system, store.image_size, noise, reporter, path)

    def score(self, evaluation: Evaluation, answer: Answer) -> Scores:
        """By every extractor and every attribute judge."""
        from sf2f_bench.protocols.bench.scoring import score

        return score(evaluation, answer)
