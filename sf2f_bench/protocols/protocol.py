"""What an evaluation protocol is: all in which one differs from another, in one object.

The part that reports read (names, tables, words) needs no torch; the rest imports it when it is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, TypeVar

from sf2f_bench.types import Answer, ModelCard, Role, SpeechToFace

if TYPE_CHECKING:
    import torch

    from sf2f_bench.benchmarks import Benchmark
    from sf2f_bench.data.prepared import PreparedStore
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.progress import Reporter
    from sf2f_bench.protocols.scores import NamedMetric, Scores
    from sf2f_bench.results.records import BenchmarkPart, RunRecord

    Title = Callable[[Sequence[RunRecord], str], str]  # (records, id of the extractor) -> title

Generated = TypeVar("Generated")  # what is kept of a system's generated faces; it has `faces`, like `Answer`

TableBy = Literal["judge", "training-loss", "each further extractor", "each attribute judge", "any extractor"]


@dataclass(frozen=True)
class TableSpec:
    """A table of a protocol. A metric stands in it where its card's `tables` names it, or has None for "more".

    title: the words, or a function that gives them. by: whose numbers it holds; "each ...": one table for each of
    them; "any extractor": every metric by the extractor that measured it. rows: "all", or those that were measured
    with less speech or in a space of their own, which needs no speech. main: shown on the terminal after a run, and the
    pictures show its metrics that ask for it.
    """

    name: str
    title: str | Title
    by: TableBy = "judge"
    rows: Literal["all", "by length"] = "all"
    main: bool = False

    def title_of(self, records: Sequence[RunRecord], extractor: str = "") -> str:
        """The title above a table of these records; extractor: the id of "each further extractor" or judge."""
        return self.title if isinstance(self.title, str) else self.title(records, extractor)


def _further_title(_: Sequence[RunRecord], extractors: str) -> str:
    return f"Further metrics, by {extractors}"


# Metrics whose cards name no table stand in this one, which exists where there are such.
FURTHER_METRICS = TableSpec("more", _further_title, by="any extractor", main=True)


@dataclass(frozen=True, eq=False)
class TrainedSystem:
    """A system to generate with: the store is prepared with its own front end, the seed is that of its training.

    draws: how many faces it generates for each voice.
    """

    system: SpeechToFace
    store: PreparedStore
    device: torch.device
    seed: int
    draws: int = 1


class EvaluationProtocol(ABC, Generic[Generated]):
    """One versioned protocol: which faces it needs, how it scores them, and how its numbers are shown.

    description: for readers of a report. legend: what the signs in its tables mean. headline_role: the extractor
    whose recall verdicts and pictures are about. is_default: titles and file names leave its name out.
    asks_attribute_judges: gender, age and ethnicity are scored. asks_draws: a system that draws its faces gives
    several for each voice. why_no_folder: why a folder of faces cannot be scored; empty: it can.
    """

    name: ClassVar[str]  # "sf2f-bench/1"
    description: ClassVar[str]
    legend: ClassVar[str]
    headline_role: ClassVar[Role] = "judge"
    is_default: ClassVar[bool] = False
    asks_attribute_judges: ClassVar[bool] = False
    asks_draws: ClassVar[bool] = False
    why_no_folder: ClassVar[str] = ""
    tables: ClassVar[tuple[TableSpec, ...]]

    # ---------------------------------------------------------------- reports; no torch

    def galleries(self, part: BenchmarkPart) -> int | None:
        """How many fixed galleries recall is searched in; None: in all that the test identities allow."""
        return None

    def searched(self, part: BenchmarkPart) -> str:
        """Where recall is searched, in words: ``galleries of 100``, ``3 fixed galleries of 100``."""
        words = {None: "galleries", 1: "1 fixed gallery"}
        count = self.galleries(part)
        return f"{words.get(count, f'{count} fixed galleries')} of {part.gallery_size}"

    def notes(self, records: Sequence[RunRecord]) -> list[str]:
        """What a reader of these records' table must know of the protocol."""
        return []

    def left_out(self, anchor: ModelCard) -> str | None:
        """Why an anchor has no row under this protocol; None where it has one."""
        return None

    # ---------------------------------------------------------------- runs

    @abstractmethod
    def further_extractors(self, benchmark: Benchmark) -> dict[str, str]:
        """The networks that score beside the judge and the one of the training loss: their names, by key."""

    @abstractmethod
    def metrics(self, benchmark: Benchmark, identities: int) -> Sequence[NamedMetric]:
        """Every metric that a record may hold, for so many test identities: they enter its key."""

    def metrics_of_draws(self, benchmark: Benchmark, identities: int, *draws: int) -> Sequence[NamedMetric]:
        """The metrics of so many faces for each voice: they enter the keys of systems that draw them, and no others.

        With several numbers of draws those of each, every metric once.
        """
        return ()

    def key_parts(self, extractors: Mapping[str, str]) -> dict[str, Any]:
        """What decides the generated artefact beside model and protocol; extractors: their ids, by key."""
        return {}

    @abstractmethod
    def generate(
        self, evaluation: Evaluation, trained: TrainedSystem, reporter: Reporter, path: Path
    ) -> None:
        """Write the artefact of a trained system's faces of the test identities to `path`."""

    @abstractmethod
    def load(self, path: Path) -> Generated:
        """Read the artefact that `generate` wrote."""

    def with_disturbed(
        self,
        evaluation: Evaluation,
        trained: TrainedSystem,
        reporter: Reporter,
        made: Generated,
        folder: Path,
        key: str,
    ) -> Generated:
        """What was generated, with what the system makes of disturbed voices where the protocol asks for it.

        folder, key: where artefacts of faces are kept, and that of `made`.
        """
        return made

    @abstractmethod
    def score(self, evaluation: Evaluation, answer: Generated | Answer) -> Scores:
        """Every metric of what a system generated, or of an anchor's answer."""
