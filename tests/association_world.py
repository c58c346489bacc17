"""Association lists of a few people in every published format, and the files they name, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from sf2f_bench.association.lists import MediaFolders, read_lists
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.types import DatasetSource

ROWS = (1, 4, 8, 15, 18, 28)  # of the metadata: three are training rows of hq-voxceleb, three are test rows
CLIPS = ("aB_-c1", "x_y0000002")  # underscores, as the real ones have
RECORDINGS, PHOTOS = 2, 3  # of one person


@dataclass(frozen=True)
class Someone:
    row: int

    @property
    def id(self) -> str:
        return f"id1{self.row + 1:04d}"

    @property
    def name(self) -> str:
        return f"Person_{chr(65 + self.row)}.-{self.row}"

    @property
    def gender(self) -> str:
        return "fm"[self.row % 2]

    def recording(self, number: int) -> str:
        return f"{self.id}/{CLIPS[number]}/{number + 1:05d}.wav"

    def old_recording(self, number: int) -> str:
        return f"{self.name}/{CLIPS[number]}_{number + 1:07d}.wav"

    def photo(self, number: int) -> str:
        return f"{self.name}/1.6/clip{number}/{25 * number:07d}.jpg"

    def old_photo(self, number: int) -> str:
        return self.photo(number).replace("/1.6/", "/")


PEOPLE = [Someone(row) for row in ROWS]


def write_lists(folder: Path) -> Path:
    """vox1_meta.csv, matching/, veriflist/ and retrieval/ about `PEOPLE`; returns the folder."""
    everybody = [Someone(row) for row in range(30)]
    _write(
        folder / "vox1_meta.csv",
        ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
        + [f"{one.id}\t{one.name}\t{one.gender}\tUSA\tdev" for one in everybody],
    )
    couples = [(one, other) for one in PEOPLE for other in PEOPLE if one != other]
    _write(
        folder / "matching" / "matching_v2f_U.csv",
        [f"{a.recording(i)} {a.photo(i)} {b.photo(2)}" for a, b in couples for i in range(RECORDINGS)],
    )
    _write(
        folder / "matching" / "matching_f2v_G.csv",
        [
            f"{a.photo(i)} {a.recording(0)} {b.recording(1)}"
            for a, b in couples
            if a.gender == b.gender
            for i in (0, 1)
        ],
    )
    pairs = [(a, b, i) for a in PEOPLE for b in PEOPLE for i in range(RECORDINGS)]
    _write(
        folder / "veriflist" / "veriflist_test_random_unseenunheard.txt",
        ["id,voice-speaker-id,face-speaker-id,label,voice-path,face-path"]
        + [
            f"{n},{a.row + 1},{b.row + 1},{int(a == b)},{a.old_recording(i)},{b.old_photo(i)}"
            for n, (a, b, i) in enumerate(pairs, 1)
        ],
    )
    for kind, count, path in (("wav", RECORDINGS, Someone.recording), ("jpg", PHOTOS, Someone.photo)):
        lines = [f"{one.id}\t{path(one, i)}" for one in PEOPLE for i in range(count)]
        _write(folder / "retrieval" / f"{kind}_20k.csv", [f"VoxCeleb1 ID\t{kind}", *lines])
    return folder


def write_media(folder: Path) -> tuple[Path, Path]:
    """The recordings and photos of `PEOPLE`, of synthetic people; returns the two folders."""
    world = SyntheticWorld(DatasetSource())
    for one, synthetic in zip(PEOPLE, world.identities("test"), strict=False):
        for number, utterance in enumerate(world.utterances(synthetic.id)[:RECORDINGS]):
            path = _parent(folder / "wav" / one.recording(number))
            soundfile.write(path, utterance.waveform(), 16_000, subtype="PCM_16")
        for number, photo in enumerate(world.photos(synthetic.id)[:PHOTOS]):
            path = _parent(folder / "faces" / one.photo(number))
            Image.fromarray(np.ascontiguousarray(photo.image(64).transpose(1, 2, 0))).save(path, quality=95)
    return folder / "wav", folder / "faces"


def name_media(lists: Path, folder: Path) -> MediaFolders:
    """Empty files under the newer naming: who only needs names does not open them."""
    people, _ = read_lists(lists)
    for one in PEOPLE:
        for number in range(RECORDINGS):
            _parent(folder / "wav" / one.recording(number)).touch()
        for number in range(PHOTOS):
            _parent(folder / "faces" / one.photo(number)).touch()
    return MediaFolders(folder / "wav", folder / "faces", people)


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: Path, lines: list[str]) -> None:
    _parent(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
