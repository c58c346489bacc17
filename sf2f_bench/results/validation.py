"""Checks saved records: schema, files, hashes, and every number recomputed from its per-identity values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats

from sf2f_bench.results.records import SIDE_FILES, RunRecord, ScoreRecord, load
from sf2f_bench.statistics.intervals import HALVES, half_sample_error
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

KEY, SHA256 = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{64}")
ROUNDING = 1e-9  # relative, below 1 absolute


@dataclass
class ValidatedRecord:
    """One record with its faults; the record is None where it cannot be read."""

    path: Path
    record: RunRecord | None = None
    faults: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line on a record without faults, with the number of its scores by their basis."""
        assert self.record is not None
        part = self.record.benchmark
        counts = Counter(score.basis or "without a basis" for score in self.record.scores)
        by_basis = ", ".join(f"{count} {basis}" for basis, count in sorted(counts.items()))
        return (
            f"{self.record.system.label}, seed {self.record.seed}, {part.name}/{part.version}, {part.protocol}: "
            f"{len(self.record.scores)} scores ({by_basis})"
        )


def record_paths(given: Iterable[Path]) -> list[Path]:
    """The records among files and folders, at any depth, except hidden ones.

    Raises BenchError for a path that does not exist and where nothing is found.
    """
    given = list(given)
    found: list[Path] = []
    for path in given:
        if not path.exists():
            raise BenchError(f"expected records or folders of records, but there is no {path}")
        inside = [path] if path.is_file() else sorted(path.rglob("*.json"))
        found += [file for file in inside if not any(p.startswith(".") for p in file.relative_to(path).parts)]
    if not found:
        raise BenchError(f"no record (*.json) in {', '.join(map(str, given))}: name a folder of records")
    return found


def validate(path: Path) -> ValidatedRecord:
    """Read one record and its side files, and list every fault in words; nothing is changed.

    A mean or median must be that of the per-identity values (relative 1e-9). The mean of pseudo-values is the value
    minus its jackknife bias, which is of order 1/n: it must lie within a standard error or 1/n of the value (which a
    kernel distance near 0 passes easily), and the interval must be at least as wide as their spread makes it, unless
    cut off at a bound of the metric. For a score that rests on half-samples the replicates must be there and the
    interval as wide as they make it; the value itself cannot be recomputed from them.
    """
    try:
        record = load(path)
    except BenchError as error:
        return ValidatedRecord(path, None, [str(error).removeprefix(f"{path}: ")])
    faults = []
    if path.stem != record.stem:
        faults.append(f"the file should be called {record.stem}.json after its system, seed and key")
    for check in (_names, _cards, _hashes, _tables, _curve, _strips):
        try:
            faults += check(record)
        except (BenchError, OSError, ValueError) as error:
            faults.append(f"{check.__name__.strip('_')}: a side file cannot be read ({error})")
    return ValidatedRecord(path, record, faults)


def _names(record: RunRecord) -> Iterator[str]:
    for side in SIDE_FILES:
        name = getattr(record.files, side)
        if name and not name.startswith(f"{record.stem}."):
            yield f"its {side} file {name} does not belong to it: expected {record.stem}.*"


def _cards(record: RunRecord) -> Iterator[str]:
    asked = {score.extractor for score in record.scores if score.extractor}
    for name in sorted({score.metric for score in record.scores} - set(record.metrics)):
        yield f"the metric {name} has no card"
    for name in sorted(asked - set(record.extractors)):
        yield f"the extractor {name} has no card"


def _hashes(record: RunRecord) -> Iterator[str]:
    for what, value in (("key", record.key), ("data hash", record.benchmark.data_hash)):
        if not KEY.fullmatch(value):
            yield f"the {what} {value!r} is not 16 hexadecimal digits"
    for extractor, sha256 in record.weights.items():
        if not SHA256.fullmatch(sha256):
            yield f"the hash of {extractor}'s weights {sha256!r} is not 64 hexadecimal digits"
        elif "@" in extractor and f"@{sha256[:8]}" not in extractor:
            yield f"{extractor} names other weights than the hash beside it, {sha256[:8]}..."
    judged = {str(one.extractor) for one in record.scores if one.extractor_role in ("judge", "training-loss")}
    for extractor in sorted(judged - set(record.weights)):
        yield f"the hash of {extractor}'s weights is missing"


# ---------------------------------------------------------------- numbers


def _tables(record: RunRecord) -> Iterator[str]:
    people, replicates = record.per_identity(), record.replicates()
    yield from _people(record, people)
    columns = {score.column: score for score in record.scores}
    for column, score in columns.items():
        yield from score_faults(column, score, people, replicates)
    yield from _unclaimed(people, "per-identity values", {"identity", *columns})
    if replicates is not None:
        yield from _unclaimed(replicates, "replicates", set(columns))


def score_faults(
    column: str, score: ScoreRecord, people: pd.DataFrame, replicates: pd.DataFrame | None
) -> Iterator[str]:
    """The faults of one number, whose values or replicates are in `column` of the tables."""
    yield from _interval(column, score)
    if score.n > len(people):
        yield f"{column}: n = {score.n}, but there are {len(people)} identities"
    if score.basis == "replicates":
        yield from _replicates(column, score, replicates)
    elif score.basis is None:
        if column in people:
            yield f"{column}: has per-identity values but no basis, as older versions wrote it; run the benchmark again"
    else:
        yield from _recomputed(column, score, people)


