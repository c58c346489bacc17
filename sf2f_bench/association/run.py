"""The association lists of the literature, answered by drawn faces: a face is drawn, and the judge compares it.

Every number stands beside chance and beside knowing only the gender, on the same trials, and a second time for the
people of hq-voxceleb's test rows alone: four in five people of the lists are in its training rows, so what a system
trained there scores on all of them is no result on unheard people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

import sf2f_bench
from sf2f_bench.association.lists import AssociationList, MediaFolders, People, read_lists
from sf2f_bench.association.measures import Embedded, Measured, measure
from sf2f_bench.association.media import DrawnFaces, SeenPhotos
from sf2f_bench.association.record import AssociationRecord, AssociationScore, ListResult
from sf2f_bench.benchmarks import benchmark_named
from sf2f_bench.files import load_tensors, seed_of
from sf2f_bench.progress import Reporter
from sf2f_bench.registry import extractor_named
from sf2f_bench.report.notes import of_drawn_faces
from sf2f_bench.runs.systems import build
from sf2f_bench.training import Machine
from sf2f_bench.types import (
    BenchError,
    FeatureExtractor,
    HasWeights,
    ModelSettings,
    SpeechToFace,
    TorchExtractor,
)

if TYPE_CHECKING:
    from sf2f_bench.association.media import Seen

NAMED = 5  # files that an error names
REMEDY = (
    "give the folders of all of VoxCeleb1's recordings and photos; with a part of them, --partial leaves the other "
    "trials out and says so beside the numbers"
)
ANCHORS = ("chance", "gender-oracle")
View = Callable[[Sequence[Path]], "Seen"]


def associate(
    lists: Sequence[AssociationList],
    folders: MediaFolders,
    drawn: View,
    seen: View,
    partial: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[ListResult]:
    """Matching accuracy, verification AUC and equal error rate, and retrieval mAP of every list.

    drawn: recordings -> embeddings of the faces drawn from them; seen: photos -> embeddings; both in the judge's
    space, with NaN rows for files that cannot be used. Raises BenchError where a listed file is missing or cannot
    be used, unless `partial`: then `say` is told, and the trials with it are left out and counted.
    """
    voices = _resolved([item.voices for item in lists], folders.recording)
    faces = _resolved([item.faces for item in lists], folders.photo)
    if fault := _missing(lists, voices, faces):
        if not (partial and voices.notna().any() and faces.notna().any()):
            raise BenchError(f"{fault}\n{REMEDY}")
        say(fault)
    heard, looked = (_embedded(found, view, partial, say) for found, view in ((voices, drawn), (faces, seen)))
    return [_result(item, folders.people, heard, looked) for item in lists]


def _resolved(names: Sequence[pd.Series], find: Callable[[str], Path | None]) -> pd.Series:
    """The file of every listed name, None where there is none."""
    unique = pd.unique(pd.concat(names))
    return pd.Series([find(name) for name in unique], index=unique, dtype=object)


def _missing(lists: Sequence[AssociationList], voices: pd.Series, faces: pd.Series) -> str:
    """How many files are missing, the first of them, and how many of each list; empty where all are there."""
    missing = [name for found in (voices, faces) for name in found.index[found.isna()]]
    absent = set(missing)
    lines = []
    for item in lists:
        names = {*item.voices, *item.faces}
        if lacking := len(names & absent):
            lines.append(f"\n  {item.name}: {lacking:,} of {len(names):,}")
    if not missing:
        return ""
    return (
        f"{len(missing):,} of {len(voices) + len(faces):,} listed files are missing, first "
        f"{', '.join(missing[:NAMED])}. By list:{''.join(lines)}"
    )


def _embedded(found: pd.Series, view: View, partial: bool, say: Callable[[str], None]) -> Embedded:
    """What a view gives for the files that are there, each looked at once however many lists name it."""
    paths = sorted(set(found.dropna()))
    embeddings, unusable = view(paths)
    if unusable:
        reasons = "".join(f"\n  {reason}" for reason in list(unusable.values())[:NAMED])
        fault = f"{len(unusable):,} of {len(paths):,} files cannot be used, first:{reasons}"
        if not partial or len(unusable) == len(paths):
            raise BenchError(f"{fault}\n{REMEDY}")
        say(fault)
    row = pd.Series(np.arange(len(paths)), index=pd.Index(paths, dtype=object))
    row[list(unusable)] = -1
    return Embedded(embeddings, found.map(row).fillna(-1).astype(np.int64))


def _result(item: AssociationList, people: People, heard: Embedded, looked: Embedded) -> ListResult:
    """Every number of one list, the anchors' on the same trials."""
    anchors = {name: _anchor(item, people, name, heard, looked) for name in ANCHORS}
    split = people.table.set_index("id")["split"]
    scores = []
    for number, found in enumerate(measure(item, heard, looked)):
        key = f"{item.name}/{found.metric}"
        beside = {name: rows[number] for name, rows in anchors.items()}
        overall = found.estimate(np.ones(len(found.people), bool), beside, key)
        if overall is not None:
            scores.append(
                AssociationScore(
                    metric=found.metric,
                    higher_is_better=found.higher_is_better,
                    overall=overall,
                    test_people=found.estimate(split.loc[found.people].to_numpy() == "test", beside, key),
                    left_out=found.left_out,
                    gallery=found.gallery,
                )
            )
    return ListResult(name=item.name, sha256=item.sha256, scores=tuple(scores))


