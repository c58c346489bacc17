"""Checks saved records: schema, files, hashes, and every number recomputed from its per-identity values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.metrics.common import card_of
from sf2f_bench.metrics.relations import Stated, contradictions
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import MOST_DRAWS
from sf2f_bench.results.parts import own_column_of
from sf2f_bench.results.recomputation import score_faults
from sf2f_bench.results.records import SIDE_FILES, BenchmarkPart, RunRecord, load, seals_of
from sf2f_bench.types import BenchError, MetricCard

UNPROVEN = (
    "not proven, for that takes the faces: that the values of the identities are those of the system. An edit of all "
    "that would contradict it, checksums included, is not found"
)
KEY, SHA256 = re.compile(r"[0-9a-f]{16}"), re.compile(r"[0-9a-f]{64}")


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
            f"{len(self.record.scores)} scores ({by_basis}){'' if self.record.files.sha256 else '; unsealed'}"
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

    Side files must have the checksums that the record states; one that states none is valid, but unsealed. A mean or
    median must be that of the per-identity values (relative 1e-9). The mean of pseudo-values is the value less its
    jackknife bias, so it must lie within .3 standard errors or .1 / n; the mean over half-samples within 10 standard
    errors, 3 / n, or a factor of 4. Intervals are made anew by `statistics.intervals` and must agree to 1e-6 of their
    width, or to a fifth of it where random resampling decides. Values, and what they rest on, must lie in the bounds of
    their metric, and metrics that follow from the same ranks must not contradict each other
    (`metrics.relations`). Of another package's metrics, whose ways with intervals are not known, means, medians and
    bounds are checked, and that intervals are wide enough.

    What nothing here can prove without the faces: a score without a basis; that pseudo-values, half-samples, or values
    of a quantity that no other contradicts, are those of these faces; that whoever changed a side file did not also
    change its checksum. `UNPROVEN` says so.
    """
    try:
        record = load(path)
    except BenchError as error:
        return ValidatedRecord(path, None, [str(error).removeprefix(f"{path}: ")])
    faults = []
    if path.stem != record.stem:
        faults.append(f"the file should be called {record.stem}.json after its system, seed and key")
    faults += faults_of(record)
    return ValidatedRecord(path, record, faults)


def faults_of(record: RunRecord, resampled: bool = True) -> list[str]:
    """Every fault of a record that was read, in words; see `validate`.

    resampled: False: without intervals made anew by resampling, for those who use none.
    """
    faults: list[str] = []
    tables = partial(_tables, resampled=resampled)
    for check in (
        _seals,
        _names,
        _cards,
        _directions,
        _own,
        _hashes,
        tables,
        _relations,
        _curve,
        _strips,
        _voices,
    ):
        try:
            faults += check(record)
        except (BenchError, OSError, ValueError, ArithmeticError) as error:
            faults.append(f"a side file cannot be read: {error}")
    faults = list(dict.fromkeys(faults))
    return faults


def _directions(record: RunRecord) -> Iterator[str]:
    """Metrics whose direction differs from extractor to extractor; that of a single one cannot be checked here."""
    both = {(score.metric, score.higher_is_better) for score in record.scores}
    for metric in sorted({metric for metric, higher in both if (metric, not higher) in both}):
        yield f"{metric}: higher is better by one extractor and worse by another"


def _voices(record: RunRecord) -> Iterator[str]:
    record.voices()
    return iter(())


def _seals(record: RunRecord) -> Iterator[str]:
    """Side files that are not those that were written with the record; none where it states no checksums."""
    stated, folder = record.files.sha256, record.path_of("per_identity")
    if not stated or folder is None:
        return
    found = seals_of(folder.parent, record.files.model_dump())
    for side in sorted({*stated, *found}):
        if stated.get(side) != found.get(side):
            yield f"its {side} file is not the one that was written with it: its checksum is not the record's"


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


