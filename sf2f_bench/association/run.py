"""The association lists of the literature: a face is generated from each voice, and the judge compares faces.

Every number is given with chance and with knowing only the gender, on the same trials, and a second time for the
people of hq-voxceleb's test rows only: four in five people of the lists are in its training rows, so what a system
trained there scores on all of them is no result on unheard people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import sf2f_bench
from sf2f_bench.association.lists import AssociationList, MediaFolders, People, read_lists
from sf2f_bench.association.measures import ClusteredStatistic, EmbeddedFiles, measure
from sf2f_bench.association.media import FileEmbeddings, embed_photos, embed_voices
from sf2f_bench.association.record import AssociationRecord, AssociationScore, ListResult
from sf2f_bench.benchmarks import benchmark_named
from sf2f_bench.files import seed_of
from sf2f_bench.progress import Reporter
from sf2f_bench.registry import extractor_named
from sf2f_bench.runs.systems import build, load_weights
from sf2f_bench.training import Machine
from sf2f_bench.types import (
    BenchError,
    ExtractorCard,
    FeatureExtractor,
    HasWeights,
    ModelSettings,
    SpeechToFace,
    TorchExtractor,
)

NAMED_AT_MOST = 5  # files in an error
REMEDY = (
    "give the folders of all of VoxCeleb1's recordings and photos; if some are missing, --partial leaves out the "
    "trials that need them and prints how many beside the numbers"
)
Embed = Callable[[Sequence[Path]], FileEmbeddings]


def associate(
    lists: Sequence[AssociationList],
    folders: MediaFolders,
    of_voices: Embed,
    of_photos: Embed,
    partial: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[ListResult]:
    """Matching accuracy, verification AUC and equal error rate, and retrieval mAP of every list.

    of_voices: recordings -> embeddings of the faces generated from them; of_photos: photos -> embeddings; both in the
    judge's space, with NaN rows for files that cannot be used. Raises BenchError where a listed file is
    missing or cannot be used, unless `partial`: then `say` reports it, and its trials are left out and counted.
    """
    voices = _resolved([item.voices for item in lists], folders.recording)
    faces = _resolved([item.faces for item in lists], folders.photo)
    if fault := _missing(lists, voices, faces):
        if partial and not (voices.notna().any() and faces.notna().any()):
            kind, folder = ("recording", folders.voices) if voices.isna().all() else ("photo", folders.faces)
            raise BenchError(
                f"{fault}\nnot one listed {kind} is in {folder}: give the folder that holds them"
            )
        if not partial:
            raise BenchError(f"{fault}\n{REMEDY}")
        say(fault)
    sides = [
        _embedded(found, embed, partial, say) for found, embed in ((voices, of_voices), (faces, of_photos))
    ]
    genders = folders.people.table.set_index("id")["gender"]
    by_chance, by_gender = (
        [_known(folders.people, kinds, side) for side in sides]
        for kinds in (pd.Series("anybody", genders.index), genders)
    )
    return [
        _result(
            item, folders.people, measure(item, *sides), measure(item, *by_chance), measure(item, *by_gender)
        )
        for item in lists
    ]


def _resolved(names: Sequence[pd.Series], find: Callable[[str], Path | None]) -> pd.Series:
    """The file of every listed name, None where there is none."""
    unique = pd.unique(pd.concat(names))
    return pd.Series([find(name) for name in unique], index=unique, dtype=object)


def _missing(lists: Sequence[AssociationList], voices: pd.Series, faces: pd.Series) -> str:
    """How many files are missing, the first of them, and how many of each list; empty where none is."""
    missing = [name for found in (voices, faces) for name in found.index[found.isna()]]
    if not missing:
        return ""
    lines = []
    for item in lists:
        names = {*item.voices, *item.faces}
        if count := len(names.intersection(missing)):
            lines.append(f"\n  {item.name}: {count:,} of {len(names):,}")
    return (
        f"{len(missing):,} of {len(voices) + len(faces):,} listed files are missing, first "
        f"{', '.join(missing[:NAMED_AT_MOST])}. By list:{''.join(lines)}"
    )


def _embedded(found: pd.Series, embed: Embed, partial: bool, say: Callable[[str], None]) -> EmbeddedFiles:
    """Embed the files that are there, each once however many lists name it."""
    paths = sorted(set(found.dropna()))
    embeddings, unusable = embed(paths)
    if unusable:
        reasons = "".join(f"\n  {reason}" for reason in list(unusable.values())[:NAMED_AT_MOST])
        fault = f"{len(unusable):,} of {len(paths):,} files cannot be used, first:{reasons}"
        if not partial or len(unusable) == len(paths):
            raise BenchError(f"{fault}\n{REMEDY}")
        say(fault)
    row = pd.Series(np.arange(len(paths)), index=pd.Index(paths, dtype=object))
    row[list(unusable)] = -1
    return EmbeddedFiles(embeddings, found.map(row).fillna(-1).astype(np.int64))


def _known(people: People, kinds: pd.Series, side: EmbeddedFiles) -> EmbeddedFiles:
    """The same files, embedded by nothing but what kind of person they are of; kinds: by the person's id."""
    names = side.row.index.to_series()
    rows = people.of(names).map(kinds).to_numpy()[:, None] == [*kinds.unique()]
    return EmbeddedFiles(rows.astype(float), side.row.where(side.row < 0, np.arange(len(names))))


