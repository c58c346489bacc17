"""The door for faces that another program drew: a folder of pictures becomes an answer like any system's."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.faces.images import read_generated_face
from sf2f_bench.progress import first_few
from sf2f_bench.types import Answer, BenchError, Identity, MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
PROBLEMS_AT_MOST = 10
TAKES = 2


@dataclass(frozen=True, eq=False)
class ExternalFaces:
    """What a folder holds: the answer to score, what a reader of the scores must know, and a hash of the pixels."""

    answer: Answer
    notes: tuple[str, ...]
    sha256: str


@dataclass
class _Folder:
    """What lies in the folder, before a picture is opened."""

    pictures: dict[str, list[Path]] = field(default_factory=dict)  # identity -> pictures by name
    strangers: list[str] = field(default_factory=list)  # folders of nobody asked for
    other_files: list[str] = field(default_factory=list)


def read_faces(
    folder: Path, identities: Sequence[Identity], size: int, partial: bool = False, at_least: int = 1
) -> ExternalFaces:
    """Read ``FOLDER/<identity>/*.png`` (or jpg, jpeg) for `identities`, in their order.

    A person's first picture by name is the face. Where everybody has two or more, the first two are the takes of the
    consistency: they should be drawn from two recordings apart, which nobody can check here. Further ones are not
    read. partial: people without a picture are left out (`Answer.rows`), if `at_least` remain. What was done to
    pictures and what was passed over stands in the notes; see `read_generated_face` for what a picture may be.

    Raises BenchError that names the first ten of all problems together.
    """
    if not folder.is_dir():
        raise BenchError(f"expected a folder of faces, FOLDER/<identity>/*.png, but {folder} is not a folder")
    names = [identity.id for identity in identities]
    found = _look(folder, names)
    rows = np.array([bool(found.pictures.get(name)) for name in names])
    problems = _missing(folder, found, names, rows, partial, at_least)
    present = [found.pictures[name] for name, here in zip(names, rows, strict=True) if here]
    takes = TAKES if present and min(map(len, present)) >= TAKES else 1
    images, done = _read(folder, [paths[:takes] for paths in present], size, problems)
    if problems:
        more = f"\n  and {len(problems) - PROBLEMS_AT_MOST} more" if len(problems) > PROBLEMS_AT_MOST else ""
        listed = "\n  ".join(problems[:PROBLEMS_AT_MOST])
        raise BenchError(f"the faces in {folder} cannot be scored:\n  {listed}{more}")
    faces = np.stack(images).reshape(len(present), takes, 3, size, size)
    answer = Answer(
        faces=np.ascontiguousarray(faces[:, 0]),
        rows=None if rows.all() else rows,
        takes=np.ascontiguousarray(faces.swapaxes(0, 1)) if takes == TAKES else None,
    )
    notes = (*_notes_on_people(rows, names), *_notes_on_takes(present), *_notes_on_pictures(found, done))
    return ExternalFaces(answer, notes, _hash(names, rows, faces))


def _look(folder: Path, names: Sequence[str]) -> _Folder:
    """Sort what lies in the folder; hidden files are passed over. A Mac spells names decomposed."""
    wanted = {unicodedata.normalize("NFC", name): name for name in names}
    found = _Folder()
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        name = wanted.get(unicodedata.normalize("NFC", entry.name))
        if not entry.is_dir():
            found.other_files.append(entry.name)
        elif name is None:
            found.strangers.append(entry.name)
        else:
            inside = sorted(path for path in entry.iterdir() if not path.name.startswith("."))
            pictures = [path for path in inside if path.suffix.lower() in SUFFIXES and path.is_file()]
            found.pictures[name] = pictures
            found.other_files += [f"{entry.name}/{path.name}" for path in inside if path not in pictures]
    return found


def _missing(
    folder: Path, found: _Folder, names: Sequence[str], rows: np.ndarray, partial: bool, at_least: int
) -> list[str]:
    """What is wrong with who is there."""
    absent = [name for name, here in zip(names, rows, strict=True) if not here]
    if not rows.any():
        lies = first_few([*found.strangers, *found.other_files]) or "nothing"
        return [f"expected folders named {first_few(names)}, each with a picture; {folder.name} holds {lies}"]
    problems = []
    if absent and not partial:
        problems.append(
            f"{len(absent)} of {len(names)} test people have no picture ({first_few(absent)}): draw them, or say "
            "--partial to be scored on the others alone"
        )
    if partial and rows.sum() < at_least:
        problems.append(
            f"{rows.sum()} people have a picture, a gallery needs {at_least}: draw more, or choose a smaller gallery"
        )
    return problems


def _read(
    folder: Path, people: Sequence[Sequence[Path]], size: int, problems: list[str]
) -> tuple[list[ByteArray], Counter[str]]:
    """Every picture, and how often what was done to one; what cannot be used is added to `problems`."""
    images: list[ByteArray] = []
    done: Counter[str] = Counter()
    for path in (path for paths in people for path in paths):
        try:
            image, changes = read_generated_face(path, size)
        except MediaError as error:
            problems.append(f"{path.relative_to(folder)}: {error}")
            continue
        images.append(image)
        done.update(changes)
    return images, done


def _notes_on_people(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    if rows.all():
        return []
    absent = [name for name, here in zip(names, rows, strict=True) if not here]
    return [
        f"Partial: {rows.sum()} of {len(rows)} test people have a face; {first_few(absent)} are left out. Who is left "
        "out was not chosen by the benchmark, so this row is not comparable with rows of everybody."
    ]


def _notes_on_takes(people: Sequence[Sequence[Path]]) -> list[str]:
    two = sum(len(paths) >= TAKES for paths in people)
    if not two:
        return []
    if two < len(people):
        return [
            f"{two} of {len(people)} people have two pictures or more: the first by name is scored; consistency "
            "needs two of everybody."
        ]
    more = sum(len(paths) > TAKES for paths in people)
    beyond = f" Pictures beyond the second ({more} people) were not read." if more else ""
    return [
        "The first picture by name is scored; the first two are the takes of the consistency. That they were drawn "
        f"from different recordings is the maker's word.{beyond}"
    ]


def _notes_on_pictures(found: _Folder, done: Counter[str]) -> list[str]:
    notes = [f"{what}: {count} pictures." for what, count in sorted(done.items())]
    if found.strangers:
        notes.append(
            f"Folders of no test person, ignored: {len(found.strangers)} ({first_few(found.strangers)})."
        )
    if found.other_files:
        notes.append(
            f"Files that are no picture, ignored: {len(found.other_files)} ({first_few(found.other_files)})."
        )
    return [f"{note[0].upper()}{note[1:]}" for note in notes]


def _hash(names: Sequence[str], rows: np.ndarray, faces: ByteArray) -> str:
    """SHA-256 of who answers and of all pixels that are scored."""
    digest = hashlib.sha256("\0".join(name for name, here in zip(names, rows, strict=True) if here).encode())
    digest.update(repr(faces.shape).encode())
    digest.update(np.ascontiguousarray(faces).tobytes())
    return digest.hexdigest()
