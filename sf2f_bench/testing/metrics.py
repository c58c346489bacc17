"""`check_metric`: whether a metric keeps the contract of `Metric`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
import pandas as pd

from sf2f_bench.evaluation.test_people import take
from sf2f_bench.protocols.bench.scoring import OF_EVERY_EXTRACTOR
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.results.validation import score_faults
from sf2f_bench.testing.checks import (
    FLAG,
    WORDS,
    Rule,
    expect,
    expect_card,
    expect_fields,
    one_of,
    run_checks,
)
from sf2f_bench.testing.features import generated_features, photographed_features, rows_of, true_features
from sf2f_bench.types import (
    Alarm,
    BenchError,
    Family,
    Features,
    Format,
    Margin,
    Metric,
    MetricCard,
    Role,
    Score,
)

ROLES = [role for role in get_args(Role) if role != "none"]
NEEDS = OF_EVERY_EXTRACTOR | {"takes", "photos", "training_photos", "G", "N", "A", "GNA"}
NAME = re.compile(r"[^\s|]+")
FEWEST = 24  # people, where the metric is content with fewer
ROUNDING = 1e-6  # relative, of sums in another order
CHANCES = 8  # random generators by which a metric that uses chance is judged
DEVIATIONS = 6  # standard deviations over them that such a metric may differ by


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_numbers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and type(number) is int for key, number in value.items()
    )


def _is_roles(value: object) -> bool:
    return isinstance(value, tuple) and set(value) <= set(ROLES)


FIELDS: dict[str, Rule] = {
    "name": (
        lambda name: isinstance(name, str) and NAME.fullmatch(name) is not None,
        "to be a name without spaces and '|', such as recall@10/g100",
        "rename it",
    ),
    "version": (_is_count, "to be a whole number from 1", "raise it when numbers change"),
    "higher_is_better": (FLAG[0], FLAG[1], "say which end is good"),
    "min_n": (_is_count, "to be a whole number from 1", "the fewest people it makes sense for"),
}
OF_ROLES = f"to be a tuple of {', '.join(ROLES)}"
CARD: dict[str, Rule] = {
    "quantity": WORDS,
    "family": one_of(get_args(Family)),
    "parameters": (
        lambda value: isinstance(value, Mapping) and all(isinstance(key, str) for key in value),
        "to be a mapping of words to values",
        "name what tells variants apart",
    ),
    "heading": WORDS,
    "format": one_of(get_args(Format)),
    "factor": (lambda value: _is_finite(value) and value > 0, "to be a number above 0", "1.0 for none"),
    "bounds": (
        lambda value: isinstance(value, tuple) and len(value) == 2 and _rises(*value),
        "to be the smallest and the largest value, None where there is none",
        "look at the formula",
    ),
    "margin": (
        lambda value: isinstance(value, Margin) and _is_finite(value.amount) and value.amount >= 0,
        "to be a Margin of 0 or more",
        "say how much worse is no regression yet",
    ),
    "decides": (_is_roles, OF_ROLES, "by which networks a fall fails the gate"),
    "shown": (_is_roles, OF_ROLES, "by which networks the gate lists it"),
    "headline": FLAG,
    "tables": (
        lambda value: value is None or _is_numbers(value),
        "to be {table: priority}, or None for the table of further metrics",
        "leave it out",
    ),
    "order": (_is_numbers, "to be {table: place}", "leave it out"),
    "alarm": (lambda value: isinstance(value, Alarm | None), "to be an Alarm or None", "leave it out"),
    "smooth": FLAG,
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


@dataclass
class Network:
    """The id of an invented extractor."""

    id: str = "check"


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
    expect(
        bool(np.isfinite(result.value)), "a finite value", result.value, "NaN is for features that allow none"
    )
    expect(1 <= result.n <= trial.n, f"n from 1 to {trial.n}", result.n, "count the identities it rests on")
    found, column = Scores(), f"{trial.metric.name}|check"
    found.add(trial.metric, result, Network(), "judge")
    found.scores[0]._card = found.cards[trial.metric.name]  # as the record that it goes into does
    for name, values in (found.columns | found.replicates).items():
        right = np.ndim(values) == 1
        expect(
            right,
            f"values of {name} as [N]",
            list(np.shape(values)),
            "one number an identity (or half-sample)",
        )
    if column in found.columns and len(found.columns[column]) != trial.n:
        expect(False, f"per_identity [{trial.n}]", len(found.columns[column]), "NaN for excluded identities")
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
    expect(
        abs(value - other) <= slack + more,
        f"{value:.9g} whatever the order of the people",
        f"{other:.9g}",
        "do not let the position of a row matter",
    )


def ties_and_duplicates_do_not_crash(trial: MetricTrial) -> None:
    """One face for all, one true face for all, everybody twice: a Score, NaN where there is no sound one."""
    real, fake = trial.pair
    first = np.zeros(trial.n, np.int64)
    twice = np.arange(trial.n) // 2
    names = real.identities
    pairs: dict[str, tuple[Features, Features]] = {
        "one generated face for all": (real, replace(rows_of(fake, first), identities=names)),
        "one true face for all": (replace(rows_of(real, first), identities=names, strata=real.strata), fake),
        "everybody twice": (
            replace(rows_of(real, twice), identities=names),
            replace(rows_of(fake, twice), identities=names),
        ),
    }
    for what, pair in pairs.items():
        result = trial.score(*pair)
        holds = (
            result.interval is None or result.interval[0] - 1e-9 <= result.value <= result.interval[1] + 1e-9
        )
        expect(
            holds,
            f"an interval that holds the value for {what}",
            f"{result.value} {result.interval}",
            "see stats",
        )


def the_fewest_people_are_enough_and_fewer_are_refused(trial: MetricTrial) -> None:
    """min_n people give a Score; one fewer BenchError, for a number of them would mislead."""
    fewest = trial.metric.min_n
    real = true_features(fewest, strata=1)
    fake = generated_features(real)
    trial.score(real, fake)
    if fewest < 2:
        return
    kept = np.arange(fewest) < fewest - 1
    try:
        result = trial.score(take(real, kept), take(fake, kept))
    except BenchError:
        return
    expect(
        False,
        f"BenchError for {fewest - 1} people, since min_n is {fewest}",
        f"the value {result.value}",
        "raise BenchError in __call__, or lower min_n",
    )


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
        gain = (value - chance) * (1 if trial.metric.higher_is_better else -1)
        expect(
            gain >= -slack,
            f"true photos to score no worse than card.chance {chance:g}",
            f"{value:.6g}",
            "look at the direction and at the chance",
        )


def _expect_no_worse(trial: MetricTrial, real: Features, good: Features, bad: Features, what: str) -> None:
    (better, slack), (worse, more) = trial.value(real, good), trial.value(real, bad)
    gain = (better - worse) * (1 if trial.metric.higher_is_better else -1)
    end = "higher" if trial.metric.higher_is_better else "lower"
    expect(
        gain >= -(slack + more),
        f"true photos to score no worse than photos {what} ({end} is said to be better)",
        f"{better:.6g} against {worse:.6g}",
        "turn higher_is_better round, or look for rows that are paired wrongly",
    )


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
