"""What cases start from: small folders of records, data sets and finished runs, made once and copied for each case."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from tests.plugins import install

TINY = '''
"""A data set of a few synthetic people."""
from dataclasses import replace

from sf2f_bench.data.synthetic.dataset import SyntheticWorld


class TinyWorld(SyntheticWorld):
    card = replace(SyntheticWorld.card, name="tiny")

    def __init__(self, source):
        super().__init__(replace(source, limits={"train": 8, "val": 2, "test": 14}))
'''
GALLERY = ("--gallery", "6", "--ks", "1,2")
FAST = ("--device", "cpu", "--jobs", "1")
RUN = ("run", "tiny-64", *FAST, *GALLERY)
MODEL = ("--models", "voice2face-64", "--width", "0.05", "--steps", "2")
PEOPLE = 10  # rows of each metadata table: 8 in train, one in test, one in val


def install_tiny(folder: Path) -> Path:
    """Install the data set `tiny` into a folder that must come onto the path."""
    return install(
        folder,
        "tiny-world",
        {"tiny_world.py": TINY},
        {"sf2f_bench.datasets": {"tiny": "tiny_world:TinyWorld"}},
    )


@lru_cache(maxsize=1)
def media() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Recordings (float ``[T]``, 3 s) and photos (uint8 ``[64, 64, 3]``) of synthetic people, one of each person."""
    from sf2f_bench.data.synthetic.dataset import SyntheticWorld
    from sf2f_bench.types import DatasetSource

    world = SyntheticWorld(DatasetSource(limits={"train": 4 * PEOPLE, "val": 2, "test": 2}))
    people = [person.id for person in world.identities("train")]
    voices = [world.utterances(person)[0].waveform()[:48_000] for person in people]
    photos = [np.ascontiguousarray(world.photos(person)[0].image(64).transpose(1, 2, 0)) for person in people]
    return voices, photos


def hq(folder: Path, with_pickles: bool = False) -> None:
    """data/: HQ-VoxCeleb's layout with ten people of each subset; their recordings or mel files, and photos."""
    from sf2f_bench.audio import LogFilterbank

    voices, photos = media()
    root = folder / "data"
    root.mkdir()
    vox1 = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"]
    vox1 += [f"id1{row:04d}\tPerson_{row:02d}\t{'fm'[row % 2]}\tAtlantis\tdev" for row in range(PEOPLE)]
    vox2 = ["Class_ID,Name,Sample_Num,Flag,Gender_x,VoxCeleb2ID,VGGFace2ID,Gender_y,Set"]
    vox2 += [f"n1,Star_{row:02d},9,1,{'fm'[row % 2]},id0{row:04d},n1,f,dev" for row in range(PEOPLE)]
    (root / "vox1_meta.csv").write_text("\n".join(vox1) + "\n", encoding="utf-8")
    (root / "full_vox2_meta.csv").write_text("\n".join(vox2) + "\n", encoding="utf-8")
    for part, (subset, prefix, name) in enumerate((("vox1", "id1", "Person"), ("vox2", "id0", "Star"))):
        for row in range(PEOPLE):
            person, number = f"{name}_{row:02d}", PEOPLE * part + row
            faces = root / subset / "masked_faces" / person
            faces.mkdir(parents=True)
            for take in (0, 1):
                Image.fromarray(photos[number + 2 * PEOPLE * take]).save(faces / f"{take}.png")
            if with_pickles:
                path = root / subset / "mel_spectrograms" / person / f"{prefix}{row:04d}_clip_00001.pickle"
                path.parent.mkdir(parents=True)
                path.write_bytes(pickle.dumps({"LogMel_Features": LogFilterbank()(voices[number])}))
            else:
                clip = root / "raw_wav" / subset / "dev" / f"{prefix}{row:04d}" / "clip"
                clip.mkdir(parents=True)
                soundfile.write(clip / "00001.wav", voices[number], 16_000, subtype="PCM_16")
                soundfile.write(clip / "00002.flac", voices[number + 2 * PEOPLE], 16_000)


