"""Robustness: metrics of what was made from disturbed voices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sf2f_bench.metrics.common import card_of, short_term
from sf2f_bench.protocols.names import DISTURBANCES
from sf2f_bench.types import Metric, MetricCard

TABLE = "disturbance"


@dataclass(frozen=True)
class UnderDisturbance:
    """A metric of what was made from 5 s of each identity's speech under one disturbance; "clean" is none."""

    metric: Metric
    disturbance: str

    @property
    def name(self) -> str:
        """``recall@10/g100/noise 10 dB``."""
        return f"{self.metric.name}/{self.disturbance}"

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
        """The metric's own, as a point of the curve."""
        whole = card_of(self.metric)
        return replace(
            whole,
            parameters={**whole.parameters, "disturbance": self.disturbance},
            heading=f"{short_term(whole)} {self.disturbance}",
            decides=(),
            shown=(),
            headline=False,
            tables={TABLE: 9 if whole.headline else 1},
            order={
                TABLE: DISTURBANCES.index(self.disturbance) + (0 if whole.headline else len(DISTURBANCES))
            },
            plotted=False,
        )
