"""From a system's faces, or an anchor's answer, to a saved record."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch

import sf2f_bench
from sf2f_bench import records
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.evaluation import Evaluation, take
from sf2f_bench.files import seed_of
from sf2f_bench.metrics import paper
from sf2f_bench.protocols import BENCH, PAPER, SEGMENTS
from sf2f_bench.registry import METRICS
from sf2f_bench.types import SPLITS, Answer, Features, Metric, ModelCard, Score

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray

Role = Literal["judge", "training-loss", "further", "none"]

FACES_KEPT = 12  # faces of the first test identities that a record keeps for the report's grid


class Identified(Protocol):
    """An extractor or an attribute judge, as far as a record names it."""

    id: str


def role_of(key: str) -> Role:
    """The role that a record states for an extractor: its key in `Evaluation.extractors`, or "further"."""
    return "judge" if key == "judge" else "training-loss" if key == "training-loss" else "further"


@dataclass
class Scores:
    """What scoring an answer gives: the record's lists, its notes and the per-identity table's columns.

    A column is shorter than the table where a metric leaves out the last identities.
    """

    scores: list[records.ScoreRecord] = field(default_factory=list)
    absent: list[records.AbsentScore] = field(default_factory=list)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    replicates: dict[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def add(
        self, metric: paper.NamedMetric, result: Score, extractor: Identified | None, role: Role = "none"
    ) -> None:
        """Take up a result by an extractor in its role, or (None) in an anchor's own space."""
        column = f"{metric.name}|{extractor.id if extractor else 'none'}"
        basis: Literal["mean", "median", "pseudo-values", "replicates"] | None = None
        if result.per_identity is not None:
            basis, self.columns[column] = result.basis, result.per_identity
        elif result.replicates is not None:
            basis, self.replicates[column] = "replicates", result.replicates
        self.scores.append(
            records.ScoreRecord(
                metric=metric.name,
                version=metric.version,
                extractor=extractor.id if extractor else None,
                extractor_role=role,
                value=float(result.value),
                n=result.n,
                interval=result.interval and (float(result.interval[0]), float(result.interval[1])),
                spread=None if result.spread is None else float(result.spread),
                higher_is_better=metric.higher_is_better,
                basis=basis,
            )
        )


@dataclass(frozen=True)
class Provenance:
    """What a record says of how it came to be."""

    key: str
    card: ModelCard
    recipe: Mapping[str, Any]
    seed: int
    budget: str
    device: str
    wall_seconds: float
    train_seconds: float = 0.0


def metrics_for(benchmark: Benchmark, identities: int) -> list[Metric]:
    """Every installed metric, built for the benchmark's galleries and this many test identities."""
    factories = [METRICS.get(name) for name in METRICS]
    return [metric for make in factories for metric in make(benchmark.gallery_size, benchmark.ks, identities)]


def metric_versions(benchmark: Benchmark, identities: int) -> list[tuple[str, int]]:
    """Name and version of every metric of the benchmark's protocol: what a record's key must hold."""
    found: Sequence[paper.NamedMetric] = (
        paper.all_metrics(benchmark.gallery_size, benchmark.ks, identities)
        if benchmark.protocol == PAPER
        else metrics_for(benchmark, identities)
    )
    return [(metric.name, metric.version) for metric in found]


def score(evaluation: Evaluation, answer: Answer) -> Scores:
    """Every metric of `sf2f-bench/1` by every extractor; what cannot be measured is named with its reason."""
    assert evaluation.benchmark.protocol == BENCH, "sf2f_bench.paper_protocol scores the other protocol"
    rows = np.ones(len(evaluation.identities), bool) if answer.rows is None else answer.rows
    found = Scores(rows=rows)
    if answer.ranking is not None:
        names = tuple(identity.id for identity in evaluation.identities)
        probes, gallery = (Features(names, side, own_space=True) for side in answer.ranking)
        _score(evaluation, found, None, gallery, probes)
        return found
    for role in evaluation.extractors:
        real = take(evaluation.real(role), rows)
        if answer.faces is not None:
            embeddings, probabilities = evaluation.embed(role, answer.faces)
            fake = Features(real.identities, embeddings, embeddings, probabilities)
        else:
            fake = Features(real.identities, (answer.embeddings or {})[role])
        _score(evaluation, found, role, real, fake)
    return found


def _score(evaluation: Evaluation, found: Scores, role: str | None, real: Features, fake: Features) -> None:
    extractor = evaluation.extractors[role] if role else None
    name = extractor.id if extractor else None
    for metric in metrics_for(evaluation.benchmark, len(real.identities)):
        result = _measure(metric, real, fake, np.random.default_rng(seed_of(metric.name, name)))
        if isinstance(result, str):
            found.absent.append(records.AbsentScore(metric=metric.name, extractor=name, reason=result))
        else:
            found.add(metric, result, extractor, role_of(role) if role else "none")


