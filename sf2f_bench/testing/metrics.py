"""`check_metric`: does a metric keep the contract of `Metric`?"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from sf2f_bench.evaluation.test_people import take
from sf2f_bench.protocols.bench.scoring import OF_EVERY_EXTRACTOR
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.results.validation import score_faults
from sf2f_bench.testing.checks import expect, run_checks
from sf2f_bench.testing.features import drawn_features, photographed_features, rows_of, true_features
from sf2f_bench.types import BenchError, Features, Metric, Score

NEEDS = OF_EVERY_EXTRACTOR | {"takes", "photos", "training_photos", "G", "N", "A", "GNA"}
NAME = re.compile(r"[^\s|]+")
FEWEST = 24  # people, where the metric is content with fewer
ROUNDING = 1e-6  # relative, of sums in another order
CHANCES = 8  # random generators by which a metric that draws is judged
DEVIATIONS = 6  # standard deviations of its draws that such a metric may differ by


def check_metric(metric: Metric) -> None:
    """Run every check of a metric's contract on features of a few dozen made-up people.

    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    run_checks(f"metric {getattr(metric, 'name', type(metric).__name__)}", METRIC_CHECKS, Trial(metric))


@dataclass
class Looks:
    """The id under which a result is put down."""

    id: str = "check"


