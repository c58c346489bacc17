"""What is measured on the association lists, each number with its interval over people."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.association.lists import AssociationList, MatchingList, VerificationList
from sf2f_bench.association.record import Estimate
from sf2f_bench.files import seed_of
from sf2f_bench.metrics.arrays import slices, unit_rows
from sf2f_bench.metrics.precision import average_precisions
from sf2f_bench.metrics.retrieval import TIE_TOLERANCE
from sf2f_bench.metrics.verification import TrialRates
from sf2f_bench.statistics.intervals import jackknife_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.types import FloatArray

    Vector = NDArray[np.float64]

RESAMPLES = 1000
AT_ONCE = 4096  # trials whose embeddings are gathered at once


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings of everything that the lists name: row `row[path]` of `rows`, -1 for what is not there."""

    rows: FloatArray
    row: pd.Series

    def of(self, paths: pd.Series) -> NDArray[np.int64]:
        """The row of every path."""
        return self.row.loc[paths].to_numpy()


@dataclass(frozen=True, eq=False)
class Measured:
    """A statistic of trials in clusters, a cluster the trials of one person.

    statistic: weights of the clusters ``[C]`` -> value; trials ``[C]``: how many each holds; people ``[C]``: whose.
    """

    metric: str
    higher_is_better: bool
    statistic: Callable[[Vector], float]
    trials: NDArray[np.int64]
    people: NDArray[Any]
    left_out: int
    gallery: int | None = None

    def estimate(self, part: NDArray[np.bool_], anchors: Mapping[str, Measured], key: str) -> Estimate | None:
        """Value and interval over the clusters of `part`; None where these trials define none.

        anchors: the same clusters, otherwise answered; key: decides the bootstrap's random numbers.
        """
        weights = part.astype(np.float64)
        value = self.statistic(weights) if part.any() else np.nan
        if not np.isfinite(value):
            return None
        return Estimate(
            value=value,
            interval=cluster_interval(self.statistic, part, np.random.default_rng(seed_of(key))),
            n=int(self.trials[part].sum()),
            identities=int(part.sum()),
            anchors={name: anchor.statistic(weights) for name, anchor in anchors.items()},
        )


def measure(item: AssociationList, heard: Embedded, looked: Embedded) -> list[Measured]:
    """The statistics of one list over the trials whose files are all there; none where no trial is left."""
    if isinstance(item, MatchingList):
        return _matching(item, heard, looked)
    if isinstance(item, VerificationList):
        return _verification(item, heard, looked)
    return [
        *_retrieval("map/voice-to-face", item.recordings, heard, item.photos, looked),
        *_retrieval("map/face-to-voice", item.photos, looked, item.recordings, heard),
    ]


def _matching(item: MatchingList, heard: Embedded, looked: Embedded) -> list[Measured]:
    """How often the right candidate is the nearer one, ties half."""
    probes, candidates = (heard, looked) if item.direction == "v2f" else (looked, heard)
    trials = item.trials
    rows = [probes.of(trials["probe"]), candidates.of(trials["right"]), candidates.of(trials["wrong"])]
    there = np.min(rows, axis=0) >= 0
    probe, right, wrong = (row[there] for row in rows)
    ahead = cosines(probes.rows, probe, candidates.rows, right) - cosines(
        probes.rows, probe, candidates.rows, wrong
    )
    hits = (ahead > TIE_TOLERANCE) + 0.5 * (np.abs(ahead) <= TIE_TOLERANCE)
    return _mean_by_person("matching-accuracy", hits, trials["person"][there], int((~there).sum()))


