"""From scores to a saved record: what was measured, on what, by whom, at what cost."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import sf2f_bench
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.protocols.bench.scoring import Scores
from sf2f_bench.protocols.names import SEGMENTS
from sf2f_bench.results import records
from sf2f_bench.types import (
    SPLITS,
    AttributeJudge,
    Dataset,
    ExtractorCard,
    FeatureExtractor,
    MediaError,
    ModelCard,
)

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FACES_KEPT = 12  # faces of the first test identities that a record keeps for the report's grid
KEEPS_VOICES = "real-photo-oracle"  # the anchor that stands for the true people


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
    notes: tuple[str, ...] = ()
    findings: tuple[records.Finding, ...] = ()


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
        metrics=found.cards,
        extractors=_extractor_cards(evaluation),
        cost=records.Cost(
            wall_seconds=provenance.wall_seconds,
            train_seconds=provenance.train_seconds,
            peak_memory_mb=peak_memory_mb(),
        ),
        files=records.SideFiles(face_identities=tuple(names[:shown])),
        created=datetime.now(UTC),
        notes=(*found.notes, *provenance.notes),
        audit=provenance.findings,
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
        pd.DataFrame(found.replicates) if found.replicates else None,
        _voices(evaluation.dataset, names[:shown]) if provenance.card.name == KEEPS_VOICES else None,
    )


def _voices(dataset: Dataset, names: Sequence[str]) -> list[FloatArray] | None:
    """The waveform ``[T]`` of each person's first readable recording; None where somebody has none."""
    found = [_voice(dataset, name) for name in names]
    heard = [voice for voice in found if voice is not None]
    return heard if heard and len(heard) == len(found) else None


def _voice(dataset: Dataset, name: str) -> FloatArray | None:
    for utterance in dataset.utterances(name):
        waveform = getattr(utterance, "waveform", None)  # official mel files have none
        if waveform is None:
            continue
        try:
            return waveform()
        except MediaError:  # `prepare` has listed it
            continue
    return None


def _filled(column: np.ndarray, length: int) -> np.ndarray:
    """NaN for the last identities where the column leaves them out."""
    return np.append(column, np.full(length - len(column), np.nan))


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
        trained_on=card.trained_on,
        place=card.place,
        order=card.order,
        ablation_of=card.ablation_of,
        change=card.change,
        fitted_to=card.fitted_to,
        tolerance=card.tolerance,
        purpose=card.purpose,
        words=card.words,
        off_scale=card.off_scale,
    )


def _extractor_cards(evaluation: Evaluation) -> dict[str, ExtractorCard]:
    """Of every network that was asked, by its id."""
    asked: list[FeatureExtractor | AttributeJudge] = [
        *evaluation.extractors.values(),
        *evaluation.attribute_judges,
    ]
    return {network.id: getattr(network, "card", ExtractorCard()) for network in asked}


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
    folder = Path(sf2f_bench.__file__).parents[1]
    if not (folder / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
