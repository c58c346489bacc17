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
# A converted utterance is there twice; the first of these is read.
RECORDING_SUFFIXES = (".wav", ".flac", ".m4a")
FACES_FROM = "github.com/BAI-Yeqi/HQ-VoxCeleb, the data set's release by the authors of SF2F"
SPEECH_FROM = "VoxCeleb by the Visual Geometry Group, Oxford (www.robots.ox.ac.uk/~vgg/data/voxceleb)"


@dataclass(frozen=True)
class Subset:
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

    def face_folders(self, root: Path) -> list[str]:
        """The kinds of photos that are there."""
        return [folder for folder in FACE_FOLDERS if (root / self.name / folder).is_dir()]

    def metadata_path(self, root: Path) -> Path | None:
        """The file of its metadata; None where it is missing."""
        places = (root / folder / self.metadata for folder in METADATA_FOLDERS)
        return next((path for path in places if path.is_file()), None)

    def recordings(self, root: Path) -> Path:
        """The folder of its recordings."""
        return root / "raw_wav" / self.name

    def features(self, root: Path) -> Path:
        """The folder of its official features."""
        return root / self.name / "mel_spectrograms"


SUBSETS = (
    Subset("vox1", "vox1_meta.csv", "VGGFace1 ID", "VoxCeleb1 ID", "Gender", "Nationality", "VGGFace1", None),
    Subset("vox2", "full_vox2_meta.csv", "Name", "VoxCeleb2ID", "Gender_x", None, "VGGFace2", "Flag"),
)


@dataclass(frozen=True)
class Celebrity:
    """One identity and the folders of their photos and speech."""

    identity: Identity
    split: str
    speaker: str
    faces: Path
    speech: tuple[Path, ...]


