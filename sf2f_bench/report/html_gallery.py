"""Voices to hear and faces to see, of the same people, for a page."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import soundfile
from PIL import Image

from sf2f_bench.report.faces import face_identities
from sf2f_bench.report.html_pictures import data_uri
from sf2f_bench.report.html_tables import Kind, kind_of
from sf2f_bench.report.selection import Group, once_a_group
from sf2f_bench.types import SAMPLE_RATE

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray


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


@once_a_group
def gallery(group: Group) -> list[Person]:
    """The people whose faces the records keep; nobody where the data set's media may not be shown."""
    if not all(row.record.benchmark.media_shareable for row in group.rows):
        return []
    true: dict[str, Picture] = {}
    voices: dict[str, str] = {}
    drawn: dict[str, list[Picture]] = {name: [] for name in face_identities(group)}
    for row in (*group.trained, *(row for row in group.rows if row not in group.trained)):
        names = row.record.files.face_identities
        wanted = not all(name in true for name in names)  # every record keeps the true faces again
        truth = row.record.faces("true_faces") if wanted else None
        faces, heard = row.record.faces(), row.record.voices()
        for place, name in enumerate(names):
            if truth is not None and name not in true:
                true[name] = Picture("true face", None, _png(truth[place]))
            if heard and name not in voices:
                voices[name] = _flac(heard[place])
            if faces is not None and name in drawn:
                drawn[name].append(Picture(row.label, kind_of(row), _png(faces[place])))
    return [Person(name, voices.get(name, ""), true.get(name), tuple(drawn[name])) for name in drawn]


def _png(face: ByteArray) -> str:
    """uint8 ``[3, H, W]`` as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(face.transpose(1, 2, 0)).save(buffer, format="PNG")
    return data_uri("image/png", buffer.getvalue())


def _flac(voice: FloatArray) -> str:
    """float32 ``[T]`` as a data URI; 16 bits, which is what the record keeps."""
    buffer = io.BytesIO()
    soundfile.write(buffer, voice, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", buffer.getvalue())
