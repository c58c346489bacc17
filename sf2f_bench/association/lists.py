"""The trial lists of voice-face association on VoxCeleb1, in their published formats.

Matching and retrieval: Zhu et al., "Unsupervised Voice-Face Representation Learning by Cross-Modal Prototype
Contrast" (arXiv 2204.14057). Verification: Nagrani et al., "Learnable PINs" (arXiv 1805.00833).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from sf2f_bench.data.hq_voxceleb import split_of_row
from sf2f_bench.types import BenchError

METADATA = "vox1_meta.csv"
PEOPLE_COLUMNS = ["VoxCeleb1 ID", "VGGFace1 ID", "Gender"]
VERIFICATION_COLUMNS = ["id", "voice-speaker-id", "face-speaker-id", "label", "voice-path", "face-path"]
MATCHING_NAME = re.compile(r"matching_(v2f|f2v)_(U|G|N|A|GN|GNA)\.csv")
VERIFICATION_NAME = re.compile(r"veriflist_test_(random|G|N|A|GNA)_(unseenunheard|seenheard)\.txt")


@dataclass(frozen=True)
class PathPattern:
    """What a path of a list must look like, with an example for messages."""

    example: str
    pattern: re.Pattern[str]


FOLDER = r"[^/\\.][^/\\]*"  # never ".."
VOICE = PathPattern("id10002/CLIP/00001.wav", re.compile(rf"id\d{{5}}/{FOLDER}/\d{{5}}\.wav"))
FACE = PathPattern("A.R._Rahman/1.6/CLIP/0013500.jpg", re.compile(rf"{FOLDER}/1\.6/{FOLDER}/\d+\.jpg"))
# Before VoxCeleb1 gave its people ids:
OLD_VOICE = PathPattern("A.R._Rahman/CLIP_0000001.wav", re.compile(rf"({FOLDER})/({FOLDER})_(\d{{7}})\.wav"))
OLD_FACE = PathPattern("A.R._Rahman/CLIP/0013500.jpg", re.compile(rf"({FOLDER})/({FOLDER}/\d+\.jpg)"))


@dataclass(frozen=True, eq=False)
class People:
    """VoxCeleb1's people: columns `id` ("id10002"), `name` ("A.R._Rahman"), `gender` ("f" or "m"), `split`.

    split: "train", "val" or "test" of hq-voxceleb, by the row of the metadata.
    """

    table: pd.DataFrame
    sha256: str

    @cached_property
    def id_of(self) -> pd.Series:
        """The id by name and by id itself."""
        ids = self.table["id"].to_numpy()
        return pd.Series([*ids, *ids], index=[*self.table["name"], *ids])

    def of(self, paths: pd.Series) -> pd.Series:
        """The id of each path's person, by its first folder; NaN for an unknown person."""
        return paths.str.partition("/")[0].map(self.id_of)


@dataclass(frozen=True, eq=False)
class AssociationList:
    """A published list. voices, faces: every path of a recording and of a photo that it names, some more than once.

    sha256: by file name.
    """

    name: str
    sha256: dict[str, str]
    voices: pd.Series
    faces: pd.Series


@dataclass(frozen=True, eq=False)
class MatchingList(AssociationList):
    """1:2 matching: `trials` with `probe`, `right`, `wrong` (paths) and `person` (id of the probe).

    direction: "v2f" (a voice, two faces) or "f2v"; stratum: what right and wrong person share, "U" for nothing.
    """

    direction: Literal["v2f", "f2v"]
    stratum: str
    trials: pd.DataFrame


@dataclass(frozen=True, eq=False)
class VerificationList(AssociationList):
    """Same-person verification: `trials` with `voice`, `face` (paths), `same` (bool), `person` (id of the voice)."""

    stratum: str
    trials: pd.DataFrame


@dataclass(frozen=True, eq=False)
class RetrievalList(AssociationList):
    """All recordings against all photos: two tables with `path` and `person` (id)."""

    recordings: pd.DataFrame
    photos: pd.DataFrame


@dataclass(frozen=True)
class MediaFolders:
    """The folders of VoxCeleb1's recordings and photos, whichever of its two namings they have."""

    voices: Path
    faces: Path
    people: People

    def recording(self, name: str) -> Path | None:
        """The file of a listed voice under its own name, else NAME/CLIP_0000001.wav as ID/CLIP/00001.wav."""
        old = OLD_VOICE.pattern.fullmatch(name)
        renamed = [f"{self.people.id_of[old[1]]}/{old[2]}/{int(old[3]):05d}.wav"] if old else []
        return _first_file(self.voices, [name, *renamed])

    def photo(self, name: str) -> Path | None:
        """The file of a listed face under its own name, else NAME/CLIP/FRAME.jpg as NAME/1.6/CLIP/FRAME.jpg."""
        old = OLD_FACE.pattern.fullmatch(name)
        return _first_file(self.faces, [name, *([f"{old[1]}/1.6/{old[2]}"] if old else [])])