class HqVoxCeleb:
    """Data set `hq-voxceleb`, read from the user's folder `source.root`.

    ROOT/vox1|vox2/masked_faces/NAME/*.jpg (else origin_faces), ROOT/raw_wav/vox1|vox2/dev|test/ID/CLIP/*.wav
    (or .m4a, .flac) or, where a subset has no recordings, the official features
    ROOT/vox1|vox2/mel_spectrograms/NAME/*.pickle, and the two metadata files in ROOT or ROOT/meta_info.
    The split is the official one, by row of the metadata. Raises BenchError naming everything that is missing.
    """

    card = DatasetCard(
        name="hq-voxceleb",
        version="2",
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
        subsets = _subsets_present(self.root)
        self._face_folder = _face_folder_of(self.root, subsets)
        names = " and ".join(subset.name for subset in subsets)
        self.card = replace(
            self.card, description=f"{self.card.description} Read: {names}, photos of {self._face_folder}."
        )
        self._left_out: list[tuple[str, str]] = []
        found: dict[str, list[Celebrity]] = {split: [] for split in SPLITS}
        taken: set[str] = set()
        for subset in subsets:
            for person in self._people_of(subset, taken):
                found[person.split].append(person)
                taken.add(person.identity.id)
        self._splits = limited(found, source.limits)
        self._people = {person.identity.id: person for people in self._splits.values() for person in people}

    def identities(self, split: str) -> Sequence[Identity]:
        """The identities of a split that have photos and speech, sorted by subset and name.

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
        """People who have a folder but cannot be used, each with the reason."""
        return list(self._left_out)

    def fingerprint(self) -> str:
        """A hash over the people of every split, their files' names and sizes."""
        folders = (
            (f"{person.split}/{name}", folder)
            for name, person in self._people.items()
            for folder in (person.faces, *person.speech)
        )
        return hash_files(folders)

    def _find(self, identity: str) -> Celebrity:
        if identity not in self._people:
            raise BenchError(
                f"unknown identity {identity!r} in {self.card.name}: ids look like 'Adam_Beach'."
            )
        return self._people[identity]

    def _people_of(self, subset: Subset, taken: set[str]) -> list[Celebrity]:
        """The usable people of one subset, sorted by name; the others' reasons go to `left_out`."""
        faces = _folders_by_name(self.root / subset.name / self._face_folder)
        speech = _speech_by_speaker(self.root, subset)
        people = []
        rows = _metadata(self.root, subset)
        for number, row in enumerate(rows):
            name, speaker = unicodedata.normalize("NFC", row[subset.person]), row[subset.speaker]
            folders = speech.get(speaker) or speech.get(name) or ()
            if name not in faces and not folders:
                continue  # the metadata lists all of VoxCeleb, the photos are a selection
            if reason := _unusable(faces.get(name), folders, name in taken):
                self._left_out.append((name, reason))
                continue
            nationality = row[subset.nationality] if subset.nationality else None
            identity = Identity(
                name, gender=row[subset.gender], nationality=nationality, seen_by=seen_by(subset, row)
            )
            people.append(Celebrity(identity, split_of_row(number), speaker, faces[name], folders))
        listed = {unicodedata.normalize("NFC", row[subset.person]) for row in rows}
        strangers = sorted(set(faces) - listed)
        self._left_out += [(name, f"not a person of {subset.metadata}") for name in strangers]
        return sorted(people, key=lambda person: person.identity.id)


def split_of_row(number: int) -> str:
    """The official split of a metadata row, counted from 0 within its file."""
    return {8: "test", 9: "val"}.get(number % 10, "train")


def seen_by(subset: Subset, row: Mapping[str, str]) -> str | None:
    """The training set that contains the person of a metadata row, "" for none, None where the row does not say.

    VoxCeleb1's people were chosen from VGGFace1 (Nagrani et al. 2017), all of which trained VGG-Face; VoxCeleb2's from
    VGGFace2 (Chung et al. 2018), a part of which is its test split. Neither table says anything about the other set.
    """
    if subset.seen_flag is None:
        return subset.seen_by
    return {"1": subset.seen_by, "0": ""}.get(row.get(subset.seen_flag) or "")


def _root_of(source: DatasetSource) -> Path:
    if source.voices is not None or source.faces is not None:
        raise BenchError("data set hq-voxceleb is one folder: give it as the root, not as voices and faces.")
    if source.root is None or not source.root.is_dir():
        raise BenchError(
            f"data set hq-voxceleb: expected its folder as the root (--root FOLDER), got {source.root}. "
            f"Photos: {FACES_FROM}. Speech: {SPEECH_FROM}."
        )
    return source.root


def _subsets_present(root: Path) -> list[Subset]:
    """The subsets that have photos. Raises BenchError with everything that is missing from them."""
    with_faces = [subset for subset in SUBSETS if subset.face_folders(root)]
    missing = []
    for subset in with_faces or SUBSETS:
        if not with_faces:
            missing.append(f"{subset.name}/{FACE_FOLDERS[0]}/NAME/*.jpg: the photos, from {FACES_FROM}")
        if subset.metadata_path(root) is None:
            missing.append(f"{subset.metadata}: names, ids and the split, in meta_info of {FACES_FROM}")
        if not subset.recordings(root).is_dir() and not subset.features(root).is_dir():
            missing.append(
                f"raw_wav/{subset.name}/dev|test/ID/CLIP/*.wav: the recordings, from {SPEECH_FROM}; or the "
                f"features {subset.name}/mel_spectrograms/NAME/*.pickle that the SF2F code made of them"
            )
    if missing:
        raise BenchError(f"missing from hq-voxceleb in {root}:\n  " + "\n  ".join(missing))
    return with_faces


def _face_folder_of(root: Path, subsets: list[Subset]) -> str:
    """The kind of photos that every subset has, masked ones rather than originals."""
    for folder in FACE_FOLDERS:
        if all(folder in subset.face_folders(root) for subset in subsets):
            return folder
    found = "; ".join(f"{subset.name} has {', '.join(subset.face_folders(root))}" for subset in subsets)
    raise BenchError(f"hq-voxceleb in {root}: expected one kind of photos in both subsets, but {found}.")


def _metadata(root: Path, subset: Subset) -> list[dict[str, str]]:
    """The rows of a subset's metadata, in order: the order decides the split."""
    path = subset.metadata_path(root)
    assert path is not None, "_subsets_present has found it"
    with path.open(encoding="utf-8-sig", newline="") as stream:
        header = stream.readline()
        stream.seek(0)
        rows = list(csv.DictReader(stream, delimiter="\t" if "\t" in header else ","))
    needed = [
        subset.person,
        subset.speaker,
        subset.gender,
        *([subset.nationality] if subset.nationality else []),
    ]
    absent = [column for column in needed if not rows or rows[0].get(column) is None]
    if absent:
        raise BenchError(
            f"{path}: expected rows with the columns {', '.join(needed)}; not found: {', '.join(absent)}. "
            f"Take the file from meta_info of {FACES_FROM}."
        )
    return rows


def _speech_by_speaker(root: Path, subset: Subset) -> dict[str, tuple[Path, ...]]:
    """Folders of speech by VoxCeleb id (recordings) or by name (features, where there are no recordings)."""
    found: dict[str, tuple[Path, ...]] = {}
    for half in ("dev", "test"):
        for speaker, folder in _folders_by_name(subset.recordings(root) / half).items():
            found[speaker] = (*found.get(speaker, ()), folder)
    return found or {name: (folder,) for name, folder in _folders_by_name(subset.features(root)).items()}


def _folders_by_name(parent: Path) -> dict[str, Path]:
    """Sub-folders by their name in composed Unicode: a Mac's file system returns names decomposed."""
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


def _recordings(person: Celebrity) -> list[Path]:
    return [path for folder in person.speech for path in files_in(folder, RECORDING_SUFFIXES)]
