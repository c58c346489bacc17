"""Metric by metric: is the new side worse than the reference by more than the margin?

The test. Differences are signed so that more is better. For each metric that decides, the null hypothesis is that the
true difference, over new training seeds and new identities, is no further below zero than the margin. Its one-sided p
is half the two-sided p of `statistics.paired.compare_scores` after the new side was moved up by the margin (one less
that, where the moved difference is not below zero). Benjamini and Hochberg's q is over all deciding
metrics of all systems judged together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.gate.rules import Margin, Rules
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.results.selection import label_of
from sf2f_bench.results.sides import Key, Side, pair_of
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured, compare_scores

Verdict = Literal["regressed", "passed", "inconclusive"]
SHARP = 4  # margins: a metric that would not have shown even such a fall tells nothing
SAME = 1e-6  # the same seed's numbers, relatively: as near as float32 sums in another order


@dataclass(frozen=True)
class Line:
    """One metric of a system, new against reference, on the n identities that both have.

    difference, lower, upper: new less reference with its 95 % interval, turned so that more is better. p: one-sided,
    against the margin; q: after Benjamini and Hochberg, None where the metric does not decide. unchanged: the new seeds
    stand in the reference with the same numbers, so that there is nothing to estimate.
    """

    system: str
    metric: str
    version: int
    extractor: str | None
    extractor_role: str
    higher_is_better: bool
    decides: bool
    n: int
    reference: float
    new: float
    difference: float
    lower: float
    upper: float
    margin: float
    p: float
    q: float | None = None
    unchanged: bool = False

    @property
    def noticeable(self) -> float:
        """The smallest fall whose whole interval would have been beyond the margin."""
        return self.margin + self.upper - self.difference

    @property
    def tells(self) -> bool:
        """Passed or regressed; or at least would a fall of four margins have been noticed."""
        return self.verdict != "inconclusive" or self.noticeable <= SHARP * self.margin

    @property
    def verdict(self) -> Verdict:
        """Regressed: the whole interval lies beyond the margin, and q < .05; passed: its worse end is within."""
        if self.lower > -self.margin:
            return "passed"
        beyond = self.upper < -self.margin
        return "regressed" if beyond and (self.q is None or self.q < SIGNIFICANT) else "inconclusive"


def lines_of(new: Side, reference: Side, rules: Rules) -> tuple[list[Line], dict[str, str]]:
    """Every metric to decide or to show, q still open; and those that could not be judged, with the reason."""
    part = reference.records[0].benchmark
    lines: list[Line] = []
    left_out: dict[str, str] = {}
    for key, scores in reference.scores.items():
        score = scores[0]
        if not rules.shows(score, part):
            continue
        pair = _pair(new, reference, key)
        if isinstance(pair, str):
            left_out[f"{score.metric} by {score.extractor_role}"] = pair
        else:
            made = _line(label_of(reference.records[0]), score, *pair, rules.margin(score.metric))
            lines.append(replace(made, decides=rules.decides(score, part)))
    return lines, left_out


def with_q(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines with their q, over all that decide; those first."""
    deciding = [line for line in lines if line.decides]
    q = stats.false_discovery_control([line.p for line in deciding]) if deciding else []
    judged = [replace(line, q=float(value)) for line, value in zip(deciding, q, strict=True)]
    return (*judged, *(line for line in lines if not line.decides))


def _pair(new: Side, reference: Side, key: Key) -> tuple[Measured, Measured] | str:
    """The metric of both sides on the identities that both have; or why there is no such thing."""
    if key not in new.scores:
        absent = [row.reason for record in new.records for row in record.absent if row.metric == key[0]]
        return absent[0] if absent else "the new records do not have it"
    return pair_of(new, reference, key, key)


def _line(system: str, score: ScoreRecord, new: Measured, reference: Measured, margin: Margin) -> Line:
    same = _same_seeds(new, reference)
    values = reference.values if same is None else reference.values[same]
    level = float(values.mean())
    line = Line(
        system=system,
        metric=score.metric,
        version=score.version,
        extractor=score.extractor,
        extractor_role=score.extractor_role,
        higher_is_better=score.higher_is_better,
        decides=False,
        n=new.n,
        reference=level,
        new=float(new.values.mean()),
        difference=0.0,
        lower=0.0,
        upper=0.0,
        margin=margin.of(level),
        p=1.0,
        unchanged=same is not None,
    )
    return line if line.unchanged else _tested(line, new, reference)


def _same_seeds(new: Measured, reference: Measured) -> list[int] | None:
    """The reference's rows of the new seeds, where these hold the same numbers; else None."""
    if not set(new.seeds) <= set(reference.seeds):
        return None
    rows = [reference.seeds.index(seed) for seed in new.seeds]
    return rows if np.allclose(new.parts, reference.parts[rows], SAME, SAME) else None


def _tested(line: Line, new: Measured, reference: Measured) -> Line:
    """The line with its difference, the interval and p against the margin."""
    sign = 1 if line.higher_is_better else -1
    shift = sign * line.margin
    new = _two_as_one(new)
    moved = replace(new, values=new.values + shift, parts=new.parts + shift)
    random = np.random.default_rng(seed_of(line.metric, line.extractor))
    found = compare_scores(moved, reference, random)
    effect, interval = sign * found.effect, sorted(sign * bound for bound in found.interval)
    return replace(
        line,
        difference=effect - line.margin,
        lower=interval[0] - line.margin,
        upper=interval[1] - line.margin,
        p=found.p / 2 if effect < 0 else 1 - found.p / 2,
    )


def _two_as_one(new: Measured) -> Measured:
    """Of two seeds the mean, as if it were one seed's.

    The spread of two says next to nothing (Student's t is 12.7), while that of the reference is known. A mean of two
    varies less than one seed, so this is careful.
    """
    if len(new.seeds) != 2:
        return new
    return replace(
        new,
        values=new.values.mean(keepdims=True),
        parts=new.parts.mean(axis=0, keepdims=True),
        seeds=new.seeds[:1],
    )
