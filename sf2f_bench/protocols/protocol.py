"""What an evaluation protocol is: all in which one differs from another, in one object.

The part that reports read (names, tables, words) needs no torch; the rest imports it when it is called.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from sf2f_bench.types import ModelCard, Role

if TYPE_CHECKING:
    from sf2f_bench.results.records import BenchmarkPart, RunRecord

    Title = Callable[[Sequence[RunRecord], str], str]  # (records, id of the extractor) -> title

TableBy = Literal["judge", "training-loss", "each further extractor", "each attribute judge", "any extractor"]


@dataclass(frozen=True)
class TableSpec:
    """A table of a protocol. A metric stands in it where its card's `tables` names it, or has None for "more".

    title: the words, or a function that gives them. by: whose numbers it holds; "each ...": one table for each of
    them; "any extractor": every metric by the extractor that measured it. rows: "all", or those that were measured
    with less speech or in a space of their own, which needs no speech. error: what stands after a value where there
    is one. main: shown on the terminal after a run. plotted_from: metrics of at least this priority are in the
    pictures; None: none are.
    """

    name: str
    title: str | Title
    by: TableBy = "judge"
    rows: Literal["all", "by length"] = "all"
    error: Literal["interval", "spread"] = "interval"
    main: bool = False
    plotted_from: int | None = None

    def title_of(self, records: Sequence[RunRecord], extractor: str = "") -> str:
        """The title above a table of these records; extractor: the id of "each further extractor" or judge."""
        return self.title if isinstance(self.title, str) else self.title(records, extractor)


class EvaluationProtocol(ABC):
    """One versioned protocol: which faces it needs, how it scores them, and how its numbers are shown.

    description: for readers of a report. legend: what the signs in its tables mean. headline_role: the extractor
    whose recall verdicts and pictures are about. is_default: titles and file names leave its name out.
    """

    name: ClassVar[str]  # "sf2f-bench/1"
    description: ClassVar[str]
    legend: ClassVar[str]
    headline_role: ClassVar[Role] = "judge"
    is_default: ClassVar[bool] = False
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