def _measure(metric: Metric, real: Features, fake: Features, rng: np.random.Generator) -> Score | str:
    """The score, or the reason why there is none."""
    n = len(real.identities)
    if n < metric.min_n:
        return f"needs {metric.min_n} identities, there are {n}"
    if lacking := set(metric.needs) - fake.offers:
        return f"needs {', '.join(sorted(lacking))}, which this row does not give"
    result = metric(real, fake, rng)
    return (
        result if np.isfinite(result.value) else f"came out as {result.value} on these {result.n} identities"
    )


def save_record(
    evaluation: Evaluation,
    found: Scores,
    provenance: Provenance,
    folder: Path,
    faces: ByteArray | None = None,
    curve: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the record of `found` into `folder` and return its path.

    faces: uint8 ``[N, 3, H, W]`` of the identities in `found.rows`, in their order.
    """
    assert found.rows is not None
    names = [identity.id for identity, keep in zip(evaluation.identities, found.rows, strict=True) if keep]
    shown = min(FACES_KEPT, len(names)) if faces is not None and evaluation.store.card.media_shareable else 0
    record = records.RunRecord(
        key=provenance.key,
        benchmark=_benchmark_part(evaluation),
        system=_system_part(provenance),
        seed=provenance.seed,
        budget=provenance.budget,
        scores=tuple(found.scores),
        absent=tuple(found.absent),
        environment=_environment(provenance.device),
        weights={extractor.id: extractor.sha256 for extractor in evaluation.extractors.values()},
        cost=records.Cost(
            wall_seconds=provenance.wall_seconds,
            train_seconds=provenance.train_seconds,
            peak_memory_mb=peak_memory_mb(),
        ),
        files=records.SideFiles(face_identities=tuple(names[:shown])),
        created=datetime.now(UTC),
        notes=(*_notes(evaluation), *found.notes),
    )
    return records.save(
        record,
        folder,
        pd.DataFrame(
            {
                "identity": names,
                **{name: _filled(column, len(names)) for name, column in found.columns.items()},
            }
        ),
        pd.DataFrame(curve) if curve else None,
        faces[:shown] if shown and faces is not None else None,
        evaluation.true_photos[found.rows][:shown] if shown else None,
    )


def _filled(column: np.ndarray, length: int) -> np.ndarray:
    """NaN for the last identities where the column leaves them out."""
    return np.append(column, np.full(length - len(column), np.nan))


def _notes(evaluation: Evaluation) -> tuple[str, ...]:
    """What a reader must know of this judge on this data."""
    judge = evaluation.extractors["judge"].id
    if evaluation.store.card.real and judge.startswith("embedded"):
        return (f"{judge} was trained on drawn faces: on real photos its numbers are no result.",)
    return ()


def peak_memory_mb() -> float:
    """The largest resident memory of this process or of one worker so far, in MB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / unit


def _benchmark_part(evaluation: Evaluation) -> records.BenchmarkPart:
    benchmark, card = evaluation.benchmark, evaluation.store.card
    counts = {split: len(evaluation.store.identities(split)) for split in SPLITS}
    return records.BenchmarkPart(
        name=benchmark.name,
        version=str(benchmark.version),
        protocol=benchmark.protocol,
        dataset=card.name,
        dataset_version=card.version,
        data_hash=evaluation.store.data_hash,
        image_size=evaluation.image_size,
        paired=card.paired,
        real=card.real,
        media_shareable=card.media_shareable,
        identities=records.IdentityCounts(**counts),
        gallery_size=benchmark.gallery_size,
        ks=benchmark.ks,
        segments=SEGMENTS,
    )


def _system_part(provenance: Provenance) -> records.SystemPart:
    card = provenance.card
    return records.SystemPart(
        name=card.name,
        label=card.label,
        kind=card.kind,
        version=card.version,
        width=card.width,
        licence=card.licence,
        reference=card.reference,
        description=card.description,
        limits=card.limits,
        recipe=dict(provenance.recipe),
    )


def _environment(device: str) -> records.Environment:
    return records.Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        torch=torch.__version__,
        numpy=np.__version__,
        device=device,
        threads=torch.get_num_threads(),
        package=sf2f_bench.__version__,
        commit=_commit(),
    )


def _commit() -> str | None:
    """The commit of the checkout that this code runs from; None for an installed package."""
    folder = Path(__file__).parents[1]
    if not (folder / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
