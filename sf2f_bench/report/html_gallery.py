"""Voices to hear and faces to see, of the same people, for a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import soundfile
from PIL import Image

from sf2f_bench.report.faces import face_identities
from sf2f_bench.report.html_pictures import data_uri
from sf2f_bench.report.html_tables import Kind, kind_of
from sf2f_bench.results.selection import Group, Row, once_a_group
from sf2f_bench.types import SAMPLE_RATE

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray


EXACT_PIXELS = 4_500_000  # a table's drawn faces, times three channels: more would make the page too heavy
QUALITY = 90  # of WebP beyond that


@dataclass(frozen=True)
class Picture:
    """A face that a row drew, or the true one."""

    label: str
    kind: Kind | None  # None: the true face
    source: str  # data URI


@dataclass(frozen=True)
class Person:
    """One test identity; `voice` is a data URI, empty where none is kept."""

    name: str
    voice: str
    true: Picture | None
    drawn: tuple[Picture, ...]


@dataclass(frozen=True)
class Gallery:
    """Who is shown. exact: every pixel is as it was drawn; else the faces are compressed with loss."""

    people: tuple[Person, ...]
    exact: bool


@once_a_group
def gallery(group: Group) -> Gallery:
    """The people whose faces the records keep; nobody where the data set's media may not be shown."""
    if not all(row.record.benchmark.media_shareable for row in group.rows):
        return Gallery((), True)
    true: dict[str, ByteArray] = {}
    voices: dict[str, str] = {}
    drawn: dict[str, list[tuple[Row, ByteArray]]] = {name: [] for name in face_identities(group)}
    for row in (*group.trained, *(row for row in group.rows if row not in group.trained)):
        names = row.record.files.face_identities
        wanted = not all(name in true for name in names)  # every record keeps the true faces again
        truth = row.record.faces("true_faces") if wanted else None
        faces, heard = row.record.faces(), row.record.voices()
        for place, name in enumerate(names):
            if truth is not None:
                true.setdefault(name, truth[place])
            if heard and name not in voices:
                voices[name] = _flac(heard[place])
            if faces is not None and name in drawn:
                drawn[name].append((row, faces[place]))
    pixels = sum(face.size for faces_of in drawn.values() for _, face in faces_of)
    exact = pixels <= EXACT_PIXELS
    return Gallery(tuple(_person(name, voices, true, drawn[name], exact) for name in drawn), exact)


def _person(
    name: str,
    voices: Mapping[str, str],
    true: Mapping[str, ByteArray],
    drawn: Sequence[tuple[Row, ByteArray]],
    exact: bool,
) -> Person:
    truth = Picture("true face", None, _webp(true[name], exact)) if name in true else None
    pictures = tuple(Picture(row.label, kind_of(row), _webp(face, exact)) for row, face in drawn)
    return Person(name, voices.get(name, ""), truth, pictures)


def _webp(face: ByteArray, exact: bool) -> str:
    """uint8 ``[3, H, W]`` as a data URI."""
    buffer = io.BytesIO()
    how = {"lossless": True, "method": 0} if exact else {"quality": QUALITY, "method": 2}
    Image.fromarray(face.transpose(1, 2, 0)).save(buffer, format="WEBP", **how)
    return data_uri("image/webp", buffer.getvalue())


def _flac(voice: FloatArray) -> str:
    """float32 ``[T]`` as a data URI; 16 bits, which is what the record keeps."""
    buffer = io.BytesIO()
    soundfile.write(buffer, voice, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", buffer.getvalue())
