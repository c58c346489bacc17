"""The claims of the SF2F paper, each put to the records of a group: effect, interval, and what can be said.

From records alone, so the same command answers on any data. A claim about two systems is answered by their difference
in one metric, paired by identity, over all training seeds of both (`sf2f_bench.statistics.paired`), and only where
each has three of them. All claims of one budget are corrected together for their number, after Benjamini and Hochberg.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.report.tables import NOT_CONVERGED, WARNED
from sf2f_bench.report.verdicts import warnings_of
from sf2f_bench.results.convergence import unconverged
from sf2f_bench.results.numbers import NOTHING, number
from sf2f_bench.results.records import NO_CARD, ScoreRecord
from sf2f_bench.results.seed_runs import (
    MIN_SEEDS,
    Key,
    SeedRuns,
    missing_seeds,
    other_identities,
    pair_of,
    systems_of,
)
from sf2f_bench.results.selection import Entry, Group, cached_per_group
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured, compare_scores, of_these_trainings
from sf2f_bench.types import MetricCard

if TYPE_CHECKING:
    from sf2f_bench.statistics.intervals import Interval

Verdict = Literal["supported", "contradicted", "cannot be told", "not measured"]
ABSTRACT, PARTS, LENGTHS = "SF2F, abstract", "SF2F, supplement, Table 2", "SF2F, supplement, Table 3"
OURS = "asked here"
# Claims are about systems by name; of metrics they ask the cards.
SF2F, FUSED, RIVAL = "sf2f-{size}", "sf2f-{size}-fuser", "voice2face-{size}"


@dataclass(frozen=True)
class Effect:
    """What an answer rests on: a difference that the claim says is above zero, and how sure it is.

    compared: the numbers in words; p: two-sided, None where too few seeds were trained (`missing`) and for a share that
    is held against a limit, whose verdict the bounds give.
    """

    value: float
    interval: Interval
    compared: str
    n: int
    seeds: str
    p: float | None = None
    missing: str = ""
    card: MetricCard = NO_CARD

    def signed(self, value: float) -> str:
        """As the metric's numbers are written, with a sign."""
        text = number(self.card.factor * abs(value), self.card.format, 3)
        return f"{'-' if value < 0 else '+'}{text}"


@dataclass(frozen=True)
class Claim:
    """One sentence that can be true or false. find: its effect in a trial; None, or a reason, where it has none."""

    text: str
    source: str
    find: Callable[[Trial], Effect | str]


@dataclass(frozen=True)
class Finding:
    """A claim with its answer. reason: why there is no verdict."""

    text: str
    source: str
    verdict: Verdict
    effect: Effect | None = None
    reason: str = ""

    @property
    def answer(self) -> str:
        """The verdict, with the reason where there is none: ``cannot be told at n = 300 and 3 seeds``."""
        return self.verdict + self.because

    @property
    def because(self) -> str:
        """What stands behind the verdict: `` at n = 300 and 3 seeds``, or a reason after a colon."""
        between = "" if not self.reason else " " if self.reason.startswith("at ") else ": "
        return between + self.reason

    @property
    def measured(self) -> str:
        """``+.135 [+.055, +.215]``; a dash where nothing was."""
        if self.effect is None:
            return NOTHING
        value, low, high = (self.effect.signed(one) for one in (self.effect.value, *self.effect.interval))
        return f"{value} [{low}, {high}]"

    @property
    def compared(self) -> str:
        """The numbers that the effect is the difference of, and of how many people and seeds; empty where none is."""
        effect = self.effect
        return f"{effect.compared}; n = {effect.n}, {effect.seeds}" if effect else ""


@dataclass(frozen=True)
class Trial:
    """The systems of one group that were trained under one budget, at one width."""

    group: Group
    budget: str
    width: float | None

    @property
    def title(self) -> str:
        """``budget default, width 0.25, not converged``: the last where SF2F was still learning at the end."""
        words = [f"budget {self.budget}", f"width {self.width:g}" if self.width not in (None, 1.0) else ""]
        names = systems_of(self.group)
        is_rising = any(names[name] is self.whole for name in unconverged(self.group))
        return ", ".join(filter(None, [*words, "not converged" if is_rising else ""]))

    def runs(self, name: str) -> SeedRuns | None:
        """All seeds of a system by its name, where ``{size}`` is the benchmark's pixels; None where it has no row."""
        name = name.format(size=self.group.part.image_size)
        return next((runs for entry, runs in self._systems() if entry.record.system.name == name), None)

    @property
    def whole(self) -> SeedRuns:
        """SF2F with its fuser; without, where only that was trained."""
        found = self.runs(FUSED) or self.runs(SF2F)
        assert found is not None
        return found

    def ablations(self) -> list[tuple[Entry, SeedRuns]]:
        """Every ablation's first entry, with all of its seeds."""
        return [(entry, runs) for entry, runs in self._systems() if entry.zone == "ablation"]

    def anchors(self, purpose: str) -> list[SeedRuns]:
        """Of the group, whatever it was trained under."""
        found = systems_of(self.group)
        names = self.group.by_system.items()
        return [found[name] for name, rows in names if rows[0].record.system.purpose == purpose]

    def _systems(self) -> Iterator[tuple[Entry, SeedRuns]]:
        for name, entries in self.group.by_system.items():
            record = entries[0].record
            if entries[0].is_trained and (record.budget, record.system.width) == (self.budget, self.width):
                yield entries[0], systems_of(self.group)[name]

    def key(self, runs: SeedRuns, metric: str) -> Key | None:
        """The metric by the network of the verdicts, or in an anchor's own space; None where a record lacks it."""
        roles = (self.group.protocol.headline_role, "none")
        found = (
            key
            for key, scores in runs.scores.items()
            if key[0] == metric and scores[0].extractor_role in roles
        )
        return next(found, None)


