"""The anchors that no training touches must come out as they did: else the instrument changed, not a system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sf2f_bench.results.records import RunRecord, ScoreRecord
from sf2f_bench.results.selection import difference

# The first two are sums of shares. Photos go through networks, whose float32 sums depend on the machine: 3e-6 was
# seen between instruction sets, SSE4 against AVX-512.
TOLERANCES = {"chance": 1e-6, "gender-oracle": 1e-6, "real-photo-oracle": 1e-4}  # relative
NEAR_ZERO = 0.1  # of the tolerance, absolute: for values about zero, such as a kernel distance's best
# Of real photos, what rounding moves a little; counts of identities may jump, by one at an order that nearly ties.
SMOOTH = ("cosine*", "l1", "l2", "*-auc", "inter-identity-similarity", "*-distance*", "mutual-*", "diversity")
JUMPS = 2  # identities that a count may differ by


@dataclass(frozen=True)
class Deviation:
    """An anchor's number that is not what it was."""

    anchor: str
    metric: str
    extractor: str | None
    reference: float
    new: float

    def __str__(self) -> str:
        return f"{self.anchor}: {self.metric} is {self.new:.6g}, it was {self.reference:.6g}"


@dataclass(frozen=True)
class Instrument:
    """Which anchors were held against the reference, in how many numbers; what deviates; which anchors lack."""

    anchors: tuple[str, ...]
    numbers: int
    deviations: tuple[Deviation, ...]
    lacking: tuple[str, ...]

    @property
    def text(self) -> str:
        """One sentence."""
        if self.deviations:
            first = "; ".join(map(str, self.deviations[:3]))
            more = f" and {len(self.deviations) - 3} more" if len(self.deviations) > 3 else ""
            return (
                f"the instrument measures otherwise than the reference did: {first}{more}. No training moves these "
                "anchors: look at the gallery, the crop, the channels' order and the networks that judge"
            )
        return f"{', '.join(self.anchors) or 'no anchor'}: {self.numbers} numbers, all as in the reference"


def check_instrument(new: Sequence[RunRecord], reference: Sequence[RunRecord]) -> Instrument:
    """Every number that an exact anchor has on both sides, on comparable records."""
    found: list[str] = []
    lacking: list[str] = []
    numbers, deviations = 0, []
    for old in reference:
        name = old.system.name
        if name not in TOLERANCES or name in found:
            continue
        same = [record for record in new if record.system.name == name and difference(record, old) is None]
        if not same:
            lacking.append(name)
            continue
        found.append(name)
        numbers += len(_shared(same[0], old))
        deviations += _deviations(same[0], old)
    return Instrument(tuple(found), numbers, tuple(deviations), tuple(dict.fromkeys(lacking)))


def _shared(new: RunRecord, old: RunRecord) -> list[tuple[float, ScoreRecord]]:
    """What both have: the new value and the old score."""
    values = {(score.metric, score.extractor): score.value for score in new.scores}
    return [
        (values[score.metric, score.extractor], score)
        for score in old.scores
        if (score.metric, score.extractor) in values
    ]


def _deviations(new: RunRecord, old: RunRecord) -> list[Deviation]:
    tolerance = TOLERANCES[old.system.name]
    return [
        Deviation(old.system.name, score.metric, score.extractor, score.value, value)
        for value, score in _shared(new, old)
        if not math.isclose(value, score.value, rel_tol=tolerance, abs_tol=_absolute(score, tolerance))
    ]


def _absolute(score: ScoreRecord, tolerance: float) -> float:
    """How far a value may be off, however small it is."""
    exact = score.extractor is None or any(fnmatchcase(score.metric, pattern) for pattern in SMOOTH)
    return NEAR_ZERO * tolerance if exact else JUMPS / score.n
