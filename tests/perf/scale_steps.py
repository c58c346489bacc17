"""What `tests.perf.scale` measures beside the commands: a layout of hard links, stand-in features, openings.

Each step is a process of its own: ``python -m tests.perf.scale_steps STEP ROOT CACHE``; its last line is what it found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile

from sf2f_bench.audio import LogFilterbank, decode
from sf2f_bench.benchmarks import Benchmark, benchmark_of
from sf2f_bench.config import RunConfig
from sf2f_bench.data.hq_voxceleb import HqVoxCeleb
from sf2f_bench.data.prepared import PreparedStore, prepare, store_key
from sf2f_bench.data.training import TrainingData
from sf2f_bench.files import seed_of
from sf2f_bench.progress import Reporter
from sf2f_bench.runs.pipeline import open_run
from sf2f_bench.training import Machine
from sf2f_bench.types import SAMPLE_RATE, SPLITS, AudioFrontend, DatasetSource
from tests.unit.test_audio import write_m4a

SHORTEST, LONGEST = 5, 14  # seconds of a cut: about 8 on average, as VoxCeleb's utterances
IN_WAV = 5  # of so many people one is of VoxCeleb1, whose recordings are wav; VoxCeleb2's are m4a
A_CLIP = 5  # utterances of one clip
STAND_IN_FRAMES = 130  # a little more than the 125 without which a person is left out
BATCH = 256

# ---------------------------------------------------------------- the layout


def cut(recordings: Path, folder: Path) -> None:
    """A few hundred cuts of the recordings, each as wav and as m4a."""
    folder.mkdir(parents=True)
    lengths = cycle(range(SHORTEST, LONGEST + 1))
    for path in sorted(path for path in recordings.iterdir() if path.suffix in (".flac", ".wav")):
        samples, start = decode(path), 0
        while len(piece := samples[start : start + next(lengths) * SAMPLE_RATE]) >= SHORTEST * SAMPLE_RATE:
            start += len(piece)
            name = f"{path.stem}-{start}"
            soundfile.write(folder / f"{name}.wav", piece, SAMPLE_RATE)
            write_m4a(folder / f"{name}.m4a", piece[:, None], SAMPLE_RATE)


def lay_out(cuts: Path, photos: Sequence[Path], root: Path, people: int, voices: int, faces: int) -> None:
    """HQ-VoxCeleb's folder with so many people, recordings and photos in all, hard links of a few."""
    sources = {suffix: cycle(sorted(cuts.glob(f"*{suffix}"))) for suffix in (".wav", ".m4a")}
    pictures = cycle(photos)
    root.mkdir(parents=True)
    tables = {
        "vox1_meta.csv": ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"],
        "full_vox2_meta.csv": ["Name,VoxCeleb2ID,Gender_x,Flag"],
    }
    for number in range(people):
        gender, name = "fm"[number % 2], f"Person_{number:05d}"
        if number % IN_WAV:
            subset, suffix, speaker = "vox2", ".m4a", f"id0{number:04d}"
            tables["full_vox2_meta.csv"].append(f"{name},{speaker},{gender},1")
        else:
            subset, suffix, speaker = "vox1", ".wav", f"id1{number:04d}"
            tables["vox1_meta.csv"].append(f"{speaker}\t{name}\t{gender}\tAtlantis\tdev")
        own = range(number * voices // people, (number + 1) * voices // people)
        speech = root / "raw_wav" / subset / "dev" / speaker
        for place in range(0, len(own), A_CLIP):
            clip = speech / f"clip{place // A_CLIP:05d}"
            clip.mkdir(parents=True)
            for utterance in range(min(A_CLIP, len(own) - place)):
                os.link(next(sources[suffix]), clip / f"{utterance:05d}{suffix}")
        album = root / subset / "masked_faces" / name
        album.mkdir(parents=True)
        for place in range((number + 1) * faces // people - number * faces // people):
            picture = next(pictures)
            os.link(picture, album / f"{place}{picture.suffix}")
    for table, lines in tables.items():
        (root / table).write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- stand-ins


@dataclass(frozen=True)
class StandInVoice:
    """A recording whose features are noise of its own."""

    key: str
    path: Path

    def log_filterbank(self, frontend: AudioFrontend) -> np.ndarray:
        noise = np.random.default_rng(seed_of(self.key))
        return 13 + noise.standard_normal((frontend.filters, STAND_IN_FRAMES), np.float32)


@dataclass(frozen=True)
class StandInPhoto:
    """A photo of coloured squares of its own, whose perceptual hash is like no other's."""

    key: str
    path: Path

    def image(self, size: int) -> np.ndarray:
        colours = np.random.default_rng(seed_of(str(self.path))).integers(0, 256, (3, 8, 8), np.uint8)
        return np.kron(colours, np.ones((1, size // 8, size // 8), np.uint8))


class StandIns(HqVoxCeleb):
    """HQ-VoxCeleb's folder with stand-ins for what its files hold; its store goes by the same name."""

    def utterances(self, identity):  # type: ignore[no-untyped-def]
        return [StandInVoice(item.key, item.path) for item in super().utterances(identity)]

    def photos(self, identity):  # type: ignore[no-untyped-def]
        return [StandInPhoto(item.key, item.path) for item in super().photos(identity)]


# ---------------------------------------------------------------- the steps


def _benchmark(root: Path, cache: Path) -> tuple[RunConfig, Benchmark]:
    """With the networks that every copy has, and galleries that fit."""
    config = RunConfig(
        benchmark="hq-voxceleb-64",
        root=root,
        cache=cache,
        results=cache / "results",
        judge="embedded-judge",
        perceptual="embedded-perceptual",
        gallery=10,
        ks=(1,),
        device="cpu",
    )
    return config, benchmark_of(config)


def _store(root: Path, cache: Path) -> PreparedStore:
    (folder,) = (cache / "prepared").iterdir()
    return PreparedStore(folder)


def stand_ins(root: Path, cache: Path) -> str:
    """Write the store through the package's own writer."""
    dataset, frontend = StandIns(DatasetSource(root)), LogFilterbank()
    folder = cache / "prepared" / store_key(dataset, frontend, 64)
    store = prepare(dataset, frontend, 64, folder, Reporter())
    return ", ".join(f"{len(store.identities(split))} {split}" for split in SPLITS)


def manifest(root: Path, cache: Path) -> str:
    """Open the store and read its manifest, as every process of a training does."""
    store = _store(root, cache)
    store.check()
    rows = sum(len(store.keys(person.id, "voice")) for split in SPLITS for person in store.identities(split))
    return f"{rows} recordings"


def training(root: Path, cache: Path) -> str:
    """Open the store for training and make the first batch."""
    data = TrainingData(_store(root, cache), LogFilterbank(), 0, Machine.start("cpu").device)
    batch = data.batch(0, BATCH)
    return f"{data.identities} identities, first batch {list(batch.voices.shape)}"


def evaluation(root: Path, cache: Path) -> str:
    """Open a run: the store, the networks, the audit, the test people's voices and photos."""
    config, benchmark = _benchmark(root, cache)
    opened = open_run(config, benchmark, Machine.start("cpu"), Reporter())
    segments = sum(map(len, opened.evaluation.segments))
    photos = len(opened.evaluation.real("judge").photos)
    return f"{len(opened.evaluation.identities)} test people, {segments} segments, {photos} photos"


STEPS = {step.__name__: step for step in (stand_ins, manifest, training, evaluation)}

if __name__ == "__main__":
    print(STEPS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3])))