@cached_per_group
def answered_claims(group: Group) -> dict[str, list[Finding]]:
    """Every claim's answer, by the budget and width of the systems; empty where the data are unpaired.

    Only budgets under which a whole SF2F was trained; a claim about a system that has no row says what to run.
    """
    if not group.part.paired:
        return {}
    names = [name.format(size=group.part.image_size) for name in (SF2F, FUSED)]
    rows = [entry.record for entry in group.systems if entry.record.system.name in names]
    trials = dict.fromkeys((record.budget, record.system.width) for record in rows)
    return {trial.title: _answers(trial) for trial in (Trial(group, *of) for of in trials)}


def _answers(trial: Trial) -> list[Finding]:
    found = [(claim, claim.find(trial)) for claim in (*CLAIMS, *_of_parts(trial))]
    p = [effect.p for _, effect in found if isinstance(effect, Effect) and effect.p is not None]
    q = iter(stats.false_discovery_control(p) if p else ())
    return [
        Finding(claim.text, claim.source, "not measured", reason=effect)
        if isinstance(effect, str)
        else _judged(claim, effect, float(next(q)) if effect.p is not None else None)
        for claim, effect in found
    ]


def _judged(claim: Claim, effect: Effect, q: float | None) -> Finding:
    low, high = effect.interval
    if effect.missing:
        return Finding(claim.text, claim.source, "cannot be told", effect, effect.missing)
    if (q is not None and q >= SIGNIFICANT) or low <= 0 <= high:
        return Finding(
            claim.text, claim.source, "cannot be told", effect, f"at n = {effect.n} and {effect.seeds}"
        )
    return Finding(claim.text, claim.source, "supported" if effect.value > 0 else "contradicted", effect)


# ---------------------------------------------------------------- effects


def _difference(trial: Trial, a: str, b: str, metric: str = "", times: float = 1.0) -> Effect | str:
    """System A less `times` system B, by name, in a metric (the headline where none is named)."""
    one, other = trial.runs(a), trial.runs(b)
    if one is None or other is None:
        names = [name.format(size=trial.group.part.image_size) for name in (a, b)]
        absent = [name for name, runs in zip(names, (one, other), strict=True) if runs is None]
        return (
            f"needs {' and '.join(absent)}: `sf2f-bench run --budget {trial.budget} -m {' -m '.join(absent)}`"
        )
    return _between(trial, one, other, metric or trial.group.headline, times)


def _between(trial: Trial, a: SeedRuns, b: SeedRuns, metric: str, times: float = 1.0) -> Effect | str:
    left, right = trial.key(a, metric), trial.key(b, metric)
    if left is None or right is None:
        return f"{metric or 'the headline metric'} is not on both sides"
    if reason := other_identities(a, b):
        return reason
    pair = pair_of(a, b, left, right)
    return pair if isinstance(pair, str) else _paired(trial, (a, b), pair, a.scores[left][0], times)


def _paired(
    trial: Trial,
    runs: tuple[SeedRuns, SeedRuns],
    pair: tuple[Measured, Measured],
    score: ScoreRecord,
    times: float,
) -> Effect:
    """Of a score's two sides; with too few seeds for new people alone."""
    a, b = runs
    missing = missing_seeds(a, b) or ""
    sides = of_these_trainings(*pair) if missing else pair
    scaled = replace(sides[1], values=times * sides[1].values, parts=times * sides[1].parts)
    found = compare_scores(sides[0], scaled, np.random.default_rng(seed_of(score.metric, "claims")))
    card = score.card

    def shown(side: Measured) -> str:
        return number(card.factor * float(side.values.mean()), card.format, 3)

    rival = f"{shown(pair[1])} of {b.name}{_marks(trial, b)}" if b is not a else shown(pair[1])
    factor = f"{times:g} x " if times != 1 else ""
    compared = f"{card.term or card.heading} {shown(pair[0])}{_marks(trial, a)} against {factor}{rival}"
    counts = [len(side.seeds) for side in (a, b) if side.seeds]
    seeds = f"{min(counts)} seed{'s' if min(counts) > 1 else ''}" if counts else "no seeds"
    p = None if missing else found.p
    return Effect(found.effect, found.interval, compared, found.n, seeds, p, missing, card)


