"""HQ-VoxCeleb: the speech of VoxCeleb and the selected photos of the SF2F paper (arXiv 2006.05888)."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sf2f_bench.data.media import AudioFile, PhotoFile, files_in, has_files, hash_files
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.splits import limited, people_of
from sf2f_bench.faces.images import PHOTO_SUFFIXES
from sf2f_bench.types import SPLITS, BenchError, DatasetCard, DatasetSource, Identity

FACE_FOLDERS = ("masked_faces", "origin_faces")  # the paper's choice first
METADATA_FOLDERS = (".", "meta_info", "metadata", "vox1", "vox2")
# An utterance that was converted lies there twice; the first of these is read.
RECORDING_SUFFIXES = (".wav", ".flac", ".m4a")
FACES_FROM = "github.com/BAI-Yeqi/HQ-VoxCeleb, the data set's release by the authors of SF2F"
SPEECH_FROM = "VoxCeleb by the Visual Geometry Group, Oxford (www.robots.ox.ac.uk/~vgg/data/voxceleb)"


@dataclass(frozen=True)
class Part:
    """VoxCeleb1 or VoxCeleb2: its folder and the columns of its metadata.

    seen_by: the face data set that its people were chosen from; `seen_flag`: the column that says "1" for people of
    that set's training split and "0" for the others, None where all of the set was trained on.
    """

    name: str
    metadata: str
    person: str
    speaker: str
    gender: str
    nationality: str | None
    seen_by: str
    seen_flag: str | None


PARTS = (
    Part("vox1", "vox1_meta.csv", "VGGFace1 ID", "VoxCeleb1 ID", "Gender", "Nationality", "VGGFace1", None),
    Part("vox2", "full_vox2_meta.csv", "Name", "VoxCeleb2ID", "Gender_x", None, "VGGFace2", "Flag"),
)


@dataclass(frozen=True)
class Person:
    """One identity and the folders of its photos and its speech."""

    identity: Identity
    split: str
    speaker: str
    faces: Path
    speech: tuple[Path, ...]


class HqVoxCeleb:
    """Data set `hq-voxceleb`, read where the user keeps it: `source.root`.

    ROOT/vox1|vox2/masked_faces/NAME/*.jpg (else origin_faces), ROOT/raw_wav/vox1|vox2/dev|test/ID/CLIP/*.wav
    (or .m4a, .flac) or, where a part has no recordings, the official features
    ROOT/vox1|vox2/mel_spectrograms/NAME/*.pickle, and the two metadata files in ROOT or ROOT/meta_info.
    The split is the official one, by row of the metadata. Raises BenchError naming all that is missing.
    """

    card = DatasetCard(
        name="hq-voxceleb",
        version="1",
        licence="photos and recordings belong to third parties; metadata of VoxCeleb CC BY 4.0",
        real=True,
        paired=True,
        media_shareable=False,
        description="Celebrities in interviews (VoxCeleb1 and 2) with selected frontal photos.",
        limits="Nearly all test people are in the training data of VGGFace2, hence of FaceNet and of the VGGFace"
        " Score. Celebrities, lit and made up; recordings of one person share microphones and rooms.",
    )

    def __init__(self, source: DatasetSource) -> None:
        self.root = _root_of(source)
        parts = _parts_present(self.root)
        self._face_folder = _face_folder_of(self.root, parts)
        names = " and ".join(part.name for part in parts)
        self.card = replace(
            self.card, description=f"{self.card.description} Read: {names}, photos of {self._face_folder}."
        )
        self._left_out: list[tuple[str, str]] = []
        found: dict[str, list[Person]] = {split: [] for split in SPLITS}
        taken: set[str] = set()
        for part in parts:
            for person in self._people_of(part, taken):
                found[person.split].append(person)
                taken.add(person.identity.id)
        self._splits = limited(found, source.limits)
        self._people = {person.identity.id: person for people in self._splits.values() for person in people}

    def identities(self, split: str) -> Sequence[Identity]:
        """The identities of a split that have photos and speech, sorted by part and name.

        Raises BenchError for an unknown split and for one without an identity.
        """
        advice = (
            "The metadata's row number decides the split (i % 10: 8 test, 9 val, else train), so a small "
            "selection of people can miss one: add people of such rows with both photos and speech."
        )
        return [person.identity for person in people_of(self._splits, split, advice)]

    def utterances(self, identity: str) -> Sequence[AudioFile | MelFile]:
        """The recordings (or feature files) of one identity, sorted by ID_CLIP_UTTERANCE."""
        person = self._find(identity)
        if _holds_features(person.speech):
            return [MelFile(path.stem, path) for path in files_in(person.speech[0], {".pickle"})]
        by_key: dict[str, Path] = {}
        for path in sorted(
            _recordings(person), key=lambda path: RECORDING_SUFFIXES.index(path.suffix.lower())
        ):
            by_key.setdefault(f"{person.speaker}_{path.parent.name}_{path.stem}", path)
        return [AudioFile(key, by_key[key]) for key in sorted(by_key)]

    def photos(self, identity: str) -> Sequence[PhotoFile]:
        """The photos of one identity, sorted by file name."""
        return [PhotoFile(path.name, path) for path in files_in(self._find(identity).faces, PHOTO_SUFFIXES)]

    def left_out(self) -> list[tuple[str, str]]:
        """People that have a folder but cannot be used, each with the reason."""
        return list(self._left_out)

    def fingerprint(self) -> str:
        """A hash over the people of every split, their files' names and sizes."""
        folders = (
            (f"{person.split}/{name}", folder)
            for name, person in self._people.items()
            for folder in (person.faces, *person.speech)
        )
        return hash_files(folders)

    def _find(self, identity: str) -> Person:
        if identity not in self._people:
            raise BenchError(
                f"unknown identity {identity!r} in {self.card.name}: ids look like 'Adam_Beach'."
            )
        return self._people[identity]

    def _people_of(self, part: Part, taken: set[str]) -> list[Person]:
        """The usable people of one part, sorted by name; the others' reasons go to `left_out`."""
        faces = _folders_by_name(self.root / part.name / self._face_folder)
        speech = _speech_by_speaker(self.root, part)
        people = []
        rows = _metadata(self.root, part)
        for number, row in enumerate(rows):
            name, speaker = unicodedata.normalize("NFC", row[part.person]), row[part.speaker]
            folders = speech.get(speaker) or speech.get(name) or ()
            if name not in faces and not folders:
                continue  # the metadata lists all of VoxCeleb, the photos are a selection
            if reason := _unusable(faces.get(name), folders, name in taken):
                self._left_out.append((name, reason))
                continue
            nationality = row[part.nationality] if part.nationality else None
            identity = Identity(
                name, gender=row[part.gender], nationality=nationality, seen_by=seen_by(part, row)
            )
            people.append(Person(identity, split_of_row(number), speaker, faces[name], folders))
        listed = {unicodedata.normalize("NFC", row[part.person]) for row in rows}
        strangers = sorted(set(faces) - listed)
        self._left_out += [(name, f"not a person of {part.metadata}") for name in strangers]
        return sorted(people, key=lambda person: person.identity.id)


def split_of_row(number: int) -> str:
    """The official split of a metadata row, counted from 0 within its file."""
    return {8: "test", 9: "val"}.get(number % 10, "train")


def seen_by(part: Part, row: Mapping[str, str]) -> str | None:
    """The training set that holds the person of a metadata row, "" for none, None where the row does not say.

    VoxCeleb1's people were chosen from VGGFace1 (Nagrani et al. 2017), all of which trained VGG-Face; VoxCeleb2's from
    VGGFace2 (Chung et al. 2018), a part of which is its test split. Of the other set neither table says anything.
    """
    if part.seen_flag is None:
        return part.seen_by
    return {"1": part.seen_by, "0": ""}.get(row.get(part.seen_flag) or "")


def _root_of(source: DatasetSource) -> Path:
    if source.voices is not None or source.faces is not None:
        raise BenchError("data set hq-voxceleb is one folder: give it as the root, not as voices and faces.")
    if source.root is None or not source.root.is_dir():
        raise BenchError(
            f"data set hq-voxceleb: expected its folder as the root (--root FOLDER), got {source.root}. "
            f"Photos: {FACES_FROM}. Speech: {SPEECH_FROM}."
        )
    return source.root


def _parts_present(root: Path) -> list[Part]:
    """The parts that have photos. Raises BenchError with everything that such a part lacks."""
    with_faces = [part for part in PARTS if _face_folders(root, part)]
    missing = []
    for part in with_faces or PARTS:
        if not with_faces:
            missing.append(f"{part.name}/{FACE_FOLDERS[0]}/NAME/*.jpg: the photos, from {FACES_FROM}")
        if _metadata_path(root, part) is None:
            missing.append(f"{part.metadata}: who is who and the split, in meta_info of {FACES_FROM}")
        if not _recordings_folder(root, part).is_dir() and not _features_folder(root, part).is_dir():
            missing.append(
                f"raw_wav/{part.name}/dev|test/ID/CLIP/*.wav: the recordings, from {SPEECH_FROM}; or the "
                f"features {part.name}/mel_spectrograms/NAME/*.pickle that the SF2F code made of them"
            )
    if missing:
        raise BenchError(f"hq-voxceleb in {root} lacks:\n  " + "\n  ".join(missing))
    return with_faces


def _face_folders(root: Path, part: Part) -> list[str]:
    return [folder for folder in FACE_FOLDERS if (root / part.name / folder).is_dir()]


def _face_folder_of(root: Path, parts: list[Part]) -> str:
    """The kind of photos that every part has, masked ones before originals."""
    for folder in FACE_FOLDERS:
        if all(folder in _face_folders(root, part) for part in parts):
            return folder
    found = "; ".join(f"{part.name} has {', '.join(_face_folders(root, part))}" for part in parts)
    raise BenchError(f"hq-voxceleb in {root}: expected one kind of photos in both parts, but {found}.")


def _metadata_path(root: Path, part: Part) -> Path | None:
    places = (root / folder / part.metadata for folder in METADATA_FOLDERS)
    return next((path for path in places if path.is_file()), None)


def _metadata(root: Path, part: Part) -> list[dict[str, str]]:
    """The rows of a part's metadata, in order: the order decides the split."""
    path = _metadata_path(root, part)
    assert path is not None, "_parts_present has found it"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline()
        stream.seek(0)
        rows = list(csv.DictReader(stream, delimiter="\t" if "\t" in header else ","))
    needed = [part.person, part.speaker, part.gender, *([part.nationality] if part.nationality else [])]
    absent = [column for column in needed if not rows or rows[0].get(column) is None]
    if absent:
        raise BenchError(
            f"{path}: expected rows with the columns {', '.join(needed)}; not found: {', '.join(absent)}. "
            f"Take the file from meta_info of {FACES_FROM}."
        )
    return rows


def _recordings_folder(root: Path, part: Part) -> Path:
    return root / "raw_wav" / part.name


def _features_folder(root: Path, part: Part) -> Path:
    return root / part.name / "mel_spectrograms"


def _speech_by_speaker(root: Path, part: Part) -> dict[str, tuple[Path, ...]]:
    """Folders of speech by VoxCeleb id (recordings) or by name (features, where there are no recordings)."""
    found: dict[str, tuple[Path, ...]] = {}
    for subset in ("dev", "test"):
        for speaker, folder in _folders_by_name(_recordings_folder(root, part) / subset).items():
            found[speaker] = (*found.get(speaker, ()), folder)
    return found or {
        name: (folder,) for name, folder in _folders_by_name(_features_folder(root, part)).items()
    }


def _folders_by_name(parent: Path) -> dict[str, Path]:
    """Sub-folders by their name in composed Unicode: a Mac's file system hands names out decomposed."""
    if not parent.is_dir():
        return {}
    return {unicodedata.normalize("NFC", path.name): path for path in parent.iterdir() if path.is_dir()}


def _unusable(faces: Path | None, speech: tuple[Path, ...], taken: bool) -> str | None:
    """Why a person cannot be used; None where photos and speech are there."""
    if taken:
        return "has photos and speech in vox1 already; one person cannot be two identities"
    if faces is None or not has_files(faces, PHOTO_SUFFIXES):
        return "has speech but no photo"
    if not any(has_files(folder, {*RECORDING_SUFFIXES, ".pickle"}) for folder in speech):
        return "has photos but no speech"
    return None


def _holds_features(speech: tuple[Path, ...]) -> bool:
    return speech[0].parent.name == "mel_spectrograms"


def _recordings(person: Person) -> list[Path]:
    return [path for folder in person.speech for path in files_in(folder, RECORDING_SUFFIXES)]
