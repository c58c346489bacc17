"""HQ-VoxCeleb: the speech of VoxCeleb and the selected photos of the SF2F paper (arXiv 2006.05888)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sf2f_bench.data.media import AudioFile, PhotoFile, files_in, has_files, hash_files, unread_files
from sf2f_bench.data.mel_pickles import MelFile
from sf2f_bench.data.names import by_plain_name, composed, plain_name, suggestion
from sf2f_bench.data.splits import limited, people_of
from sf2f_bench.data.tables import read_table
from sf2f_bench.faces.images import PHOTO_SUFFIXES
from sf2f_bench.progress import first_few
from sf2f_bench.types import SPLITS, BenchError, DatasetCard, DatasetSource, Identity

FACE_FOLDERS = ("masked_faces", "origin_faces")  # the paper's choice first
METADATA_FOLDERS = (".", "meta_info", "metadata", "vox1", "vox2")
# A converted utterance is there twice; the first of these is read.
RECORDING_SUFFIXES = (".wav", ".flac", ".m4a")
FACES_FROM = "github.com/BAI-Yeqi/HQ-VoxCeleb, the data set's release by the authors of SF2F"
SPEECH_FROM = "VoxCeleb by the Visual Geometry Group, Oxford (www.robots.ox.ac.uk/~vgg/data/voxceleb)"
SPEAKER = re.compile(r"id\d{5}", re.IGNORECASE)
NO_SPEECH = frozenset({*FACE_FOLDERS, *METADATA_FOLDERS[1:3], "mel_spectrograms"})
DEEPEST = 3  # folders between a root and its speakers: vox2/dev/aac/ID


@dataclass(frozen=True)
class Subset:
    """VoxCeleb1 or VoxCeleb2: its folder and the columns of its metadata.

    seen_by: the face data set that its people were chosen from; `seen_flag`: the column that says "1" for people of
    that set's training split and "0" for the others, None where all of the set was trained on.
    """

    name: str
    metadata: str
    metadata_from: str
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

    def speech_folders(self, root: Path) -> list[Path]:
        """Every speaker's folder of recordings, as VoxCeleb's archives unpack.

        In raw_wav/SUBSET, and ids of the metadata anywhere in the root: dev/aac/ID, wav/ID.
        """
        names, ids = (_listed(root, self, column) for column in (self.person, self.speaker))
        own = _speaker_folders(root / "raw_wav" / self.name, names)
        others = (folder for folder in _speaker_folders(root, ids) if folder.name in ids)
        return list(dict.fromkeys([*own, *others]))

    def features(self, root: Path) -> Path:
        """The folder of its official features."""
        return root / self.name / "mel_spectrograms"


SUBSETS = (
    Subset(
        "vox1",
        "vox1_meta.csv",
        SPEECH_FROM,
        "VGGFace1 ID",
        "VoxCeleb1 ID",
        "Gender",
        "Nationality",
        "VGGFace1",
        None,
    ),
    Subset(
        "vox2",
        "full_vox2_meta.csv",
        f"meta_info of {FACES_FROM}",
        "Name",
        "VoxCeleb2ID",
        "Gender_x",
        None,
        "VGGFace2",
        "Flag",
    ),
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
    (or .m4a, .flac; also with the folders of VoxCeleb's archives, see `Subset.speech_folders`) or, where a subset has
    no recordings, the official features ROOT/vox1|vox2/mel_spectrograms/NAME/*.pickle, and the two metadata files in
    ROOT or ROOT/meta_info.
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
        self._left_out = [
            (
                subset.name,
                f"has recordings but no photos: expected {subset.name}/{FACE_FOLDERS[0]}/NAME/*.jpg",
            )
            for subset in SUBSETS
            if subset not in subsets and subset.speech_folders(self.root)
        ]
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
        if self._left_out:
            reasons = first_few([f"{name}: {reason}" for name, reason in self._left_out], 3, "; ")
            advice += f" Left out: {len(self._left_out)} ({reasons})."
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
        """People who have a folder but cannot be used, and files of kinds that are not read, each with the reason."""
        files = [
            (name, f"{path}: {reason}")
            for name, person in self._people.items()
            for path, reason in [
                *unread_files(person.faces, PHOTO_SUFFIXES),
                *(
                    found
                    for folder in person.speech
                    for found in unread_files(folder, _speech_suffixes(person.speech))
                ),
            ]
        ]
        return [*self._left_out, *files]

    def fingerprint(self) -> str:
        """A hash over the people of every split, their files' names and sizes, as they were when first asked for."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
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
        named = by_plain_name(faces)
        for number, row in enumerate(rows):
            name, speaker = composed(row[subset.person]), row[subset.speaker]
            folders = speech.get(speaker) or speech.get(name) or ()
            if name not in faces and not folders:
                continue  # the metadata lists all of VoxCeleb, the photos are a selection
            if reason := _unusable(faces.get(name), folders, name in taken):
                self._left_out.append((name, reason if name in faces else reason + _alike(name, named)))
                continue
            identity = _identity(subset, row, name, number)
            people.append(Celebrity(identity, split_of_row(number), speaker, faces[name], folders))
        self._left_out += _strangers(subset, rows, faces, speech)
        return sorted(people, key=lambda person: person.identity.id)


