"""The audio-length curve: metrics of faces that were generated from the first seconds of speech alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sf2f_bench.metrics.common import card_of
from sf2f_bench.protocols.names import SECONDS
from sf2f_bench.types import Metric, MetricCard

TABLE = "length"  # its table; a metric that names it has a curve


def with_curve(metrics: Iterable[Metric]) -> list[Metric]:
    """The metrics that are also computed from less speech: those that stand in the table of lengths."""
    return [metric for metric in metrics if TABLE in (card_of(metric).tables or {})]


@dataclass(frozen=True)
class OfOtherSpeech:
    """What a metric of other speech has of the metric of all speech, and the card of a point of a curve."""

    metric: Metric

    @property
    def version(self) -> int:
        """The metric's own."""
        return self.metric.version

    @property
    def higher_is_better(self) -> bool:
        """The metric's own."""
        return self.metric.higher_is_better

    def point(
        self, parameters: dict[str, str | float], heading: str, tables: dict[str, int], order: dict[str, int]
    ) -> MetricCard:
        """The metric's own card with these; a point decides nothing and has no bars of its own."""
        whole = card_of(self.metric)
        return replace(
            whole,
            parameters={**whole.parameters, **parameters},
            heading=heading,
            decides=(),
            shown=(),
            headline=False,
            tables=tables,
            order=order,
            plotted=False,
        )


@dataclass(frozen=True)
class AtLength(OfOtherSpeech):
    """A metric of faces that were generated from the first `seconds` of each identity's speech."""

    seconds: float

    @property
    def name(self) -> str:
        """``recall@10/g100/2.5s``."""
        return f"{self.metric.name}/{self.seconds:g}s"

    @property
    def card(self) -> MetricCard:
        """The metric's own, as a point of the curve; the longer the speech, the longer it stays in a table."""
        whole = card_of(self.metric)
        before = sum(point >= self.seconds for point in SECONDS)  # points from here to all speech
        return self.point(
            {"seconds": self.seconds},
            f"{whole.term or self.metric.name} {self.seconds:g} s",
            {TABLE: max(0, (whole.tables or {}).get(TABLE, 0) - before)},
            {TABLE: whole.order.get(TABLE, 100) - before},
        )
