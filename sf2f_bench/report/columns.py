"""The few columns of a short table: the headline, what of it was heard, and one metric of each further family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sf2f_bench.report.joined import Drawn
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

    def pooled(self, group: Group, drawn: Drawn) -> ScoreRecord | None:
        """One score for all training seeds of a system: their mean, with the interval of `Joined`, if all have one."""
        found = [score for entry in drawn.entries if (score := self.score(group, entry))]
        one = drawn.score(group, self.metric, group.protocol.headline_role)
        if one is None or len(found) < 2:
            return next(iter(found), None)
        interval = (one.low, one.high) if all(score.interval for score in found) else None
        return found[0].model_copy(update={"value": one.value, "interval": interval, "spread": None})

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