class Trial:
    """A metric and the features that it is tried on."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    @property
    def n(self) -> int:
        """People: twice as many as needed, so that strata of half of them are large enough."""
        return max(FEWEST, 2 * self.metric.min_n + 2)

    @cached_property
    def pair(self) -> tuple[Features, Features]:
        """True and drawn side, related but not equal."""
        real = true_features(self.n)
        return real, drawn_features(real)

    def score(self, real: Features, fake: Features, seed: int = 0) -> Score:
        """One call with a generator of its own."""
        return self.metric(real, fake, np.random.default_rng(seed))

    def value(self, real: Features, fake: Features) -> tuple[float, float]:
        """(value, what it may differ by): rounding, and chance where the metric draws."""
        values = [self.score(real, fake, seed).value for seed in range(2)]
        if values[0] != values[1]:
            values += [self.score(real, fake, seed).value for seed in range(2, CHANCES)]
        mean = float(np.mean(values))
        chance = DEVIATIONS * float(np.std(values, ddof=1))
        return mean, ROUNDING * max(1.0, abs(mean)) + chance


# ---------------------------------------------------------------- checks


def it_describes_itself(trial: Trial) -> None:
    """name, version, higher_is_better, needs and min_n as `Metric` has them."""
    metric = trial.metric
    right = isinstance(metric.name, str) and NAME.fullmatch(metric.name) is not None
    expect(right, "a name without spaces and '|', such as recall@10/g100", repr(metric.name), "rename it")
    right = type(metric.version) is int and metric.version >= 1
    expect(right, "version to be a whole number from 1", repr(metric.version), "raise it when numbers change")
    expect(
        type(metric.higher_is_better) is bool,
        "higher_is_better to be True or False",
        repr(metric.higher_is_better),
        "say which end is good",
    )
    unknown = set(metric.needs) - NEEDS
    expect(not unknown, f"needs among {', '.join(sorted(NEEDS))}", sorted(unknown), "see Features.offers")
    right = type(metric.min_n) is int and metric.min_n >= 1
    expect(
        right, "min_n to be a whole number from 1", repr(metric.min_n), "the fewest people it makes sense for"
    )


def it_gives_a_sound_score(trial: Trial) -> None:
    """A finite value with its n; interval, per-identity values or replicates agree with it."""
    real, fake = trial.pair
    result = trial.score(real, fake)
    expect(isinstance(result, Score), "a Score", type(result).__name__, "see sf2f_bench.Score")
    expect(
        bool(np.isfinite(result.value)), "a finite value", result.value, "NaN is for features that allow none"
    )
    expect(1 <= result.n <= trial.n, f"n from 1 to {trial.n}", result.n, "count the identities it rests on")
    found, column = Scores(), f"{trial.metric.name}|check"
    found.add(trial.metric, result, Looks(), "judge")
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
        expect(
            False, f"per_identity [{trial.n}]", len(found.columns[column]), "NaN for who does not take part"
        )
    people = pd.DataFrame({"identity": real.identities, **found.columns})
    replicates = pd.DataFrame(found.replicates) if found.replicates else None
    faults = list(score_faults(column, found.scores[0], people, replicates))
    expect(not faults, "a score that follows from its values", "; ".join(faults), "see sf2f_bench.Score")


def it_repeats_itself_and_changes_nothing(trial: Trial) -> None:
    """The same features and random generator give the same score; the features (read-only here) stay as they are."""
    first, again = trial.score(*trial.pair), trial.score(*trial.pair)
    same = first.value == again.value and first.interval == again.interval
    expect(same, "the same score for the same random generator", "another one", "draw chance from rng alone")


def the_order_of_people_does_not_matter(trial: Trial) -> None:
    """Both sides in another order of people give the same value (to rounding, and chance where it draws)."""
    order = np.random.default_rng(7).permutation(trial.n)
    value, slack = trial.value(*trial.pair)
    other, more = trial.value(*(rows_of(side, order) for side in trial.pair))
    expect(
        abs(value - other) <= slack + more,
        f"{value:.9g} whatever the order of the people",
        f"{other:.9g}",
        "do not let the position of a row matter",
    )


def ties_and_duplicates_do_not_crash(trial: Trial) -> None:
    """One face for all, one true face for all, everybody twice: a Score, NaN where there is no sound one."""
    real, fake = trial.pair
    first = np.zeros(trial.n, np.int64)
    twice = np.arange(trial.n) // 2
    names = real.identities
    pairs: dict[str, tuple[Features, Features]] = {
        "one drawn face for all": (real, replace(rows_of(fake, first), identities=names)),
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


def the_fewest_people_are_enough_and_fewer_are_refused(trial: Trial) -> None:
    """min_n people give a Score; one fewer BenchError, for a number of them would mislead."""
    fewest = trial.metric.min_n
    real = true_features(fewest, strata=1)
    fake = drawn_features(real)
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


def the_good_end_is_the_good_end(trial: Trial) -> None:
    """Other photos of the right people score no worse than the same photos handed to other people.

    What looks at distributions alone must also prefer photos to unrelated pictures.
    """
    real, _ = trial.pair
    right = photographed_features(real)
    order = np.roll(np.arange(trial.n), trial.n // 3)
    shuffled = replace(rows_of(right, order), identities=right.identities)
    assert shuffled.takes is not None
    assert right.takes is not None
    mixed = replace(shuffled, takes=np.stack([right.takes[0], shuffled.takes[1]]))
    _expect_no_worse(trial, real, right, mixed, "handed to other people")
    if set(trial.metric.needs) <= {"samples", "probabilities"}:
        assert right.samples is not None
        assert right.probabilities is not None
        spread = np.random.default_rng(5).normal(4.0, 0.1, right.samples.shape)
        level = np.full_like(right.probabilities, 1 / right.probabilities.shape[1])
        _expect_no_worse(trial, real, right, replace(right, samples=spread, probabilities=level), "unrelated")


def _expect_no_worse(trial: Trial, real: Features, good: Features, bad: Features, what: str) -> None:
    (better, slack), (worse, more) = trial.value(real, good), trial.value(real, bad)
    gain = (better - worse) * (1 if trial.metric.higher_is_better else -1)
    end = "higher" if trial.metric.higher_is_better else "lower"
    expect(
        gain >= -(slack + more),
        f"true photos to score no worse than photos {what} ({end} is said to be better)",
        f"{better:.6g} against {worse:.6g}",
        "turn higher_is_better round, or look for rows that are paired wrongly",
    )


METRIC_CHECKS: tuple[Callable[[Trial], Any], ...] = (
    it_describes_itself,
    it_gives_a_sound_score,
    it_repeats_itself_and_changes_nothing,
    the_order_of_people_does_not_matter,
    ties_and_duplicates_do_not_crash,
    the_fewest_people_are_enough_and_fewer_are_refused,
    the_good_end_is_the_good_end,
)