def _anchor(
    item: AssociationList, people: People, name: str, heard: Embedded, looked: Embedded
) -> list[Measured]:
    """The numbers of who knows nothing ("chance") or the gender alone, on the trials that the system answers."""
    gender = people.table.set_index("id")["gender"]

    def known(names: pd.Series, seen: Embedded) -> Embedded:
        unique = pd.Series(pd.unique(names))
        alike = np.ones((len(unique), 1))
        kinds = people.of(unique).map(gender).to_numpy()[:, None] == ["f", "m"]
        rows = np.arange(len(unique))
        there = np.where(seen.of(unique) >= 0, rows, -1)
        return Embedded(alike if name == "chance" else kinds.astype(float), pd.Series(there, index=unique))

    return measure(item, known(item.voices, heard), known(item.faces, looked))


def associate_system(
    lists: Path,
    voices: Path,
    faces: Path,
    model: str,
    benchmark: str,
    judge: str | None,
    partial: bool,
    reporter: Reporter,
) -> AssociationRecord:
    """Draw a face from every listed recording with a trained system and score all lists in a folder.

    model: ``NAME@FILE``; benchmark: decides the picture size and, unless `judge` is given, the judge. Raises
    BenchError for a wrong name, list, file or folder and for a system without weights.
    """
    people, found = read_lists(lists)
    folders = MediaFolders(_folder(voices, "--voices"), _folder(faces, "--faces"), people)
    named, machine = benchmark_named(benchmark), Machine.start()
    system = _trained(model, ModelSettings(named.image_size, accelerator=machine.device.type))
    looking: FeatureExtractor = extractor_named(judge or named.judge)
    if not looking.recognises:
        raise BenchError(
            f"{looking.id} tells pictures apart and not people: choose a face recogniser as --judge"
        )
    if isinstance(looking, TorchExtractor):
        looking.module.to(machine.device)
    count = sum(len(item.voices) + len(item.faces) for item in found)
    reporter.say(f"{len(found)} lists that name {count:,} recordings and photos")
    random = torch.Generator(device=machine.device).manual_seed(seed_of("associate"))

    def drawn(paths: Sequence[Path]) -> Seen:
        with reporter.bar(f"draw {system.card.label} (recordings)", len(paths)) as bar:
            return DrawnFaces(system, looking, machine.device, random, bar.advance)(paths)

    def seen(paths: Sequence[Path]) -> Seen:
        with reporter.bar("look at photos", len(paths)) as bar:
            return SeenPhotos(looking, named.image_size, bar.advance)(paths)

    results = associate(found, folders, drawn, seen, partial, reporter.say)
    return AssociationRecord(
        system=system.card.label,
        system_version=system.card.version,
        system_weights_sha256=system.recipe["weights_sha256"],
        trained_on=system.card.trained_on,
        frontend=system.frontend.id,
        image_size=named.image_size,
        judge=looking.id,
        judge_sha256=looking.sha256,
        people_sha256=people.sha256,
        lists=tuple(results),
        package=sf2f_bench.__version__,
        device=machine.device.type,
        created=datetime.now(UTC),
        notes=tuple(_notes(people, found, looking.id)),
    )


def _folder(folder: Path, option: str) -> Path:
    if not folder.is_dir():
        raise BenchError(f"{option} {folder}: there is no such folder")
    return folder


def _trained(model: str, settings: ModelSettings) -> SpeechToFace:
    """The system with its weights. Raises BenchError where none are named."""
    system = build(model, settings)
    if not isinstance(system, HasWeights) or system.weights is None:
        raise BenchError(
            f"--model {model} has no weights to draw with: name a system with its file, such as sf2f-64@FILE "
            "(of `sf2f-bench weights import`, or a trained one from the models folder of a run's cache)"
        )
    system.load_state_dict(load_tensors(system.weights)[0])  # type: ignore[union-attr]
    return system  # type: ignore[return-value]


def _notes(people: People, lists: Sequence[AssociationList], judge: str) -> list[str]:
    """What a reader must know before believing these numbers."""
    listed = people.of(pd.concat([item.faces for item in lists])).unique()
    split = people.table.set_index("id")["split"].loc[listed]
    notes = [
        f"{(split == 'train').sum()} of the {len(listed)} people of these lists are in hq-voxceleb's training rows: "
        "for a system that was trained there only the lines of test people are about people it never heard."
    ]
    if text := of_drawn_faces(judge):
        notes.append(text)
    return notes
