"""`check_metric`: whether a metric keeps the contract of `Metric`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pandas as pd

from sf2f_bench.protocols.bench.scoring import OF_EVERY_EXTRACTOR
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.results.recomputation import score_faults
from sf2f_bench.testing.checks import (
    FLAG,
    WORDS,
    Rule,
    expect,
    expect_card,
    expect_error,
    expect_fields,
    run_checks,
)
from sf2f_bench.testing.features import generated_features, photographed_features, rows_of, true_features
from sf2f_bench.types import (
    Alarm,
    Features,
    Margin,
    Metric,
    MetricCard,
    Role,
    Score,
)

ROLES = [role for role in get_args(Role) if role != "none"]
OF_JUDGE = {"takes", "draws", "photos", "training_photos", "training_likeness", "G", "N", "A", "GNA"}
NEEDS = OF_EVERY_EXTRACTOR | OF_JUDGE
NAME = re.compile(r"[^\s|]+")
FEWEST = 24  # people, where the metric is content with fewer
ROUNDING = 1e-6  # relative, of sums in another order
CHANCES = 8  # random generators by which a metric that uses chance is judged
DEVIATIONS = 6  # standard deviations over them that such a metric may differ by


def _is_numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and type(number) is int for key, number in value.items()
    )


def _is_roles(value: object) -> bool:
    return isinstance(value, tuple) and set(value) <= set(ROLES)


COUNT = (lambda value: type(value) is int and value >= 1, "to be a whole number from 1")
FIELDS: dict[str, Rule] = {
    "name": (
        lambda name: isinstance(name, str) and NAME.fullmatch(name) is not None,
        "to be a name without spaces and '|', such as recall@10/g100",
        "rename it",
    ),
    "version": (*COUNT, "raise it when numbers change"),
    "higher_is_better": (*FLAG[:2], "say which end is good"),
    "min_n": (*COUNT, "the fewest people it makes sense for"),
}
OF_ROLES = f"to be a tuple of {', '.join(ROLES)}"
CARD: dict[str, Rule] = {
    "quantity": WORDS,
    "parameters": (
        lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
        "to be a mapping of words to values",
        "name what tells variants apart",
    ),
    "heading": WORDS,
    "factor": (lambda value: _is_finite(value) and value > 0, "to be a number above 0", "1.0 for none"),
    "bounds": (
        lambda value: isinstance(value, tuple) and len(value) == 2 and _rises(*value),
        "to be the smallest and the largest value, None where there is none",
        "look at the formula",
    ),
    "margin": (
        lambda value: isinstance(value, Margin) and _is_finite(value.amount) and value.amount >= 0,
        "to be a Margin of 0 or more",
        "state the drop tolerated before it is a regression",
    ),
    "decides": (_is_roles, OF_ROLES, "by which networks a fall fails the gate"),
    "shown": (_is_roles, OF_ROLES, "by which networks the gate lists it"),
    "tables": (
        lambda value: value is None or _is_numbers(value),
        "to be {table: priority}, or None for the table of further metrics",
        "leave it out",
    ),
    "order": (_is_numbers, "to be {table: place}", "leave it out"),
    "alarm": (lambda value: isinstance(value, Alarm | None), "to be an Alarm or None", "leave it out"),
}


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _rises(low: object, high: object) -> bool:
    ends = [end for end in (low, high) if end is not None]
    return all(map(_is_finite, ends)) and (len(ends) < 2 or ends[0] < ends[1])  # type: ignore[operator]


def check_metric(metric: Metric) -> None:
    """Run every check of a metric's contract on features of a few dozen made-up people.

    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    run_checks(f"metric {getattr(metric, 'name', type(metric).__name__)}", METRIC_CHECKS, MetricTrial(metric))


