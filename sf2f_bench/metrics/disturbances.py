"""Robustness: metrics of what was made from disturbed voices."""

from __future__ import annotations

from dataclasses import dataclass

from sf2f_bench.metrics.common import card_of, short_term
from sf2f_bench.metrics.lengths import OfOtherSpeech
from sf2f_bench.protocols.names import DISTURBANCES
from sf2f_bench.types import MetricCard

TABLE = "disturbance"


@dataclass(frozen=True)
class UnderDisturbance(OfOtherSpeech):
    """A metric of what was made from 5 s of each identity's speech under one disturbance; "clean" is none."""

    disturbance: str

    @property
    def name(self) -> str:
        """``recall@10/g100/noise 10 dB``."""
        return f"{self.metric.name}/{self.disturbance}"

    @property
    def card(self) -> MetricCard:
        """The metric's own, as a point of the curve."""
        whole = card_of(self.metric)
        place = DISTURBANCES.index(self.disturbance) + (0 if whole.headline else len(DISTURBANCES))
        return self.point(
            {"disturbance": self.disturbance},
            f"{short_term(whole)} {self.disturbance}",
            {TABLE: 9 if whole.headline else 1},
            {TABLE: place},
        )