def mel(folder: Path) -> None:
    """The same with the official features instead of recordings."""
    hq(folder, with_pickles=True)


def null_pairs(folder: Path) -> None:
    """voices/SPEAKER/*.flac and faces/PERSON/*.png."""
    voices, photos = media()
    for number, (voice, photo) in enumerate(zip(voices, photos, strict=True)):
        speaker, person = folder / "voices" / f"speaker{number // 2}", folder / "faces" / f"s{number // 2}"
        speaker.mkdir(parents=True, exist_ok=True)
        person.mkdir(parents=True, exist_ok=True)
        soundfile.write(speaker / f"{number % 2}.flac", voice, 16_000)
        Image.fromarray(photo).save(person / f"{number % 2}.png")


def association(folder: Path) -> None:
    """lists/, wav/, faces/ and small.safetensors, a small generator that was never trained."""
    import torch

    from reference_model.recipe import generator_of, recipe_for
    from sf2f_bench import ModelSettings
    from sf2f_bench.files import save_tensors
    from tests.association_world import write_lists, write_media

    write_lists(folder / "lists")
    write_media(folder)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        generator = generator_of(recipe_for(ModelSettings(64, width=0.06), fuses=False), fuser=False)
    state = {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
    save_tensors(folder / "small.safetensors", state, {"model": "sf2f-64", "width": 0.06, "source": "a test"})


def records(folder: Path) -> None:
    """results/ with one training seed of this repository's smoke runs, and reference/ with six; both with anchors."""
    smoke = Path(__file__).parents[3] / "results" / "reference" / "smoke-64"
    for place, seeds in (("results", "9"), ("reference", "012345")):
        (folder / place).mkdir()
        for path in sorted(smoke.iterdir()):
            if not path.name.startswith("sf2f-64") or path.name.partition("-seed")[2][:1] in seeds:
                shutil.copyfile(path, folder / place / path.name)


def recorded(folder: Path) -> None:
    """results/ of a finished run: three rows, of which one has pictures and a curve; reference/ with the same."""
    copied(folder.parent, "finished", folder / "run")
    for path in sorted((folder / "run" / "results" / "tiny-64").iterdir()):
        if path.name.startswith(("voice2face", "chance", "mean-face")):
            (folder / "results").mkdir(exist_ok=True)
            path.rename(folder / "results" / path.name)
    shutil.rmtree(folder / "run")
    shutil.copytree(folder / "results", folder / "reference")


def finished(folder: Path) -> None:
    """results/ and .sf2f-bench/ of a finished run, and drawn/ with a face of every test person."""
    from sf2f_bench.data.synthetic.dataset import SyntheticWorld
    from sf2f_bench.types import DatasetSource
    from tests.faults.campaign import run_forked

    outcome = run_forked([*RUN, *MODEL], folder, 300)
    assert outcome.code == 0, outcome.stderr
    world = SyntheticWorld(DatasetSource(limits={"train": 8, "val": 2, "test": 14}))
    for person in world.identities("test"):
        path = folder / "drawn" / person.id / "1.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(world.photos(person.id)[1].image(64).transpose(1, 2, 0))).save(
            path
        )


WORLDS: dict[str, Callable[[Path], None]] = {
    "empty": lambda folder: None,
    "hq": hq,
    "mel": mel,
    "null_pairs": null_pairs,
    "association": association,
    "records": records,
    "recorded": recorded,
    "finished": finished,
}


def copied(worlds: Path, name: str, target: Path) -> None:
    """A copy of a world, which is made the first time."""
    source = worlds / name
    if not source.exists():
        making = worlds / f"{name}.making"
        making.mkdir(parents=True)
        WORLDS[name](making)
        making.rename(source)
    shutil.copytree(source, target, symlinks=True)
