"""Voices to hear and faces to see, of the same people, for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from sf2f_bench.files import write_flac
from sf2f_bench.report.faces import face_identities
from sf2f_bench.report.joined import ablations, common_width, systems, without_width
from sf2f_bench.report.tables import Kind, kind_of
from sf2f_bench.results.parts import own_column_of
from sf2f_bench.results.selection import Entry, Group, cached_per_group

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray


EXACT_PIXELS = (
    4_500_000  # a table's generated faces, times three channels: more would make the page too heavy
)
QUALITY = 90  # of WebP beyond that
PARTS = ("best", "typical", "worst")  # a third of a record's cases each, in this order


@dataclass(frozen=True)
class Picture:
    """A generated face, or the true one."""

    label: str
    kind: Kind | None  # None: the true face
    source: str  # data URI
    entry: Entry | None = None  # who generated it


@dataclass(frozen=True)
class Several:
    """Several faces for one voice by a system that draws them, in the order of the draws; label: of the row."""

    label: str
    kind: Kind
    draws: tuple[Picture, ...]


@dataclass(frozen=True)
class Person:
    """One test identity; `voice` is a data URI, empty where none is kept."""

    name: str
    voice: str
    true: Picture | None
    generated: tuple[Picture, ...]
    several: tuple[Several, ...] = ()


@dataclass(frozen=True)
class Case:
    """One person's true face and what a system generated. rank: of the right person among all, ``3 of 300``."""

    name: str
    rank: str
    true: str
    generated: str


@dataclass(frozen=True)
class Cases:
    """What a system does best, typically and worst, by the judge; label: of its row."""

    label: str
    kind: Kind
    parts: Mapping[str, tuple[Case, ...]]


@dataclass(frozen=True)
class Gallery:
    """Who is shown. exact: every pixel is as it was generated; else the faces are compressed with loss."""

    people: tuple[Person, ...]
    exact: bool


@cached_per_group
def gallery(group: Group) -> Gallery:
    """The people whose faces the records keep; nobody where the data set's media may not be shown."""
    if not all(record.benchmark.media_shareable for record in group.records):
        return Gallery((), True)
    true: dict[str, ByteArray] = {}
    voices: dict[str, str] = {}
    generated: dict[str, list[tuple[Entry, ByteArray]]] = {name: [] for name in face_identities(group)}
    several: dict[str, list[tuple[Entry, ByteArray]]] = {name: [] for name in generated}
    labels = _labels(group)
    for entry in labels:
        record, names = entry.record, entry.record.files.face_identities
        wanted = not all(name in true for name in names)  # every record keeps the true faces again
        truth = record.faces("true_faces") if wanted else None
        faces, heard = record.faces(), record.voices()
        for place, name in enumerate(names):
            if truth is not None:
                true.setdefault(name, truth[place])
            if heard and name not in voices:
                voices[name] = _flac(heard[place])
            if faces is not None and name in generated:
                generated[name].append((entry, faces[place]))
        draws = record.draws()
        for name, drawn in zip(
            names, () if draws is None else draws, strict=False
        ):  # of the first people alone
            if name in several:
                several[name].append((entry, drawn))
    made = (*generated.values(), *several.values())
    exact = sum(faces.size for of_person in made for _, faces in of_person) <= EXACT_PIXELS
    people = (
        _person(name, voices, true, faces_of, several[name], exact, labels)
        for name, faces_of in generated.items()
    )
    return Gallery(tuple(people), exact)


def _labels(group: Group) -> dict[Entry, str]:
    """Every entry with its label, without what all systems share: systems best first, ablations, anchors."""
    drawn = [*systems(group), *ablations(group)]
    trained = dict.fromkeys(entry for one in drawn for entry in one.entries)
    width = common_width(group)
    return {entry: without_width(entry.label, width) for entry in (*trained, *group.entries)}


def cases(group: Group) -> list[Cases]:
    """Of each system's first training seed; none of those whose record keeps none (`RunRecord.cases`)."""
    made = []
    for entries in (drawn.entries for drawn in systems(group)):
        record = entries[0].record
        faces = record.cases() if record.benchmark.media_shareable else None
        if faces is None:
            continue
        exact, names = gallery(group).exact, record.files.case_identities
        ranks = _ranks(entries[0])
        shown = [
            Case(name, ranks.get(name, ""), _webp(true, exact), _webp(generated, exact))
            for name, (true, generated) in zip(names, faces, strict=True)
        ]
        each = len(shown) // len(PARTS)
        parts = {part: tuple(shown[i * each : (i + 1) * each]) for i, part in enumerate(PARTS)}
        made.append(Cases(_labels(group)[entries[0]], kind_of(entries[0].zone), parts))
    return made


def _ranks(entry: Entry) -> dict[str, str]:
    """By identity, where the judge finds the right person among all."""
    values = entry.record.per_identity().set_index("identity")
    for score in entry.record.scores:
        column = own_column_of(score.column)
        if score.extractor_role == "judge" and score.card.format == "rank" and column in values:
            return {str(name): f"{rank:g} of {score.n}" for name, rank in values[column].items()}
    return {}


def _person(
    name: str,
    voices: Mapping[str, str],
    true: Mapping[str, ByteArray],
    generated: Sequence[tuple[Entry, ByteArray]],
    several: Sequence[tuple[Entry, ByteArray]],
    exact: bool,
    labels: Mapping[Entry, str],
) -> Person:
    truth = Picture("true face", None, _webp(true[name], exact)) if name in true else None
    pictures = tuple(
        Picture(labels[entry], kind_of(entry.zone), _webp(face, exact), entry) for entry, face in generated
    )
    drawn = tuple(
        Several(
            labels[entry],
            kind_of(entry.zone),
            tuple(
                Picture(f"draw {number}", kind_of(entry.zone), _webp(face, exact))
                for number, face in enumerate(draws, start=1)
            ),
        )
        for entry, draws in several
    )
    return Person(name, voices.get(name, ""), truth, pictures, drawn)


def _webp(face: ByteArray, exact: bool) -> str:
    """uint8 ``[3, H, W]`` as a data URI."""
    buffer = io.BytesIO()
    how = {"lossless": True, "method": 0} if exact else {"quality": QUALITY, "method": 2}
    Image.fromarray(face.transpose(1, 2, 0)).save(buffer, format="WEBP", **how)
    return data_uri("image/webp", buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """``data:image/png;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _flac(voice: FloatArray) -> str:
    """float32 ``[T]`` as a data URI; 16 bits, which is what the record keeps."""
    buffer = io.BytesIO()
    write_flac(buffer, voice)
    return data_uri("audio/flac", buffer.getvalue())