def _result(item: AssociationList, people: People, *measured: list[ClusteredStatistic]) -> ListResult:
    """Every number of one list; measured: of the system, of chance and of the gender, on the same trials."""
    split = people.table.set_index("id")["split"]
    scores = []
    for found, chance, gender_only in zip(*measured, strict=True):
        key = f"{item.name}/{found.metric}"
        overall = found.estimate(np.ones(len(found.people), bool), chance, gender_only, key)
        if overall is not None:
            tested = split.loc[found.people].to_numpy() == "test"
            scores.append(
                AssociationScore(
                    metric=found.metric,
                    higher_is_better=found.higher_is_better,
                    overall=overall,
                    test_people=found.estimate(tested, chance, gender_only, key),
                    left_out=found.left_out,
                    gallery=found.gallery,
                )
            )
    return ListResult(name=item.name, sha256=item.sha256, scores=tuple(scores))


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
    """Generate a face from every listed recording with a trained system and score all lists in a folder.

    model: ``NAME@FILE``; benchmark: decides the picture size and, unless `judge` is given, the judge. Raises
    BenchError for a wrong name, list, file or folder and for a system without weights.
    """
    people, found = read_lists(lists)
    folders = MediaFolders(_folder(voices, "--voices"), _folder(faces, "--faces"), people)
    named, machine = benchmark_named(benchmark), Machine.start()
    system = _trained(model, ModelSettings(named.image_size, accelerator=machine.device.type))
    eyes: FeatureExtractor = extractor_named(judge or named.judge)
    if not eyes.recognises:
        raise BenchError(
            f"{eyes.id} tells pictures apart and not people: choose a face recogniser as --judge"
        )
    if isinstance(eyes, TorchExtractor):
        eyes.module.to(machine.device)
    count = sum(len(item.voices) + len(item.faces) for item in found)
    reporter.say(f"{len(found)} lists that name {count:,} recordings and photos")
    random = torch.Generator(device=machine.device).manual_seed(seed_of("associate"))

    def of_voices(paths: Sequence[Path]) -> FileEmbeddings:
        with reporter.bar(f"generate faces with {system.card.label} (recordings)", len(paths)) as bar:
            return embed_voices(paths, system, eyes, machine.device, random, bar.advance)

    def of_photos(paths: Sequence[Path]) -> FileEmbeddings:
        with reporter.bar("embed photos", len(paths)) as bar:
            return embed_photos(paths, eyes, named.image_size, bar.advance)

    results = associate(found, folders, of_voices, of_photos, partial, reporter.say)
    return AssociationRecord(
        system=system.card.label,
        system_version=system.card.version,
        system_weights_sha256=system.recipe["weights_sha256"],
        trained_on=system.card.trained_on,
        frontend=system.frontend.id,
        image_size=named.image_size,
        judge=eyes.id,
        judge_sha256=eyes.sha256,
        people_sha256=people.sha256,
        lists=tuple(results),
        package=sf2f_bench.__version__,
        device=machine.device.type,
        created=datetime.now(UTC),
        notes=tuple(_notes(people, found, eyes)),
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
            f"--model {model} has no weights to generate faces with: name a system with its file, such as "
            "sf2f-64@FILE (of `sf2f-bench weights import`, or a trained one from the models folder of a run's cache)"
        )
    load_weights(system)  # type: ignore[arg-type]
    return system  # type: ignore[return-value]


def _notes(people: People, lists: Sequence[AssociationList], judge: FeatureExtractor) -> list[str]:
    """What a reader must know before believing these numbers."""
    listed = people.of(pd.concat([item.faces for item in lists])).unique()
    split = people.table.set_index("id")["split"].loc[listed]
    notes = [
        f"{(split == 'train').sum()} of the {len(listed)} people of these lists are in hq-voxceleb's training rows: "
        "for a system that was trained there only the lines of test people are about people it never heard."
    ]
    if getattr(judge, "card", ExtractorCard()).synthetic:
        notes.append(f"{judge.id} was trained on synthetic faces: on real photos its numbers are no result.")
    return notes
