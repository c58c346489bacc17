"""Faces that another program generated: a folder of pictures becomes an answer like any system's."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sf2f_bench.data.names import by_plain_name, plain_name
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
    """The faces of a folder: the answer to score, notes for readers of the scores, and a hash of the pixels."""

    answer: Answer
    notes: tuple[str, ...]
    sha256: str


@dataclass
class _Contents:
    """What is in the folder, before a picture is opened."""

    pictures: dict[str, list[Path]] = field(default_factory=dict)  # identity -> pictures by name
    strangers: list[str] = field(default_factory=list)  # folders named after no identity
    other_files: list[str] = field(default_factory=list)


def read_faces(
    folder: Path, identities: Sequence[Identity], size: int, partial: bool = False, at_least: int = 1
) -> ExternalFaces:
    """Read ``FOLDER/<identity>/*.png`` (or jpg, jpeg) for `identities`, in their order.

    A person's first picture by name is the face. Where everybody has two or more, the first two are the takes of the
    consistency: they should be generated from two recordings apart, which cannot be checked here. Further ones are
    not read. partial: people without a picture are left out (`Answer.rows`), if `at_least` remain. What was done to
    pictures and which files were ignored is in the notes; see `read_generated_face` for what a picture may be.

    Raises BenchError that names the first ten of all problems together.
    """
    names = [identity.id for identity in identities]
    found, rows = _contents_and_rows(folder, names)
    problems = _missing(folder, found, names, rows, partial, at_least)
    present = [found.pictures[name] for name, here in zip(names, rows, strict=True) if here]
    takes = TAKES if present and min(map(len, present)) >= TAKES else 1
    images, done = _read(folder, [paths[:takes] for paths in present], size, problems)
    _refuse(folder, problems)
    faces = np.stack(images).reshape(len(present), takes, 3, size, size)
    answer = Answer(
        faces=np.ascontiguousarray(faces[:, 0]),
        rows=None if rows.all() else rows,
        repeat_faces=np.ascontiguousarray(faces.swapaxes(0, 1)) if takes == TAKES else None,
    )
    notes = (
        *_notes_on_people(rows, names, found.strangers),
        *_notes_on_takes(present),
        *_notes_on_pictures(found, done),
    )
    return ExternalFaces(answer, notes, _hash(names, rows, faces))


def check_folder(
    folder: Path, names: Sequence[str], partial: bool, at_least: int, is_prepared: bool = True
) -> None:
    """Raise BenchError for a folder whose people cannot be scored, as `read_faces` does; no picture is opened.

    is_prepared: whether `names` are the identities that remain when the data set is prepared, or all that it has.
    """
    found, rows = _contents_and_rows(folder, names)
    problems = _missing(folder, found, names, rows, partial, at_least)
    if problems and not is_prepared and not partial:
        problems.append("if preparing the data leaves these people out, run `sf2f-bench prepare` first")
    _refuse(folder, problems)


def _refuse(folder: Path, problems: Sequence[str]) -> None:
    if not problems:
        return
    listed = [*problems[:PROBLEMS_AT_MOST]]
    if more := len(problems) - len(listed):
        listed.append(f"and {more} more")
    raise BenchError("\n  ".join([f"the faces in {folder} cannot be scored:", *listed]))


def _contents_and_rows(folder: Path, names: Sequence[str]) -> tuple[_Contents, np.ndarray]:
    """What is in the folder, and who of `names` has a picture: bool ``[N]``."""
    if not folder.is_dir():
        raise BenchError(f"expected a folder of faces, FOLDER/<identity>/*.png, but {folder} is not a folder")
    found = _contents(folder, names)
    return found, np.array([bool(found.pictures.get(name)) for name in names])


def _contents(folder: Path, names: Sequence[str]) -> _Contents:
    """Sort what is in the folder, except hidden files. macOS decomposes names, so they are compared composed."""
    wanted = {unicodedata.normalize("NFC", name): name for name in names}
    found = _Contents()
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
    folder: Path, found: _Contents, names: Sequence[str], rows: np.ndarray, partial: bool, at_least: int
) -> list[str]:
    """Problems with the identities that have a picture."""
    absent = [name for name, here in zip(names, rows, strict=True) if not here]
    if not rows.any():
        holds = first_few([*found.strangers, *found.other_files]) or "nothing"
        return [
            f"expected folders named {first_few(names)}, each with a picture; {folder.name} holds {holds}"
            f"{_alike(absent, found.strangers)}"
        ]
    problems = []
    if absent and not partial:
        problems.append(
            f"{len(absent)} of {len(names)} test people have no picture ({first_few(absent)}): generate them, or pass "
            f"--partial to score only the others{_alike(absent, found.strangers)}"
        )
    if partial and rows.sum() < at_least:
        problems.append(
            f"{rows.sum()} people have a picture, a gallery needs {at_least}: generate more, or choose a smaller "
            f"--gallery, with a --ks below it{_alike(absent, found.strangers)}"
        )
    return problems


def _alike(absent: Sequence[str], strangers: Sequence[str]) -> str:
    """The folders that are called nearly as somebody without a picture: case, dots and blanks get lost on the way."""

    known = by_plain_name(absent)
    pairs = [f"{name!r} to {known[plain_name(name)]!r}" for name in strangers if plain_name(name) in known]
    return f"; rename {first_few(pairs)}" if pairs else ""


def _read(
    folder: Path, people: Sequence[Sequence[Path]], size: int, problems: list[str]
) -> tuple[list[ByteArray], Counter[str]]:
    """Every picture, and a count of the changes made; unusable pictures are added to `problems`."""
    images: list[ByteArray] = []
    done: Counter[str] = Counter()
    for path in (path for paths in people for path in paths):
        name = path.relative_to(folder)
        if not path.resolve().is_relative_to(folder.resolve()):  # a private picture would end in the report
            problems.append(f"{name}: is a link out of the folder: copy the picture itself")
            continue
        try:
            image, changes = read_generated_face(path, size)
        except MediaError as error:
            problems.append(f"{name}: {error}")
            continue
        images.append(image)
        done.update(changes)
    return images, done


def _notes_on_people(rows: np.ndarray, names: Sequence[str], strangers: Sequence[str]) -> list[str]:
    absent = [name for name, here in zip(names, rows, strict=True) if not here]
    if not absent:
        return []
    return [
        f"Partial: {rows.sum()} of {len(rows)} test people have a face; {first_few(absent)} are left out. The "
        "benchmark did not choose them, so this row cannot be compared with rows of everybody"
        f"{_alike(absent, strangers)}."
    ]


def _notes_on_takes(people: Sequence[Sequence[Path]]) -> list[str]:
    two, more = (sum(len(paths) >= count for paths in people) for count in (TAKES, TAKES + 1))
    if not two:
        return []
    if two < len(people):
        return [
            f"{two} of {len(people)} people have two pictures or more: the first by name is scored; consistency "
            "needs two of everybody."
        ]
    beyond = f" Pictures beyond the second ({more} people) were not read." if more else ""
    return [
        "The first picture by name is scored; the first two are the takes of the consistency. That they were generated "
        f"from different recordings is taken on trust.{beyond}"
    ]


def _notes_on_pictures(found: _Contents, done: Counter[str]) -> list[str]:
    notes = [f"{what[0].upper()}{what[1:]}: {count} pictures." for what, count in sorted(done.items())]
    ignored = {"Folders of no test person": found.strangers, "Files that are not pictures": found.other_files}
    return notes + [
        f"{what}, ignored: {len(names)} ({first_few(names)})." for what, names in ignored.items() if names
    ]


def _hash(names: Sequence[str], rows: np.ndarray, faces: ByteArray) -> str:
    """SHA-256 of the identities that have a face and of all pixels that are scored."""
    digest = hashlib.sha256("\0".join(name for name, here in zip(names, rows, strict=True) if here).encode())
    digest.update(repr(faces.shape).encode())
    digest.update(np.ascontiguousarray(faces).tobytes())
    return digest.hexdigest()
