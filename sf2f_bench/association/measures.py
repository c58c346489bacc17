"""The measures of the association lists, each with its interval over people."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.association.lists import AssociationList, MatchingList, RetrievalList, VerificationList
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
TRIALS_AT_ONCE = 4096  # whose embeddings are gathered


@dataclass(frozen=True, eq=False)
class EmbeddedFiles:
    """Embeddings of every file that the lists name: `row[path]` of `rows`, -1 for a file that is missing."""

    rows: FloatArray
    row: pd.Series

    def of(self, paths: pd.Series) -> NDArray[np.int64]:
        """The row of every path."""
        return self.row.loc[paths].to_numpy()


@dataclass(frozen=True, eq=False)
class ClusteredStatistic:
    """A statistic of trials in clusters, one cluster for each person.

    statistic: weights of the clusters ``[C]`` -> value; trials ``[C]``: of each cluster; people ``[C]``: whose.
    """

    metric: str
    higher_is_better: bool
    statistic: Callable[[Vector], float]
    trials: NDArray[np.int64]
    people: NDArray[Any]
    left_out: int
    gallery: int | None = None

    def estimate(
        self, part: NDArray[np.bool_], chance: ClusteredStatistic, gender_only: ClusteredStatistic, key: str
    ) -> Estimate | None:
        """Value and interval over the clusters of `part`; None where it is undefined on these trials.

        chance, gender_only: of the same clusters, answered by chance and by gender; key: seeds the bootstrap.
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
            chance=chance.statistic(weights),
            gender_only=gender_only.statistic(weights),
        )


def measure(item: AssociationList, voices: EmbeddedFiles, faces: EmbeddedFiles) -> list[ClusteredStatistic]:
    """The statistics of one list over the trials whose files are all there; none where no trial is left."""
    if isinstance(item, MatchingList):
        return _matching(item, voices, faces)
    if isinstance(item, VerificationList):
        return _verification(item, voices, faces)
    assert isinstance(item, RetrievalList)
    return [
        *_retrieval("map/voice-to-face", item.recordings, voices, item.photos, faces),
        *_retrieval("map/face-to-voice", item.photos, faces, item.recordings, voices),
    ]


def _matching(item: MatchingList, voices: EmbeddedFiles, faces: EmbeddedFiles) -> list[ClusteredStatistic]:
    """How often the right candidate is the nearer one; ties count half."""
    probes, candidates = (voices, faces) if item.direction == "v2f" else (faces, voices)
    trials = item.trials
    rows = [probes.of(trials["probe"]), candidates.of(trials["right"]), candidates.of(trials["wrong"])]
    there = np.min(rows, axis=0) >= 0
    probe, right, wrong = (row[there] for row in rows)
    to_right, to_wrong = (cosines(probes.rows, probe, candidates.rows, rows) for rows in (right, wrong))
    ahead = to_right - to_wrong
    hits = (ahead > TIE_TOLERANCE) + 0.5 * (np.abs(ahead) <= TIE_TOLERANCE)
    return _mean_by_person("matching-accuracy", hits, trials["person"][there], int((~there).sum()))


def _verification(
    item: VerificationList, voices: EmbeddedFiles, faces: EmbeddedFiles
) -> list[ClusteredStatistic]:
    """AUC and equal error rate over the listed pairs."""
    trials = item.trials
    voice, face = voices.of(trials["voice"]), faces.of(trials["face"])
    there = (voice >= 0) & (face >= 0)
    same = trials["same"][there].to_numpy()
    if same.all() or not same.any():
        return []
    rates = TrialRates(cosines(voices.rows, voice[there], faces.rows, face[there]), same)
    codes, people = pd.factorize(trials["person"][there])
    common = np.bincount(codes), people.to_numpy(), int((~there).sum())
    return [
        ClusteredStatistic("verification-auc", True, lambda w: rates.auc(w[codes]), *common),
        ClusteredStatistic("verification-eer", False, lambda w: rates.equal_error_rate(w[codes]), *common),
    ]


def _retrieval(
    metric: str,
    probes: pd.DataFrame,
    probe_side: EmbeddedFiles,
    items: pd.DataFrame,
    item_side: EmbeddedFiles,
) -> list[ClusteredStatistic]:
    """Mean average precision of finding all items of the probe's person among all items."""
    probe, place = probe_side.of(probes["path"]), item_side.of(items["path"])
    codes, _ = pd.factorize(pd.concat([probes["person"], items["person"]]))
    wanted, owners = codes[: len(probes)][probe >= 0], codes[len(probes) :][place >= 0]
    if not len(wanted) or not len(owners):
        return []
    gallery = item_side.rows[place[place >= 0]]
    values = average_precisions(probe_side.rows[probe[probe >= 0]], wanted, gallery, owners)
    answered = np.isfinite(values)  # the other probes' people have no item whose file is there
    people = probes["person"][probe >= 0][answered]
    return _mean_by_person(metric, values[answered], people, len(probes) - int(answered.sum()), len(owners))


def _mean_by_person(
    metric: str, values: Vector, person: pd.Series, left_out: int, gallery: int | None = None
) -> list[ClusteredStatistic]:
    """The mean over trials, as sums and counts of each person's."""
    if not len(values):
        return []
    codes, people = pd.factorize(person)
    sums, counts = np.bincount(codes, values), np.bincount(codes)

    def mean(weights: Vector) -> float:
        return float(weights @ sums / (weights @ counts))

    return [ClusteredStatistic(metric, True, mean, counts, people.to_numpy(), left_out, gallery)]


def cosines(left: FloatArray, left_rows: Any, right: FloatArray, right_rows: Any) -> Vector:
    """Cosine of row `left_rows[t]` of one side with row `right_rows[t]` of the other: ``[T]``."""
    found = [np.zeros(0)]
    for block in slices(len(left_rows), TRIALS_AT_ONCE):
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

    statistic: weights of the clusters ``[C]`` -> value; part: the clusters included. Trials of one person are not
    independent, so people are resampled with replacement, each with all their trials. Where leaving out any one
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