def _verification(item: VerificationList, heard: Embedded, looked: Embedded) -> list[Measured]:
    """AUC and equal error rate over the listed pairs."""
    trials = item.trials
    voice, face = heard.of(trials["voice"]), looked.of(trials["face"])
    there = (voice >= 0) & (face >= 0)
    same = trials["same"][there].to_numpy()
    if same.all() or not same.any():
        return []
    rates = TrialRates(cosines(heard.rows, voice[there], looked.rows, face[there]), same)
    codes, people = pd.factorize(trials["person"][there])
    trial_counts, left_out = np.bincount(codes), int((~there).sum())
    return [
        Measured(
            "verification-auc", True, lambda w: rates.auc(w[codes]), trial_counts, people.to_numpy(), left_out
        ),
        Measured(
            "verification-eer",
            False,
            lambda w: rates.equal_error_rate(w[codes]),
            trial_counts,
            people.to_numpy(),
            left_out,
        ),
    ]


def _retrieval(
    metric: str, probes: pd.DataFrame, probe_side: Embedded, items: pd.DataFrame, item_side: Embedded
) -> list[Measured]:
    """Mean average precision of finding all items of the probe's person among all items."""
    probe, place = probe_side.of(probes["path"]), item_side.of(items["path"])
    codes, _ = pd.factorize(pd.concat([probes["person"], items["person"]]))
    wanted, owners = codes[: len(probes)][probe >= 0], codes[len(probes) :][place >= 0]
    if not len(wanted) or not len(owners):
        return []
    gallery = item_side.rows[place[place >= 0]]
    values = average_precisions(probe_side.rows[probe[probe >= 0]], wanted, gallery, owners)
    answered = np.isfinite(values)  # the others' people have no item that is there
    people = probes["person"][probe >= 0][answered]
    return _mean_by_person(metric, values[answered], people, len(probes) - int(answered.sum()), len(owners))


def _mean_by_person(
    metric: str, values: Vector, person: pd.Series, left_out: int, gallery: int | None = None
) -> list[Measured]:
    """The mean over trials, as sums and counts of each person's."""
    if not len(values):
        return []
    codes, people = pd.factorize(person)
    sums, counts = np.bincount(codes, values), np.bincount(codes)

    def mean(weights: Vector) -> float:
        return float(weights @ sums / (weights @ counts))

    return [Measured(metric, True, mean, counts, people.to_numpy(), left_out, gallery)]


def cosines(left: FloatArray, left_rows: Any, right: FloatArray, right_rows: Any) -> Vector:
    """Cosine of row `left_rows[t]` of one side with row `right_rows[t]` of the other: ``[T]``."""
    found = [np.zeros(0)]
    for block in slices(len(left_rows), AT_ONCE):
        a, b = (
            unit_rows(rows[chosen[block]].astype(np.float64))
            for rows, chosen in ((left, left_rows), (right, right_rows))
        )
        found.append(np.einsum("td,td->t", a, b))
    return np.concatenate(found)


def cluster_interval(
    statistic: Callable[[Vector], float], part: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[float, float] | None:
    """95 % interval of a statistic in 0..1 by a bootstrap (BCa) over clusters; None where none is sound.

    statistic: weights of the clusters ``[C]`` -> value; part: the clusters that take part. Trials of one person are
    not independent, so people are drawn with replacement, each with all its trials. Where leaving out any one
    person changes nothing, as at a bound, it is `jackknife_interval`'s. Source: Davison and Hinkley 1997, 3.8;
    Efron 1987 through scipy.stats.bootstrap. Pitfall: the other people of the trials (wrong candidates,
    galleries) are held as they are.
    """
    chosen = np.flatnonzero(part)
    if len(chosen) < 2:
        return None

    def value_of(sample: NDArray[np.int64]) -> float:
        return statistic(np.bincount(sample, minlength=len(part)).astype(np.float64))

    without_each = np.array([value_of(np.delete(chosen, place)) for place in range(len(chosen))])
    if not np.isfinite(without_each).all():
        return None
    if np.ptp(without_each) <= TIE_TOLERANCE:
        return jackknife_interval(value_of(chosen), without_each, (0.0, 1.0))
    settings: dict[str, Any] = {"vectorized": False, "n_resamples": RESAMPLES, "rng": rng}
    for method in ("BCa", "percentile"):  # BCa has no answer where all resamples lie on one side
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            found = stats.bootstrap((chosen,), value_of, method=method, **settings).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            return float(found.low), float(found.high)
    return None