def _identity(subset: Subset, row: Mapping[str, str], name: str, number: int) -> Identity:
    """What a metadata row says of a person. Raises BenchError with the row for a word that means nothing."""
    nationality = row[subset.nationality] if subset.nationality else None
    try:
        seen = seen_by(subset, row)
        return Identity(name, gender=row[subset.gender], nationality=nationality, seen_by=seen)
    except BenchError as error:
        raise BenchError(f"{subset.metadata}, row {number + 1} below the header: {error}") from error


def _alike(name: str, folders: Mapping[str, str]) -> str:
    """Where a person without photos has a folder of nearly their name, that."""
    likely = folders.get(plain_name(name))
    return f" under this name, but a folder {likely}: rename it" if likely else ""


def _strangers(
    subset: Subset,
    rows: Sequence[Mapping[str, str]],
    faces: Mapping[str, Path],
    speech: Mapping[str, Sequence[Path]],
) -> list[tuple[str, str]]:
    """Folders of faces and speech that no metadata row names; with the row that most likely means them."""
    names = {composed(row[subset.person]) for row in rows}
    speakers = {row[subset.speaker] for row in rows}
    people, ids = by_plain_name(names), by_plain_name(speakers)
    found = [
        (name, f"not a person of {subset.metadata}{suggestion(name, people)}")
        for name in sorted(set(faces) - names)
    ]
    for name in sorted(set(speech) - names - speakers):
        if likely := suggestion(name, {**people, **ids}):
            found.append((name, f"not a speaker of {subset.metadata}{likely}"))
    return found


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
    flag = (row.get(subset.seen_flag) or "").strip()
    if flag not in ("1", "0", ""):
        raise BenchError(
            f"{subset.seen_flag} {flag!r}: expected 1 (in the training split of {subset.seen_by}) or 0"
        )
    return {"1": subset.seen_by, "0": ""}.get(flag)


