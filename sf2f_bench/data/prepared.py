"""The prepared store: features and faces of any data set, written once, memory-mapped ever after.

STORE/store.json              what it was made from
STORE/identities.parquet      split, id, gender, nationality, age
STORE/manifest.parquet        identity, kind, key, shard, start, length, reason (of a bad file)
STORE/shards/00000.safetensors  frames float32 [sum of frames, filters], images uint8 [n, 3, H, W]
STORE/shards/00000.parquet      the shard's part of the manifest; written last: it says "done"
STORE/left_out.csv            every file and identity that is not used, with the reason
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.files import hash_of, write_atomically, write_json
from sf2f_bench.progress import Reporter
from sf2f_bench.types import (
    SPLITS,
    AudioFrontend,
    BenchError,
    Dataset,
    DatasetCard,
    Identity,
    MediaError,
    Utterance,
)

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FORMAT = 1
IDENTITIES_PER_SHARD = 25
SHORTEST_VOICE = 125  # frames: one evaluation segment of 1.25 s
COLUMNS = ["identity", "kind", "key", "shard", "start", "length", "reason"]


@dataclass(frozen=True)
class Shard:
    """One unit of work: a few identities of a data set into one file."""

    number: int
    identities: tuple[str, ...]
    folder: Path

    @property
    def tensors(self) -> Path:
        """The media file."""
        return self.folder / f"{self.number:05d}.safetensors"

    @property
    def manifest(self) -> Path:
        """The file that says the shard is done."""
        return self.folder / f"{self.number:05d}.parquet"


def prepare(
    dataset: Dataset,
    frontend: AudioFrontend,
    image_size: int,
    folder: Path,
    reporter: Reporter,
    jobs: int = 2,
) -> PreparedStore:
    """Write the store of `dataset` into `folder`; shards that are there already are kept.

    A file that cannot be read is listed in ``left_out.csv`` with its reason and never stops the run.
    Raises BenchError when `folder` holds another store, when splits share an identity, or when a split
    ends without a usable identity.
    """
    splits = {split: list(dataset.identities(split)) for split in SPLITS}
    check_disjoint({split: [identity.id for identity in found] for split, found in splits.items()})
    settings = _settings(dataset, frontend, image_size)
    _claim(folder, settings)
    if (folder / "store.json").exists():
        return PreparedStore(folder)
    names = [identity.id for split in SPLITS for identity in splits[split]]
    cuts = range(0, len(names), IDENTITIES_PER_SHARD)
    shards = [
        Shard(number, tuple(names[cut : cut + IDENTITIES_PER_SHARD]), folder / "shards")
        for number, cut in enumerate(cuts)
    ]
    missing = [shard for shard in shards if not shard.manifest.exists()]
    if missing:
        _write_shards(dataset, frontend, image_size, missing, reporter, jobs)
    _finish(folder, settings, splits, shards, _left_out_before(dataset))
    return PreparedStore(folder)


def store_key(dataset: Dataset, frontend: AudioFrontend, image_size: int) -> str:
    """The name of the store's folder in the cache."""
    return hash_of(_settings(dataset, frontend, image_size))