def _marks(trial: Trial, runs: SeedRuns) -> str:
    """`` † !`` behind a system that was trained too briefly, and one that a warning is about."""
    names = [name for name, found in systems_of(trial.group).items() if found is runs]
    entries = [entry for name in names for entry in trial.group.by_system[name]]
    is_rising = any(name in unconverged(trial.group) for name in names)
    is_warned = any(note.alarm for entry in entries for note in warnings_of(trial.group, entry))
    return f" {NOT_CONVERGED}" * is_rising + f" {WARNED}" * is_warned


def _more_audio(trial: Trial) -> Effect | str:
    """Recall from all speech less recall from the shortest stretch of it, of one system."""
    runs = trial.whole
    lengths = [length for length in trial.group.variants("seconds") if isinstance(length, float)]
    if not lengths:
        return "no record has the headline metric with less speech"
    left = trial.key(runs, trial.group.headline)
    right = trial.key(runs, trial.group.variants("seconds")[min(lengths)])
    if left is None or right is None:
        return "not every seed has the headline metric with less speech"
    pair = pair_of(runs, runs, left, right)
    if isinstance(pair, str):
        return pair
    effect = _paired(trial, (runs, runs), pair, runs.scores[left][0], 1.0)
    return replace(effect, compared=f"{effect.compared} with {min(lengths):g} s")


def _against(purpose: str, choose: Callable[..., SeedRuns]) -> Callable[[Trial], Effect | str]:
    """SF2F against one of the anchors of a purpose, the one that `choose` (min or max) picks by the headline metric."""

    def find(trial: Trial) -> Effect | str:
        name = trial.group.headline
        rivals = {
            anchor: anchor.scores[key][0].value
            for anchor in trial.anchors(purpose)
            if (key := trial.key(anchor, name))
        }
        if not rivals:
            return f"needs an anchor that stands for {purpose}"
        return _between(trial, trial.whole, choose(rivals, key=rivals.__getitem__), name)

    return find


def _not_copied(trial: Trial) -> Effect | str:
    """How far the shares of what was copied are below the limits of their alarms, where one comes nearest to its limit.

    Alarms that ring above a limit are those of copying.
    """
    found = []
    for name, card in trial.group.metrics.items():
        key = trial.key(trial.whole, name) if card.alarm and card.alarm.above else None
        scores = trial.whole.scores[key] if key else ()
        if card.alarm and scores and all(score.interval for score in scores):
            found.append(_below(card.alarm.limit, scores, card.heading or name))
    return min(
        found,
        key=lambda effect: effect.interval[0],
        default="needs shares of what was copied, with intervals",
    )


def _below(limit: float, scores: Sequence[ScoreRecord], heading: str) -> Effect:
    """The verdict holds for every seed: the interval runs from the worst lower to the best upper bound."""
    bounds = [(limit - score.interval[1], limit - score.interval[0]) for score in scores if score.interval]
    worst = max(score.value for score in scores)
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    compared = f"{heading} {number(worst, 'share', 3)} at most, limit {number(limit, 'share', 3)}"
    few = len(scores) < MIN_SEEDS
    missing = f"needs three training seeds; has {len(scores)}" if few else ""
    seeds = f"{len(scores)} seed{'s, each by itself' if len(scores) > 1 else ''}"
    return Effect(limit - worst, (low, high), compared, scores[0].n, seeds, None, missing, scores[0].card)


def _quality(trial: Trial) -> Effect | str:
    """The protocol's first metric of quality, by the network of the verdicts."""
    names = (name for name, card in trial.group.metrics.items() if card.family == "quality")
    name = next(names, None)
    return _difference(trial, FUSED, RIVAL, name) if name else "no record has a quality score"


CLAIMS = (
    Claim(
        "SF2F has more than twice the identity recall of voice2face",
        ABSTRACT,
        lambda trial: _difference(trial, FUSED, RIVAL, times=2.0),
    ),
    Claim(
        "SF2F has a higher identity recall than voice2face",
        ABSTRACT,
        lambda trial: _difference(trial, FUSED, RIVAL),
    ),
    Claim("SF2F has a higher quality score than voice2face", ABSTRACT, _quality),
    Claim("The fuser raises the recall", LENGTHS, lambda trial: _difference(trial, FUSED, SF2F)),
    Claim("More speech raises the recall", LENGTHS, _more_audio),
    Claim("SF2F hears more than the gender", OURS, _against("known-attribute", min)),
    Claim("SF2F hears more than a straight line from the voice", OURS, _against("straight-line", max)),
    Claim("SF2F draws faces that were not copied from training photos", OURS, _not_copied),
)


def _of_parts(trial: Trial) -> Iterator[Claim]:
    """One claim for each ablation: that what it is without raises the recall."""
    for entry, runs in trial.ablations():
        part = entry.record.system

        def find(trial: Trial, runs: SeedRuns = runs, whole: str = part.ablation_of) -> Effect | str:
            full = trial.runs(whole)
            return _between(trial, full, runs, trial.group.headline) if full else f"needs {whole}"

        yield Claim(f"SF2F has a higher recall than SF2F {part.change}", PARTS, find)