class MetricTrial:
    """A metric and the features for its checks."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    @property
    def n(self) -> int:
        """People: twice as many as needed, so that strata of half of them are large enough."""
        return max(FEWEST, 2 * self.metric.min_n + 2)

    @cached_property
    def pair(self) -> tuple[Features, Features]:
        """True and generated side, related but not equal."""
        real = true_features(self.n)
        return real, generated_features(real)

    @property
    def card(self) -> MetricCard | None:
        """What the metric says of itself, where it does."""
        return getattr(self.metric, "card", None)

    def score(self, real: Features, fake: Features, seed: int = 0) -> Score:
        """One call with a generator of its own."""
        return self.metric(real, fake, np.random.default_rng(seed))

    def value(self, real: Features, fake: Features) -> tuple[float, float]:
        """(value, what it may differ by): rounding, and chance where the metric uses any."""
        values = [self.score(real, fake, seed).value for seed in range(2)]
        if values[0] != values[1]:
            values += [self.score(real, fake, seed).value for seed in range(2, CHANCES)]
        mean = float(np.mean(values))
        chance = DEVIATIONS * float(np.std(values, ddof=1))
        return mean, ROUNDING * max(1.0, abs(mean)) + chance

    def gain(self, value: float, other: float) -> float:
        """By how much the first value is better than the second; negative where it is worse."""
        return (value - other) * (1 if self.metric.higher_is_better else -1)


# ---------------------------------------------------------------- checks


def it_describes_itself(trial: MetricTrial) -> None:
    """name, version, higher_is_better, needs and min_n as `Metric` has them."""
    expect_fields(trial.metric, "", FIELDS)
    unknown = set(trial.metric.needs) - NEEDS
    expect(not unknown, f"needs among {', '.join(sorted(NEEDS))}", sorted(unknown), "see Features.offers")


def its_card_is_complete_and_in_itself_sound(trial: MetricTrial) -> None:
    """A card, where there is one: heading, format, bounds, chance and margin that make sense together."""
    card = trial.card
    if card is None:
        return
    expect_card(card, MetricCard, CARD)
    low, high = (bound if bound is not None else card.chance for bound in card.bounds)
    inside = card.chance is None or low <= card.chance <= high  # type: ignore[operator]
    expect(inside, f"card.chance within card.bounds {card.bounds}", card.chance, "look at the formula")
    is_suites = not card.headline or {"k", "gallery"} <= set(card.parameters)
    expect(is_suites, "card.headline to be False", True, "the headline is the suite's own recall")
    if card.alarm is not None:
        wrong_end = card.alarm.above == trial.metric.higher_is_better
        side = "above" if card.alarm.above else "below"
        expect(not wrong_end, "an alarm at the bad end", f"one {side} {card.alarm.limit}", "turn it round")


def it_gives_a_sound_score(trial: MetricTrial) -> None:
    """A finite value with its n; interval, per-identity values or replicates agree with it."""
    real, fake = trial.pair
    result = trial.score(real, fake)
    expect(isinstance(result, Score), "a Score", type(result).__name__, "see sf2f_bench.Score")
    remedy = "NaN is for features that allow none"
    expect(bool(np.isfinite(result.value)), "a finite value", result.value, remedy)
    expect(1 <= result.n <= trial.n, f"n from 1 to {trial.n}", result.n, "count the identities it rests on")
    found, column = Scores(), f"{trial.metric.name}|check"
    found.add(trial.metric, result, SimpleNamespace(id="check"), "judge")
    for name, values in (found.columns | found.replicates).items():
        remedy = "one number an identity (or half-sample)"
        expect(np.ndim(values) == 1, f"values of {name} as [N]", list(np.shape(values)), remedy)
    if column in found.columns:
        length, remedy = len(found.columns[column]), "NaN for excluded identities"
        expect(length == trial.n, f"per_identity [{trial.n}]", length, remedy)
    people = pd.DataFrame({"identity": real.identities, **found.columns})
    replicates = pd.DataFrame(found.replicates) if found.replicates else None
    faults = list(score_faults(column, found.scores[0], people, replicates))
    expect(not faults, "a score that follows from its values", "; ".join(faults), "see sf2f_bench.Score")


def it_repeats_itself_and_changes_nothing(trial: MetricTrial) -> None:
    """The same features and random generator give the same score; the features (read-only here) stay as they are."""
    first, again = trial.score(*trial.pair), trial.score(*trial.pair)
    same = first.value == again.value and first.interval == again.interval
    expect(same, "the same score for the same random generator", "another one", "take chance from rng alone")


def the_order_of_people_does_not_matter(trial: MetricTrial) -> None:
    """Both sides in another order of people give the same value (to rounding, and the chance that it uses)."""
    order = np.random.default_rng(7).permutation(trial.n)
    value, slack = trial.value(*trial.pair)
    other, more = trial.value(*(rows_of(side, order) for side in trial.pair))
    expected = f"{value:.9g} whatever the order of the people"
    holds, remedy = abs(value - other) <= slack + more, "do not let the position of a row matter"
    expect(holds, expected, f"{other:.9g}", remedy)


def ties_and_duplicates_do_not_crash(trial: MetricTrial) -> None:
    """One face for all, one true face for all, everybody twice: a Score, NaN where there is no sound one."""
    real, fake = trial.pair
    first, twice = np.zeros(trial.n, np.int64), np.arange(trial.n) // 2

    def repeated(side: Features, rows: np.ndarray) -> Features:
        return replace(rows_of(side, rows), identities=real.identities)

    pairs: dict[str, tuple[Features, Features]] = {
        "one generated face for all": (real, repeated(fake, first)),
        "one true face for all": (replace(repeated(real, first), strata=real.strata), fake),
        "everybody twice": (repeated(real, twice), repeated(fake, twice)),
    }
    for what, pair in pairs.items():
        result = trial.score(*pair)
        low, high = result.interval or (np.nan, np.nan)
        holds = result.interval is None or low - 1e-9 <= result.value <= high + 1e-9
        expected = f"an interval that holds the value for {what}"
        expect(holds, expected, f"{result.value} {result.interval}", "see sf2f_bench.mean_interval")


def the_fewest_people_are_enough_and_fewer_are_refused(trial: MetricTrial) -> None:
    """min_n people give a Score; one fewer BenchError, for a number of them would mislead."""
    fewest = trial.metric.min_n
    real = true_features(fewest, strata=1)
    fake = generated_features(real)
    trial.score(real, fake)
    if fewest < 2:
        return
    kept = np.arange(fewest - 1)
    what = f"{fewest - 1} people, since min_n is {fewest}"
    remedy = "raise BenchError in __call__, or lower min_n"
    expect_error(lambda: trial.score(rows_of(real, kept), rows_of(fake, kept)), what, remedy)


def the_good_end_is_the_good_end(trial: MetricTrial) -> None:
    """Other photos of the right people score no worse than the same photos handed to other people.

    What looks at distributions alone must also prefer photos to unrelated pictures, and right photos must be no worse
    than the chance that a card states.
    """
    real, _ = trial.pair
    right = photographed_features(real)
    order = np.roll(np.arange(trial.n), trial.n // 3)
    shuffled = replace(rows_of(right, order), identities=right.identities)
    assert shuffled.repeat_faces is not None
    assert right.repeat_faces is not None
    mixed = replace(shuffled, repeat_faces=np.stack([right.repeat_faces[0], shuffled.repeat_faces[1]]))
    _expect_no_worse(trial, real, right, mixed, "handed to other people")
    if set(trial.metric.needs) <= {"samples", "probabilities"}:
        assert right.samples is not None
        assert right.probabilities is not None
        spread = np.random.default_rng(5).normal(4.0, 0.1, right.samples.shape)
        level = np.full_like(right.probabilities, 1 / right.probabilities.shape[1])
        _expect_no_worse(trial, real, right, replace(right, samples=spread, probabilities=level), "unrelated")
    if trial.card is not None and trial.card.chance is not None:
        (value, slack), chance = trial.value(real, right), trial.card.chance
        expected = f"true photos to score no worse than card.chance {chance:g}"
        remedy = "look at the direction and at the chance"
        expect(trial.gain(value, chance) >= -slack, expected, f"{value:.6g}", remedy)


def _expect_no_worse(trial: MetricTrial, real: Features, good: Features, bad: Features, what: str) -> None:
    (better, slack), (worse, more) = trial.value(real, good), trial.value(real, bad)
    end = "higher" if trial.metric.higher_is_better else "lower"
    expected = f"true photos to score no worse than photos {what} ({end} is said to be better)"
    remedy = "turn higher_is_better round, or look for rows that are paired wrongly"
    holds = trial.gain(better, worse) >= -(slack + more)
    expect(holds, expected, f"{better:.6g} against {worse:.6g}", remedy)


METRIC_CHECKS: tuple[Callable[[MetricTrial], Any], ...] = (
    it_describes_itself,
    its_card_is_complete_and_in_itself_sound,
    it_gives_a_sound_score,
    it_repeats_itself_and_changes_nothing,
    the_order_of_people_does_not_matter,
    ties_and_duplicates_do_not_crash,
    the_fewest_people_are_enough_and_fewer_are_refused,
    the_good_end_is_the_good_end,
)
