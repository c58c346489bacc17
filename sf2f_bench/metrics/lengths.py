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
class AtLength:
    """A metric of faces that were generated from the first `seconds` of each identity's speech."""

    metric: Metric
    seconds: float

    @property
    def name(self) -> str:
        """``recall@10/g100/2.5s``."""
        return f"{self.metric.name}/{self.seconds:g}s"

    @property
    def version(self) -> int:
        """The metric's own."""
        return self.metric.version

    @property
    def higher_is_better(self) -> bool:
        """The metric's own."""
        return self.metric.higher_is_better

    @property
    def card(self) -> MetricCard:
        """The metric's own, as a point of the curve; the longer the speech, the longer it stays in a table."""
        whole = card_of(self.metric)
        before = sum(point >= self.seconds for point in SECONDS)  # points from here to all speech
        return replace(
            whole,
            parameters={**whole.parameters, "seconds": self.seconds},
            heading=f"{whole.term or self.metric.name} {self.seconds:g} s",
            decides=(),
            shown=(),
            headline=False,
            tables={TABLE: max(0, (whole.tables or {}).get(TABLE, 0) - before)},
            order={TABLE: whole.order.get(TABLE, 100) - before},
            plotted=False,
        )