def _tables(record: RunRecord, resampled: bool) -> Iterator[str]:
    people, replicates = record.per_identity(), record.replicates()
    yield from _people(record, people)
    columns = {score.column: score for score in record.scores}
    own = _own_cards(record.benchmark)
    for column, score in columns.items():
        is_own = (score.metric, score.version) in own
        yield from score_faults(column, score, people, replicates, is_own, resampled)
    yield from _unclaimed(people, "per-identity values", {"identity", *columns, *map(own_column_of, columns)})
    if replicates is not None:
        yield from _unclaimed(replicates, "replicates", set(columns))


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


@lru_cache(maxsize=16)
def _own_cards(part: BenchmarkPart) -> Mapping[tuple[str, int], MetricCard]:
    """The metrics that this package itself has for such a benchmark, by name and version; none for an unknown one."""
    benchmark = Benchmark(part.name, part.dataset, gallery_size=part.gallery_size, ks=part.ks)
    people = part.identities.test
    try:
        protocol = protocol_named(part.protocol)
        of_draws = protocol.metrics_of_draws(benchmark, people, *range(2, MOST_DRAWS + 1))
        metrics = [*protocol.metrics(benchmark, people), *of_draws]
    except BenchError:
        return {}
    own = (
        metric
        for metric in metrics
        if type(metric).__module__.partition(".")[0] == __package__.partition(".")[0]
    )
    return {(metric.name, metric.version): card_of(metric) for metric in own}


def _own(record: RunRecord) -> Iterator[str]:
    """Cards decide bounds and direction, so a card that was edited would let any number pass."""
    known = _own_cards(record.benchmark)
    for score in record.scores:
        card = known.get((score.metric, score.version))
        stated = score.card.bounds, score.card.quantity, dict(score.card.parameters)
        if card is not None and (_finite(card.bounds), card.quantity, dict(card.parameters)) != stated:
            yield f"{score.metric}: its card is not that of this metric: {stated[0]}, expected {_finite(card.bounds)}"


def _finite(bounds: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    return tuple(None if end is None or np.isinf(end) else end for end in bounds)  # type: ignore[return-value]


def _relations(record: RunRecord) -> Iterator[str]:
    """Metrics of one network that contradict each other."""
    people = record.per_identity()
    by_extractor: dict[str | None, list[Stated]] = {}
    for score in record.scores:
        column = score.column if score.basis in ("mean", "median") else own_column_of(score.column)
        kept = people.get(column)
        values = None if kept is None else kept.to_numpy(np.float64)
        stated = Stated(score.metric, score.card, score.value, score.n, values)
        by_extractor.setdefault(score.extractor, []).append(stated)
    for extractor, stated_by in by_extractor.items():
        for fault in contradictions(stated_by):
            yield f"{fault} (by {extractor or 'the anchor itself'})"


# ---------------------------------------------------------------- curve and pictures


def _curve(record: RunRecord) -> Iterator[str]:
    curve = record.curve()
    if curve is None:
        return
    for stage, part in curve.groupby("stage", sort=False):
        if not part["step"].is_monotonic_increasing:
            yield f"the steps of {stage} in its training curve do not rise"


def _strips(record: RunRecord) -> Iterator[str]:
    names, size = record.files.face_identities, record.benchmark.image_size
    strips: Sequence[Literal["faces", "true_faces"]] = ("faces", "true_faces")
    present = [side for side in strips if record.path_of(side)]
    for side, faces_of in (("draws", record.draws), ("cases", record.cases)):
        if faces_of() is not None and not record.benchmark.media_shareable:
            yield f"the media of {record.benchmark.dataset} may not be shared, but {side} are beside it"
    if present and not record.benchmark.media_shareable:
        yield f"the media of {record.benchmark.dataset} may not be shared, but {', '.join(present)} are beside it"
    shown = {*names, *record.files.case_identities}
    if shown and (strangers := shown - set(record.per_identity()["identity"])):
        yield f"faces of identities without values: {', '.join(sorted(strangers)[:3])}"
    for side in present:
        faces = record.faces(side)
        assert faces is not None
        if faces.shape != (len(names), 3, size, size):
            yield (
                f"its {side} are {list(faces.shape)}, expected {len(names)} identities at {size} pixels: "
                f"{[len(names), 3, size, size]}"
            )