def _root_of(source: DatasetSource) -> Path:
    if source.voices is not None or source.faces is not None:
        raise BenchError("data set hq-voxceleb is one folder: give it as the root, not as voices and faces.")
    if source.root is None or not source.root.is_dir():
        raise BenchError(
            f"data set hq-voxceleb: expected its folder as the root (--root FOLDER), got {source.root or 'none'}. "
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
            missing.append(f"{subset.metadata}: names, ids and the split, in {subset.metadata_from}")
        if not subset.speech_folders(root) and not subset.features(root).is_dir():
            missing.append(
                f"raw_wav/{subset.name}/dev|test/ID/CLIP/*.wav: the recordings, from {SPEECH_FROM}; or the "
                f"features {subset.name}/mel_spectrograms/NAME/*.pickle that the SF2F code made of them"
            )
    if missing:
        found = first_few(sorted(path.relative_to(root).as_posix() for path in _folders(root, 2)), 12)
        inside = [path for path in _folders(root, 1) if any(subset.face_folders(path) for subset in SUBSETS)]
        advice = f"; is {inside[0]} the root?" if inside else ""
        raise BenchError(
            f"missing from hq-voxceleb in {root} (folders found: {found or 'none'}{advice}):\n  "
            + "\n  ".join(missing)
        )
    return with_faces


def _folders(root: Path, depth: int) -> Iterator[Path]:
    """Sub-folders down to a depth."""
    for path in _folders_by_name(root).values():
        yield path
        if depth > 1:
            yield from _folders(path, depth - 1)


def _face_folder_of(root: Path, subsets: list[Subset]) -> str:
    """The kind of photos that every subset has, masked ones rather than originals."""
    for folder in FACE_FOLDERS:
        if all(folder in subset.face_folders(root) for subset in subsets):
            return folder
    found = "; ".join(f"{subset.name} has {', '.join(subset.face_folders(root))}" for subset in subsets)
    raise BenchError(f"hq-voxceleb in {root}: expected one kind of photos in both subsets, but {found}.")


def _metadata(root: Path, subset: Subset) -> list[dict[str, str]]:
    """The rows of a subset's metadata, in order: the order decides the split.

    Raises BenchError where two rows have one name or one id: they would share recordings or photos, in two splits.
    """
    path = subset.metadata_path(root)
    assert path is not None, "_subsets_present has found it"
    nationality = [subset.nationality] if subset.nationality else []
    columns = [subset.person, subset.speaker, subset.gender, *nationality]
    rows = read_table(path, columns, f"Take the file from {subset.metadata_from}.")
    for column, other in ((subset.person, subset.speaker), (subset.speaker, subset.person)):
        first: dict[str, int] = {}
        for number, row in enumerate(rows):
            name = composed(row[column])
            if not name or name in first:
                what = f"the same {column} {name!r} as row {first[name] + 1}" if name else f"no {column}"
                raise BenchError(
                    f"{path}, row {number + 1} below the header ({other} {row[other]!r}): has {what}; expected each "
                    "person once. Mend the row, but remove none: the row's number decides the split."
                )
            first[name] = number
    return rows


def _listed(root: Path, subset: Subset, column: str) -> Set[str]:
    """A column of a subset's metadata; empty without the file."""
    return {composed(row[column]) for row in _metadata(root, subset)} if subset.metadata_path(root) else set()


def _speech_by_speaker(root: Path, subset: Subset) -> dict[str, tuple[Path, ...]]:
    """Folders of speech by VoxCeleb id (recordings) or by name (features, where there are no recordings)."""
    found: dict[str, tuple[Path, ...]] = {}
    for folder in subset.speech_folders(root):
        speaker = composed(folder.name)
        found[speaker] = (*found.get(speaker, ()), folder)
    return found or {name: (folder,) for name, folder in _folders_by_name(subset.features(root)).items()}


def _speaker_folders(place: Path, names: Set[str], depth: int = DEEPEST) -> Iterator[Path]:
    """Folders named after a VoxCeleb id or one of `names` (of VoxCeleb1's first release), below `depth` others."""
    for name, folder in sorted(_folders_by_name(place).items()):
        if SPEAKER.fullmatch(name) or name in names:
            yield folder
        elif depth and name not in NO_SPEECH:
            yield from _speaker_folders(folder, names, depth - 1)


def _folders_by_name(parent: Path) -> dict[str, Path]:
    """Sub-folders by their name in composed Unicode."""
    if not parent.is_dir():
        return {}
    return {composed(path.name): path for path in parent.iterdir() if path.is_dir()}


def _unusable(faces: Path | None, speech: tuple[Path, ...], taken: bool) -> str | None:
    """Why a person cannot be used; None where photos and speech are there."""
    if taken:
        return "has photos and speech in vox1 already; one person cannot be two identities"
    if faces is None or not has_files(faces, PHOTO_SUFFIXES):
        return "has speech but no photo" + _others_in([faces] if faces else [], PHOTO_SUFFIXES)
    if not any(has_files(folder, {*RECORDING_SUFFIXES, ".pickle"}) for folder in speech):
        return "has photos but no speech" + _others_in(speech, _speech_suffixes(speech))
    return None


def _others_in(folders: Sequence[Path], suffixes: Collection[str]) -> str:
    """The files of other kinds in the folders of a person, in words; nothing where there are none."""
    names = [path.name for folder in folders for path, _ in unread_files(folder, suffixes)]
    return f" (expected {', '.join(sorted(suffixes))}, found {first_few(names, 3)})" if names else ""


def _speech_suffixes(speech: tuple[Path, ...]) -> tuple[str, ...]:
    return (".pickle",) if speech and _holds_features(speech) else RECORDING_SUFFIXES


def _holds_features(speech: tuple[Path, ...]) -> bool:
    return speech[0].parent.name == "mel_spectrograms"


def _recordings(person: Celebrity) -> list[Path]:
    return [path for folder in person.speech for path in files_in(folder, RECORDING_SUFFIXES)]