def _settings(dataset: Dataset, frontend: AudioFrontend, image_size: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "card": asdict(dataset.card),
        "fingerprint": dataset.fingerprint(),
        "frontend": frontend.id,
        "image_size": image_size,
    }


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse a folder that holds something else, and mark it as ours."""
    mark = folder / "settings.json"
    if not mark.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise BenchError(f"{folder} is not empty and holds no prepared store: name a new or empty folder")
        write_json(mark, settings)
    found = json.loads(mark.read_text(encoding="utf-8"))
    if found != settings:
        unlike = [name for name in settings if found.get(name) != settings[name]]
        raise BenchError(
            f"{folder} was prepared from something else ({', '.join(unlike)} differ): "
            "name another folder, or delete this one to prepare it anew"
        )


def _write_shards(
    dataset: Dataset,
    frontend: AudioFrontend,
    image_size: int,
    shards: list[Shard],
    reporter: Reporter,
    jobs: int,
) -> None:
    from joblib import Parallel, delayed, parallel_config

    total = sum(len(shard.identities) for shard in shards)
    bad, seconds = 0, 0.0
    work = (delayed(_write_shard)(dataset, frontend, image_size, shard) for shard in shards)
    with (
        parallel_config(backend="loky", n_jobs=min(jobs, len(shards)), inner_max_num_threads=1),
        reporter.bar(f"prepare {dataset.card.name} (identities)", total) as bar,
    ):
        for shard_bad, shard_seconds, count in Parallel(return_as="generator_unordered")(work):
            bad, seconds = bad + shard_bad, seconds + shard_seconds
            bar.note(f"{seconds:,.0f} s of speech, {bad} bad files")
            bar.advance(count)


def _write_shard(
    dataset: Dataset, frontend: AudioFrontend, image_size: int, shard: Shard
) -> tuple[int, float, int]:
    """Returns (bad files, seconds of speech kept, identities)."""
    rows: list[dict[str, Any]] = []
    frames: list[FloatArray] = [np.zeros((0, frontend.filters), np.float32)]
    images: list[ByteArray] = [np.zeros((0, 3, image_size, image_size), np.uint8)]
    frame_count = 0
    for row, media in _read(dataset, frontend, image_size, shard.identities):
        rows.append({**row, "shard": shard.number})
        if media is None:
            continue
        if row["kind"] == "voice":
            rows[-1].update(start=frame_count, length=len(media))
            frames.append(media)
            frame_count += len(media)
        else:
            rows[-1].update(start=len(images) - 1, length=1)
            images.append(media[None])
    tensors = {"frames": np.concatenate(frames), "images": np.concatenate(images)}
    write_atomically(shard.tensors, lambda temporary: save_file(tensors, temporary))
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"reason": "string"})
    write_atomically(shard.manifest, lambda temporary: table.to_parquet(temporary, index=False))
    return int(table["reason"].notna().sum()), frame_count / frontend.frames_per_second, len(shard.identities)


def _read(
    dataset: Dataset, frontend: AudioFrontend, image_size: int, identities: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Any]]:
    """(manifest row, frames [T, filters] or image [3, H, W] or None) of every file."""
    for identity in identities:
        for utterance in dataset.utterances(identity):
            yield _try(identity, "voice", utterance.key, partial(_frames, utterance, frontend))
        for photo in dataset.photos(identity):
            yield _try(identity, "face", photo.key, partial(photo.image, image_size))


def _frames(utterance: Utterance, frontend: AudioFrontend) -> FloatArray:
    return np.ascontiguousarray(utterance.log_filterbank(frontend).T, dtype=np.float32)


def _try(identity: str, kind: str, key: str, read: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    row = {"identity": identity, "kind": kind, "key": key, "start": 0, "length": 0, "reason": None}
    try:
        return row, read()
    except MediaError as error:
        return {**row, "reason": str(error)}, None


def _left_out_before(dataset: Dataset) -> list[tuple[str, str]]:
    """Identities that the data set itself could not use, where it says so."""
    return list(dataset.left_out()) if hasattr(dataset, "left_out") else []


def _finish(
    folder: Path,
    settings: dict[str, Any],
    splits: dict[str, list[Identity]],
    shards: list[Shard],
    left_out_before: list[tuple[str, str]],
) -> None:
    manifest = pd.concat([pd.read_parquet(shard.manifest) for shard in shards], ignore_index=True)
    good = manifest[manifest["reason"].isna()]
    speaking = set(good[(good["kind"] == "voice") & (good["length"] >= SHORTEST_VOICE)]["identity"])
    seen = set(good[good["kind"] == "face"]["identity"])
    rows, left_out = [], [{"identity": name, "key": "", "reason": reason} for name, reason in left_out_before]
    for split in SPLITS:
        for identity in splits[split]:
            reasons = (
                [] if identity.id in speaking else [f"no recording with {SHORTEST_VOICE} frames of speech"]
            )
            reasons += [] if identity.id in seen else ["no usable photo"]
            if reasons:
                left_out.append({"identity": identity.id, "key": "", "reason": " and ".join(reasons)})
            else:
                rows.append({"split": split, **asdict(identity)})
    bad = manifest[manifest["reason"].notna()][["identity", "key", "reason"]]
    report = pd.concat([bad, pd.DataFrame(left_out, columns=bad.columns)], ignore_index=True)
    identities = pd.DataFrame(rows, columns=["split", "id", "gender", "nationality", "age"])
    for name, table in (("manifest", manifest), ("identities", identities)):
        write = partial(table.to_parquet, index=False)
        write_atomically(folder / f"{name}.parquet", write)
    write_atomically(folder / "left_out.csv", partial(report.to_csv, index=False))
    content = {**settings, "identities": rows, "bad": bad.to_dict("records")}
    write_json(folder / "store.json", {**settings, "data_hash": hash_of(content)})


class PreparedStore:
    """Reads a finished store. Arrays are views of memory-mapped files.

    Raises BenchError when the folder is not a finished store, when its splits share an identity, or when a
    split is without a usable one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "store.json").exists():
            raise BenchError(
                f"{folder} is not a finished prepared store: run `sf2f-bench prepare` into it first"
            )
        self.settings = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        self.card = DatasetCard(**self.settings["card"])
        self.data_hash: str = self.settings["data_hash"]
        self.image_size: int = self.settings["image_size"]
        table = pd.read_parquet(folder / "identities.parquet")
        self._splits = {split: self._identities(table[table["split"] == split]) for split in SPLITS}
        check_disjoint({split: [identity.id for identity in found] for split, found in self._splits.items()})
        for split, found in self._splits.items():
            if not found:
                raise BenchError(
                    f"the {split} split of {self.card.name} holds no identity with both a usable recording and "
                    f"a usable photo: see {folder / 'left_out.csv'} for the reason of every file"
                )
        self._shards: dict[int, dict[str, np.memmap]] = {}

    @staticmethod
    def _identities(table: pd.DataFrame) -> tuple[Identity, ...]:
        known = table.drop(columns="split").astype(object)
        return tuple(Identity(**row) for row in known.where(known.notna(), None).to_dict("records"))

    def identities(self, split: str) -> tuple[Identity, ...]:
        """The usable identities of a split, in the data set's order."""
        return self._splits[split]

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """Columns identity, key, reason: every file and identity that is not used."""
        return pd.read_csv(self.folder / "left_out.csv", keep_default_na=False)

    @cached_property
    def _places(self) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
        manifest = pd.read_parquet(self.folder / "manifest.parquet")
        good = manifest[manifest["reason"].isna()]
        places: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
        for row in good.itertuples(index=False):
            places.setdefault((row.identity, row.kind), []).append((row.shard, row.start, row.length))
        return places

    def _media(self, shard: int, name: str) -> np.memmap:
        if shard not in self._shards:
            self._shards[shard] = _map_tensors(self.folder / "shards" / f"{shard:05d}.safetensors")
        return self._shards[shard][name]

    def voices(self, identity: str) -> list[FloatArray]:
        """Raw log filter-bank of every usable recording: float32 ``[frames, filters]`` views."""
        places = self._places[identity, "voice"]
        return [self._media(shard, "frames")[start : start + length] for shard, start, length in places]

    def faces(self, identity: str) -> ByteArray:
        """Every usable photo: uint8 ``[N, 3, H, W]``."""
        places = self._places[identity, "face"]
        return np.stack([self._media(shard, "images")[start] for shard, start, _ in places])


def _map_tensors(path: Path) -> dict[str, np.memmap]:
    """Memory-map every tensor of a safetensors file: 8 bytes of header length, JSON header, data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    types = {"F32": np.float32, "U8": np.uint8}
    return {
        name: np.memmap(
            path, types[entry["dtype"]], "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"])
        )
        for name, entry in header.items()
        if name != "__metadata__" and 0 not in entry["shape"]
    }