def _people(record: RunRecord, people: pd.DataFrame) -> Iterator[str]:
    if "identity" not in people:
        yield "its per-identity file has no column 'identity'"
        return
    if people["identity"].duplicated().any():
        yield "an identity is in its per-identity file twice"
    if len(people) > record.benchmark.identities.test:
        yield f"{len(people)} identities have values, but the test split holds {record.benchmark.identities.test}"


def _unclaimed(table: pd.DataFrame, what: str, known: set[str]) -> Iterator[str]:
    for column in sorted(set(table.columns) - known):
        yield f"{column}: has {what}, but the record has no such score"


def _slack(score: ScoreRecord) -> float:
    return ROUNDING * max(1.0, abs(score.value))


def _interval(column: str, score: ScoreRecord) -> Iterator[str]:
    low, high = score.interval or (score.value, score.value)
    slack = _slack(score)
    if not low - slack <= score.value <= high + slack:
        yield f"{column}: the interval {low:g} to {high:g} does not hold the value {score.value:g}"
    least, most = score.card.bounds
    for end in {low, score.value, high}:
        if (least is not None and end < least - slack) or (most is not None and end > most + slack):
            yield f"{column}: {end:g} is outside the metric's bounds, {least} to {most}"


def _replicates(column: str, score: ScoreRecord, replicates: pd.DataFrame | None) -> Iterator[str]:
    if replicates is None or column not in replicates:
        yield f"{column}: rests on half-samples, but its replicates are missing"
        return
    values = replicates[column].to_numpy(np.float64)
    if len(values) != HALVES or not np.isfinite(values).all():
        good = int(np.isfinite(values).sum())
        yield f"{column}: expected {HALVES} finite replicates, found {good}"
    elif score.n > 1:
        yield from _too_narrow(
            column, score, half_sample_error(values, score.n), min(score.n, HALVES), "replicates"
        )


def _recomputed(column: str, score: ScoreRecord, people: pd.DataFrame) -> Iterator[str]:
    if column not in people:
        yield f"{column}: its per-identity values are missing"
        return
    values = people[column].dropna().to_numpy(np.float64)
    if len(values) != score.n:
        yield f"{column}: n = {score.n}, but {len(values)} identities have a value"
    if not np.isfinite(values).all() or not len(values):
        yield f"{column}: its per-identity values are not finite numbers"
        return
    if score.basis == "pseudo-values":
        yield from _pseudo_values(column, score, values)
        return
    averages: dict[str | None, Callable[[Vector], float]] = {"mean": np.mean, "median": np.median}
    value = float(averages[score.basis](values))
    if abs(value - score.value) > _slack(score):
        yield f"{column}: the value is {score.value!r}, but the {score.basis} of its per-identity values is {value!r}"


def _pseudo_values(column: str, score: ScoreRecord, values: Vector) -> Iterator[str]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    bias = max(error, 1 / len(values))  # at most
    if abs(values.mean() - score.value) > bias + _slack(score):
        yield (
            f"{column}: the value is {score.value!r}, but its pseudo-values have the mean {values.mean():.6g}, "
            f"more than a standard error and than 1/n ({bias:.3g}) away"
        )
    if len(values) > 1:
        yield from _too_narrow(column, score, error, len(values), "pseudo-values")


def _too_narrow(column: str, score: ScoreRecord, error: float, draws: int, basis: str) -> Iterator[str]:
    """Both ends must be a t-interval's reach from the value, or further, unless cut off at a bound.

    Less than half an identity's worth from a bound intervals are binomial (`intervals.mean_interval`): not checked.
    """
    bounds = [bound for bound in score.card.bounds if bound is not None]
    if score.interval is None or any(abs(score.value - bound) * score.n < 0.5 for bound in bounds):
        return
    reach = float(stats.t.ppf(0.975, draws - 1)) * error
    low, high = score.interval
    least = reach * (1 - 1e-6) - _slack(score)
    if any(abs(end - score.value) < least and end not in bounds for end in (low, high)):
        yield (
            f"{column}: the interval {low:g} to {high:g} about {score.value:g} is narrower than the spread of its "
            f"{basis}, ±{reach:g}"
        )


# ---------------------------------------------------------------- curve and pictures


def _curve(record: RunRecord) -> Iterator[str]:
    curve = record.curve()
    if curve is None:
        return
    if not {"stage", "step"} <= set(curve.columns):
        yield f"its training curve has columns {list(curve.columns)[:5]}, without 'stage' or 'step'"
        return
    for stage, part in curve.groupby("stage", sort=False):
        if not part["step"].is_monotonic_increasing:
            yield f"the steps of {stage} in its training curve do not rise"


def _strips(record: RunRecord) -> Iterator[str]:
    names, size = record.files.face_identities, record.benchmark.image_size
    strips: Sequence[Literal["faces", "true_faces"]] = ("faces", "true_faces")
    present = [side for side in strips if record.path_of(side)]
    if present and not record.benchmark.media_shareable:
        yield f"the media of {record.benchmark.dataset} may not be shared, but {', '.join(present)} are beside it"
    if present and (strangers := set(names) - set(record.per_identity()["identity"])):
        yield f"faces of identities without values: {', '.join(sorted(strangers)[:3])}"
    for side in present:
        faces = record.faces(side)
        assert faces is not None
        if faces.shape != (len(names), 3, size, size):
            yield (
                f"its {side} are {list(faces.shape)}, expected {len(names)} identities at {size} pixels: "
                f"{[len(names), 3, size, size]}"
            )