def _first_file(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def read_lists(folder: Path) -> tuple[People, list[AssociationList]]:
    """The people and every list of a folder: FOLDER/vox1_meta.csv, matching/, veriflist/, retrieval/.

    They may also be in FOLDER/data, as in their repository. Raises BenchError, with file and line, for a list that
    does not hold what its name says, and where there is no list.
    """
    folder = next((place for place in (folder, folder / "data") if (place / METADATA).is_file()), folder)
    if not (folder / METADATA).is_file():
        raise BenchError(
            f"{folder} is not a folder of association lists: expected {METADATA} beside matching/, veriflist/ "
            "or retrieval/"
        )
    people = read_people(folder / METADATA)
    lists: list[AssociationList] = [
        *(read_matching(path, people) for path in sorted(folder.glob("matching/*.csv"))),
        *(read_verification(path, people) for path in sorted(folder.glob("veriflist/*.txt"))),
        *(read_retrieval(path, people) for path in _retrieval_lists(folder)),
    ]
    if not lists:
        raise BenchError(
            f"{folder} holds no list: expected files such as matching/matching_v2f_U.csv, "
            "veriflist/veriflist_test_random_unseenunheard.txt, or retrieval/wav_20k.csv with jpg_20k.csv"
        )
    return people, lists


def _retrieval_lists(folder: Path) -> list[Path]:
    """The files of recordings; also one that is missing beside its file of photos."""
    found = {path.name.partition("_")[2]: path for path in folder.glob("retrieval/*_*.csv")}
    return [path.with_name(f"wav_{name}") for name, path in sorted(found.items())]


def read_people(path: Path) -> People:
    """VoxCeleb1's metadata, separated by tabs. Raises BenchError, with the line, for anything else."""
    table, sha256 = _read(path, "\t", PEOPLE_COLUMNS)
    people = table[PEOPLE_COLUMNS].set_axis(["id", "name", "gender"], axis=1)
    people["split"] = [split_of_row(number) for number in range(len(people))]
    _refuse(path, people, ~people["id"].str.fullmatch(r"id\d{5}"), "expected an id like id10001")
    _refuse(path, people, ~people["gender"].isin(["f", "m"]), "expected gender f or m")
    for column in ("id", "name"):
        _refuse(path, people, people[column].duplicated(), f"this {column} is listed twice")
    return People(people, sha256)


def read_matching(path: Path, people: People) -> MatchingList:
    """1:2 trials, ``PROBE RIGHT WRONG`` a line: the first candidate is the probe's person, in every published list.

    Direction and stratum are in the file's name. Raises BenchError, with the line, for anything else.
    """
    name = MATCHING_NAME.fullmatch(path.name)
    if not name:
        raise BenchError(
            f"{path}: expected a name such as matching_v2f_GN.csv, which gives direction and stratum"
        )
    columns = ["probe", "right", "wrong"]
    trials, sha256 = _read(path, " ", columns, header=False)
    direction: Literal["v2f", "f2v"] = "v2f" if name[1] == "v2f" else "f2v"
    probe, candidate = (VOICE, FACE) if direction == "v2f" else (FACE, VOICE)
    trials["person"], right, wrong = (
        _person(path, trials, column, pattern, people)
        for column, pattern in zip(columns, (probe, candidate, candidate), strict=True)
    )
    _refuse(path, trials, right != trials["person"], "the first candidate is not the probe's person")
    _refuse(path, trials, wrong == trials["person"], "the second candidate is the probe's person too")
    sides = trials["probe"], pd.concat([trials["right"], trials["wrong"]])
    voices, faces = sides if direction == "v2f" else sides[::-1]
    return MatchingList(path.stem, {path.name: sha256}, voices, faces, direction, name[2], trials)


def read_verification(path: Path, people: People) -> VerificationList:
    """Pairs of voice and face with label 1 for the same person; the older naming of VoxCeleb1.

    Raises BenchError, with the line, where label, speaker numbers and names of a pair disagree.
    """
    name = VERIFICATION_NAME.fullmatch(path.name)
    if not name:
        raise BenchError(f"{path}: expected a name such as veriflist_test_GNA_unseenunheard.txt")
    table, sha256 = _read(path, ",", VERIFICATION_COLUMNS)
    voice = _person(path, table, "voice-path", OLD_VOICE, people)
    face = _person(path, table, "face-path", OLD_FACE, people)
    for side, person in (("voice", voice), ("face", face)):
        number = table[f"{side}-speaker-id"].str.zfill(4)  # 2 is id10002
        _refuse(path, table, "id1" + number != person, f"the {side}'s speaker number is another person's")
    same = table["label"] == "1"
    _refuse(path, table, ~table["label"].isin(["0", "1"]), "expected label 0 or 1")
    _refuse(path, table, same != (voice == face), "the label contradicts the two names")
    paths = table["voice-path"], table["face-path"]
    trials = pd.DataFrame({"voice": paths[0], "face": paths[1], "same": same, "person": voice})
    stratum = "U" if name[1] == "random" else name[1]
    return VerificationList(path.stem, {path.name: sha256}, *paths, stratum, trials)


def read_retrieval(recordings: Path, people: People) -> RetrievalList:
    """``ID <tab> PATH`` a line, of recordings in ``wav_*.csv`` and of photos in ``jpg_*.csv``.

    Raises BenchError, with the line, for anything else.
    """
    tables, hashes = [], {}
    photos = recordings.with_name(recordings.name.replace("wav_", "jpg_", 1))
    for path, column, pattern in ((recordings, "wav", VOICE), (photos, "jpg", FACE)):
        if not path.exists():
            raise BenchError(
                f"{path} is missing: a retrieval list has one file of recordings and one of photos"
            )
        table, hashes[path.name] = _read(path, "\t", [PEOPLE_COLUMNS[0], column])
        person = _person(path, table, column, pattern, people)
        _refuse(path, table, table[PEOPLE_COLUMNS[0]] != person, "the id is another person's than the path's")
        _refuse(path, table, table[column].duplicated(), "this path is listed twice")
        tables.append(pd.DataFrame({"path": table[column], "person": person}))
    name = f"retrieval_{recordings.stem.removeprefix('wav_')}"
    return RetrievalList(name, hashes, *(table["path"] for table in tables), *tables)


def _read(
    path: Path, separator: str, columns: Sequence[str], header: bool = True
) -> tuple[pd.DataFrame, str]:
    """The fields of every line as strings, indexed by the line's number, and the file's SHA-256.

    columns: that the header must have, or of a file without one. Raises BenchError for anything else.
    """
    if not path.is_file():  # a pipe would be waited for
        raise BenchError(f"{path} cannot be read as a list: it is no file")
    try:
        content = path.read_bytes()
        lines = pd.Series(content.decode("utf-8-sig").splitlines(), dtype=str)
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read as a list: {error}") from error
    lines.index += 1
    names = lines.iloc[0].split(separator) if header and len(lines) else list(columns)
    if missing := [column for column in columns if column not in names]:
        raise BenchError(
            f"{path}, line 1: expected the columns {', '.join(columns)}; not found: {', '.join(missing)}"
        )
    lines = lines.iloc[int(header) :]
    if lines.empty:
        raise BenchError(f"{path} has no line; download it again")
    fields = lines.str.split(separator)
    counts = fields.str.len()
    wrong = counts[counts != len(names)]
    if len(wrong):
        raise BenchError(
            f"{path}, line {wrong.index[0]}: expected {len(names)} fields, got {wrong.iloc[0]}; download it again"
        )
    table = pd.DataFrame(fields.tolist(), index=lines.index, columns=pd.Index(names))
    return table, hashlib.sha256(content).hexdigest()


def _person(path: Path, table: pd.DataFrame, column: str, expected: PathPattern, people: People) -> pd.Series:
    """The id of each path's person; BenchError for a path that looks otherwise or is of an unknown person."""
    bad = ~table[column].str.fullmatch(expected.pattern)
    _refuse(path, table, bad, f"expected a path such as {expected.example} as {column}")
    found = people.of(table[column])
    _refuse(path, table, found.isna(), f"the person of {column} is not in {METADATA}")
    return found


def _refuse(path: Path, table: pd.DataFrame, bad: pd.Series, reason: str) -> None:
    if bad.any():
        line = bad.idxmax()
        fields = " ".join(map(str, table.loc[line]))
        raise BenchError(f"{path}, line {line}: {reason} ({fields}); download the list again")
