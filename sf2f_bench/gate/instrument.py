"""Anchors that no training affects must repeat the reference's numbers; else the instrument changed, not a system."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sf2f_bench.progress import first_few
from sf2f_bench.results.records import RunRecord, ScoreRecord
from sf2f_bench.results.selection import difference

NEAR_ZERO = 0.1  # of the tolerance, absolute: for values about zero, such as a kernel distance at its best
# Networks sum in float32, in an order that depends on the machine. Where a metric counts identities, one may therefore
# change sides at an order that nearly ties: `MetricCard.smooth` is False there.
COUNT_TOLERANCE = 2  # identities that a count may differ by


@dataclass(frozen=True)
class AnchorDeviation:
    """A number of an anchor that differs from the reference's."""

    anchor: str
    metric: str
    extractor: str | None
    reference: float
    new: float

    def __str__(self) -> str:
        return f"{self.anchor}: {self.metric} is {self.new:.6g}, was {self.reference:.6g}"


@dataclass(frozen=True)
class Instrument:
    """The anchors compared with the reference, in how many numbers; which deviate; which anchors are missing."""

    anchors: tuple[str, ...]
    numbers: int
    deviations: tuple[AnchorDeviation, ...]
    missing: tuple[str, ...]

    @property
    def text(self) -> str:
        """One sentence."""
        if not self.anchors:
            return "not checked: no anchor that training does not move stands on both sides"
        if not self.deviations:
            return f"{', '.join(self.anchors)}: {self.numbers} numbers, all as in the reference"
        return (
            f"the instrument has changed: {first_few(list(map(str, self.deviations)), 3, '; ')}. No training affects "
            "these anchors: check the gallery, the crop, the channel order and the networks that judge"
        )


def check_instrument(new: Sequence[RunRecord], reference: Sequence[RunRecord]) -> Instrument:
    """Compare every number that an anchor with a tolerance has on both sides, on comparable records."""
    compared: list[str] = []
    missing: list[str] = []
    numbers, deviations = 0, []
    for old in reference:
        name = old.system.name
        if old.system.tolerance is None or name in compared:
            continue
        now = next((one for one in new if one.system.name == name and difference(one, old) is None), None)
        if now is None:
            missing.append(name)
            continue
        shared = list(_shared(now, old))
        compared.append(name)
        numbers += len(shared)
        deviations += [
            AnchorDeviation(name, score.metric, score.extractor, score.value, value)
            for value, score in shared
            if not _as_before(value, score, old.system.tolerance)
        ]
    return Instrument(tuple(compared), numbers, tuple(deviations), tuple(dict.fromkeys(missing)))


def _shared(new: RunRecord, old: RunRecord) -> Iterator[tuple[float, ScoreRecord]]:
    """The new value beside the old score of every metric that both records have."""
    values = {score.column: score.value for score in new.scores}
    return ((values[score.column], score) for score in old.scores if score.column in values)


def _as_before(value: float, score: ScoreRecord, tolerance: float) -> bool:
    exact = score.extractor is None or score.card.smooth
    slack = NEAR_ZERO * tolerance if exact else COUNT_TOLERANCE / score.n
    return math.isclose(value, score.value, rel_tol=tolerance, abs_tol=slack)
