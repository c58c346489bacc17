"""The few columns of a short table: the headline, what of it was heard, and one metric of each further family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sf2f_bench.results.numbers import NOTHING, value_and_error
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import Entry, Group

FAMILIES = ("verification", "quality")


@dataclass(frozen=True)
class ShortColumn:
    """A column: its metric, its heading, and whether the error stands beside the value."""

    metric: str
    heading: str
    with_error: bool = False

    def score(self, group: Group, entry: Entry) -> ScoreRecord | None:
        """The entry's score by the network of the verdicts; None where it has none."""
        return entry.score(self.metric, group.protocol.headline_role)

    def pooled(self, group: Group, entries: Sequence[Entry]) -> ScoreRecord | None:
        """One score for all training seeds of a system: see `pooled`; None where none of them has one."""
        return pooled([score for entry in entries if (score := self.score(group, entry))])

    def text(self, score: ScoreRecord | None) -> str:
        """As a cell shows it; a dash for None."""
        if score is None:
            return NOTHING
        value, error = value_and_error(score)
        return f"{value} {error}".strip() if self.with_error else value


def short_columns(group: Group, families: Sequence[str] = FAMILIES) -> list[ShortColumn]:
    """The headline with its interval, what was heard, and the first metric of each family."""
    cards = group.metrics
    heard = [name for name, card in cards.items() if group.headline and card.heard_of == group.headline]
    of_families = ([name for name, card in cards.items() if card.family == family] for family in families)
    names = [*filter(None, [group.headline]), *heard, *(names[0] for names in of_families if names)]
    return [ShortColumn(name, cards[name].heading or name, name == group.headline) for name in names]


def pooled(scores: Sequence[ScoreRecord]) -> ScoreRecord | None:
    """The scores of a system's training seeds as one: their mean, from their lowest to their highest bound.

    The interval is the hull of the seeds' 95 % intervals for other people, and None where one of them has none; it
    is not an interval for new seeds, which needs three of them (`sf2f_bench.statistics.paired`).
    """
    if not scores:
        return None
    if len(scores) == 1:
        return scores[0]
    bounds = [score.interval for score in scores if score.interval]
    hull = (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else None
    every = hull if len(bounds) == len(scores) else None
    mean = float(np.mean([score.value for score in scores]))
    return scores[0].model_copy(update={"value": mean, "interval": every, "spread": None})
