"""From scores to a saved record: what was measured, on what, by whom, at what cost."""

from __future__ import annotations

import platform
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

import sf2f_bench
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.protocols.names import SEGMENTS
from sf2f_bench.protocols.scores import Scores
from sf2f_bench.registry.sources import source_of
from sf2f_bench.results import records
from sf2f_bench.results.parts import own_column_of
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
CASES_KEPT = 3  # faces of a system each of the best, the typical and the worst cases
PEOPLE_DRAWN, DRAWS_KEPT = 6, 8  # of how many of these it keeps several draws, and how many


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
    costs: Mapping[str, Any] = field(
        default_factory=dict
    )  # of one face, as `costs.cost_of_a_face` gives them


def save_record(
    evaluation: Evaluation,
    found: Scores,
    provenance: Provenance,
    folder: Path,
    faces: ByteArray | None = None,
    curve: Sequence[Mapping[str, Any]] = (),
    draws: ByteArray | None = None,
) -> Path:
    """Write the record of `found` into `folder` and return its path.

    faces: uint8 ``[N, 3, H, W]`` of the identities in `found.rows`, in their order; draws: ``[K, N, 3, H, W]``.
    """
    assert found.rows is not None
    names = [identity.id for identity, keep in zip(evaluation.identities, found.rows, strict=True) if keep]
    shown = min(FACES_KEPT, len(names)) if faces is not None and evaluation.store.card.media_shareable else 0
    cases = _cases(found, len(names)) if shown and provenance.card.kind == "system" else []
    record = records.RunRecord(
        key=provenance.key,
        benchmark=_benchmark_part(evaluation),
        system=records.SystemPart(**system_part(provenance.card), recipe=dict(provenance.recipe)),
        seed=provenance.seed,
        budget=provenance.budget,
        scores=tuple(found.scores),
        absent=tuple(found.absent),
        environment=_environment(provenance.device),
        weights={extractor.id: extractor.sha256 for extractor in evaluation.extractors.values()},
        metrics=found.cards,
        extractors=_extractor_cards(evaluation, found),
        cost=records.Cost(
            wall_seconds=provenance.wall_seconds,
            train_seconds=provenance.train_seconds,
            peak_memory_mb=peak_memory_mb(),
            **provenance.costs,
        ),
        files=records.SideFiles(
            face_identities=tuple(names[:shown]), case_identities=tuple(names[i] for i in cases)
        ),
        created=datetime.now(UTC),
        notes=(*found.notes, *provenance.notes),
        audit=provenance.findings,
    )
    columns = {name: _filled(column, len(names)) for name, column in found.columns.items()}
    return records.save(
        record,
        folder,
        pd.DataFrame({"identity": names, **columns}),
        pd.DataFrame(curve) if curve else None,
        faces[:shown] if shown and faces is not None else None,
        evaluation.true_photos[found.rows][:shown] if shown else None,
        pd.DataFrame(found.replicates) if found.replicates else None,
        _voices(evaluation.dataset, names[:shown]) if provenance.card.purpose == "true-photo" else None,
        pd.DataFrame({name: pd.Series(column) for name, column in found.curves.items()})
        if found.curves
        else None,
        _draws_kept(draws, shown),
        np.stack([evaluation.true_photos[found.rows][cases], faces[cases]], axis=1)
        if cases and faces is not None
        else None,
    )


def _draws_kept(draws: ByteArray | None, shown: int) -> ByteArray | None:
    """uint8 ``[P, D, 3, H, W]`` of ``[K, N, 3, H, W]``: the first draws for the first people whose faces are shown."""
    if draws is None or not shown:
        return None
    return draws[:DRAWS_KEPT, : min(PEOPLE_DRAWN, shown)].swapaxes(0, 1)


def _cases(found: Scores, count: int) -> list[int]:
    """Whose faces show the best, the typical and the worst that a system does, by the judge's rank of the right person.

    `CASES_KEPT` each, as places among the identities; none where the protocol ranks nobody or there are too few.
    Typical are those nearest to the median; equal ranks are taken in the order of the identities.
    """
    of_judge = (score for score in found.scores if score.extractor_role == "judge")
    score = next((score for score in of_judge if found.cards[score.metric].format == "rank"), None)
    rank = None if score is None else found.columns.get(own_column_of(score.column))
    if rank is None or len(rank) < count or count < 3 * CASES_KEPT:
        return []
    order = [int(i) for i in np.argsort(rank, kind="stable")]
    middle = (count - CASES_KEPT) // 2
    return order[:CASES_KEPT] + order[middle : middle + CASES_KEPT] + order[-CASES_KEPT:]


def _voices(dataset: Dataset, names: Sequence[str]) -> list[FloatArray] | None:
    """The waveform ``[T]`` of each person's first readable recording; None where somebody has none."""
    heard = [voice for name in names if (voice := _voice(dataset, name)) is not None]
    return heard if heard and len(heard) == len(names) else None


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
        primary_metric=benchmark.primary_metric,
    )


def system_part(card: ModelCard) -> dict[str, Any]:
    """The fields of `records.SystemPart` that a model card gives: all but the recipe."""
    return {name: getattr(card, name) for name in records.SystemPart.model_fields if name != "recipe"}


def _extractor_cards(evaluation: Evaluation, found: Scores) -> dict[str, ExtractorCard]:
    """Of every network that was asked, and of the attribute judges that gave a score, by id."""
    scored = {score.extractor for score in found.scores}
    judges = [judge for judge in evaluation.attribute_judges if judge.id in scored]
    asked: list[FeatureExtractor | AttributeJudge] = [*evaluation.extractors.values(), *judges]
    cards = {network.id: (getattr(network, "card", ExtractorCard()), source_of(network)) for network in asked}
    return {id_: replace(card, source=source) if source else card for id_, (card, source) in cards.items()}


def _environment(device: str) -> records.Environment:
    return records.Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        torch=torch.__version__,
        numpy=np.__version__,
        device=device,
        threads=torch.get_num_threads(),
        processor=_processor(device),
        package=sf2f_bench.__version__,
        commit=_commit(),
    )


def _processor(device: str) -> str:
    """``Intel(R) Xeon(R) ..., AVX512``, after the GPU's name where one computed."""
    parts = [torch.cuda.get_device_name()] if device == "cuda" else []
    try:  # on Linux, `platform` knows no model
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*: *(.+)$", text, re.MULTILINE)
    parts += [model[1] if model else platform.processor(), torch.backends.cpu.get_cpu_capability()]
    return ", ".join(part for part in parts if part)


def _commit() -> str | None:
    """The commit of the checkout that this code runs from; None for an installed package."""
    folder, command = Path(sf2f_bench.__file__).parents[1], ["git", "rev-parse", "HEAD"]
    if not (folder / ".git").exists():
        return None
    asked = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
