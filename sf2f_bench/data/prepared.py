"""The prepared store: features and faces of any data set, written once and memory-mapped.

STORE/store.json              what it was prepared from
STORE/identities.parquet      split, id, gender, nationality, age; seen_by where it is known
STORE/manifest.parquet        identity, kind, key, shard, start, length, reason (of a bad file)
STORE/plan.json, STORE/shards/  see `shards.py`
STORE/left_out.csv            every unused file and identity, with the reason
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sf2f_bench.data.contents import content_hash, forget_changed
from sf2f_bench.data.shards import (
    COLUMNS,
    Shard,
    Tally,
    check_tensors,
    is_whole,
    plan_shards,
    sha256_of,
    write_shard,
)
from sf2f_bench.data.splits import check_disjoint
from sf2f_bench.data.workers import on_cluster, on_this_machine
from sf2f_bench.files import (
    Damaged,
    as_text,
    hash_of,
    only_one,
    read_json,
    read_or_damaged,
    set_aside,
    write_atomically,
    write_json,
)
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.names import SEGMENT_FRAMES
from sf2f_bench.registry import unfit
from sf2f_bench.registry.sources import keyed, source_of
from sf2f_bench.types import SPLITS, AudioFrontend, BenchError, Dataset, DatasetCard, Identity

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

FORMAT = 1
TABLES = ("identities.parquet", "manifest.parquet", "left_out.csv")


def prepare(
    dataset: Dataset,
    frontend: AudioFrontend,
    image_size: int,
    folder: Path,
    reporter: Reporter,
    jobs: int = 2,
    scheduler: str | None = None,
) -> PreparedStore:
    """Write the store of `dataset` into `folder`; existing shards are kept, damaged files are made anew.

    A file whose content has changed since is named, and its shard prepared anew. Where another process is preparing the
    same folder, it is waited for. jobs: processes of this machine. scheduler: address of a Dask scheduler whose workers
    do it instead; they have to see `folder` and the data set at the same path. A file that cannot be read is listed in
    ``left_out.csv`` with its reason and does not stop the run. Raises BenchError when `folder` contains another store,
    when splits share an identity, when a split has no usable identity, and when no scheduler answers.
    """
    splits = {split: list(dataset.identities(split)) for split in SPLITS}
    people = [person for split in SPLITS for person in splits[split]]
    if others := [person for person in people if not isinstance(person, Identity)]:
        raise unfit(f"data set {dataset.card.name}", dataset, others[0], "a sf2f_bench.Identity")
    check_disjoint({split: [identity.id for identity in found] for split, found in splits.items()})
    settings = _settings(dataset, frontend, image_size)
    _refuse_other_contents(folder)
    names = [person.id for person in people]
    if store := _current(dataset, names, folder, settings, reporter):  # which may lie on a read-only disk
        if scheduler is not None:
            reporter.say(f"{dataset.card.name} is prepared already: the Dask scheduler is not asked")
        return store
    with only_one(folder / ".lock", f"preparing {folder}", reporter.say):
        _clear_the_way(folder, reporter)
        _claim(folder, settings, reporter)
        if store := _current(dataset, names, folder, settings, Reporter(silent=True)):
            return store
        (folder / "store.json").unlink(missing_ok=True)  # of a store that is not as it was
        _prepare(dataset, frontend, image_size, splits, settings, folder, reporter, jobs, scheduler)
    return PreparedStore(folder)


def _prepare(
    dataset: Dataset,
    frontend: AudioFrontend,
    image_size: int,
    splits: dict[str, list[Identity]],
    settings: dict[str, Any],
    folder: Path,
    reporter: Reporter,
    jobs: int,
    scheduler: str | None,
) -> None:
    """Write what is missing of a store."""
    people = [person.id for split in SPLITS for person in splits[split]]
    # Absolute, because workers have other working directories.
    try:
        shards = plan_shards(dataset, people, folder.absolute())
    except Damaged as error:
        reporter.say(f"{error}: everything in {folder} is prepared again")
        shutil.rmtree(folder / "shards", ignore_errors=True)
        set_aside(folder / "plan.json")
        shards = plan_shards(dataset, people, folder.absolute())
    forget_changed(dataset, shards, folder / "store.json", reporter)
    if not shards:
        raise BenchError(f"{dataset.card.name} has no recordings and no photos: check its folder")
    missing = [shard for shard in shards if not is_whole(shard)]
    if missing:
        work = partial(write_shard, dataset, frontend, image_size)
        _write_shards(work, missing, dataset.card.name, reporter, jobs, scheduler)
    if lost := _not_done(shards):
        raise BenchError(
            f"{len(lost)} of {len(shards)} shards were written but are not in {lost[0].folder}: "
            "give a folder that this machine and all workers share"
        )
    _finish(folder, settings, splits, shards, _left_out_before(dataset))


def store_key(dataset: Dataset, frontend: AudioFrontend, image_size: int) -> str:
    """The name of the store's folder in the cache."""
    return hash_of(_settings(dataset, frontend, image_size))


def _settings(dataset: Dataset, frontend: AudioFrontend, image_size: int) -> dict[str, Any]:
    source = source_of(dataset)
    return {
        "format": FORMAT,
        "card": asdict(dataset.card),
        **({"source": source} if source else {}),
        "fingerprint": dataset.fingerprint(),
        "frontend": keyed(frontend),
        "image_size": image_size,
    }


def _refuse_other_contents(folder: Path) -> None:
    """Hidden files are no contents: a process that was killed may have left one."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if "settings.json" not in names and any(not name.startswith(".") for name in names):
        raise BenchError(f"{folder} is not empty and contains no prepared store: name a new or empty folder")


def _finished(folder: Path, settings: dict[str, Any], reporter: Reporter) -> PreparedStore | None:
    """The store, if it is finished, of these settings, and can be read; of a damaged file the reporter tells."""
    if not (folder / "store.json").exists():
        return None
    try:
        store = PreparedStore(folder)
        if any(store.settings.get(name) != value for name, value in settings.items()):
            return None
        store.check()
    except Damaged as error:
        reporter.say(f"{error}: made anew from the data")
        return None
    return store


def _current(
    dataset: Dataset, people: list[str], folder: Path, settings: dict[str, Any], reporter: Reporter
) -> PreparedStore | None:
    """The finished store, unless one of its files is damaged, or one that it was made of has changed."""
    store = _finished(folder, settings, reporter)
    if store is None or not (folder / "plan.json").exists():  # of an older version
        return store
    try:
        shards = plan_shards(dataset, people, folder.absolute())
    except Damaged:
        return None
    return None if forget_changed(dataset, shards, folder / "store.json", reporter) else store


def _clear_the_way(folder: Path, reporter: Reporter) -> None:
    """Set aside what is no file where a store has one: a folder cannot be replaced, a pipe would be waited for."""
    names = ("store.json", "settings.json", *TABLES)
    for path in [
        *map(folder.joinpath, names),
        *folder.glob("shards/*.parquet"),
        *folder.glob("shards/*.safetensors"),
    ]:
        if path.exists() and not path.is_file():
            reporter.say(f"{path} is no file: kept as {set_aside(path).name} and made anew")


def _claim(folder: Path, settings: dict[str, Any], reporter: Reporter) -> None:
    """Mark the folder as ours; refuse one of other settings."""
    mark = folder / "settings.json"
    if not mark.exists():
        write_json(mark, settings)
    try:
        found = read_json(mark)
    except Damaged as error:
        if folder.name != hash_of(settings):  # of a folder in the cache the name says what it is of
            raise BenchError(
                f"{error}: delete {folder} to prepare it again, or name another folder"
            ) from error
        reporter.say(f"{error}: made anew")
        write_json(mark, found := settings)
    if found != settings:
        unlike = [name for name in settings if found.get(name) != settings[name]]
        raise BenchError(
            f"{folder} was prepared from something else ({', '.join(unlike)} differ): "
            "name another folder, or delete this one to prepare it again"
        )


def _write_shards(
    work: Callable[[Shard], Tally],
    shards: list[Shard],
    name: str,
    reporter: Reporter,
    jobs: int,
    scheduler: str | None,
) -> None:
    """Do `work` on every shard, and report the speed."""
    if scheduler is None:
        tallies = on_this_machine(work, shards, jobs)
    else:
        tallies = on_cluster(work, shards, scheduler, reporter)
    bad, seconds, started = 0, 0.0, time.monotonic()
    with reporter.bar(f"prepare {name} (files)", sum(shard.files for shard in shards)) as bar:
        for tally in tallies:
            bad, seconds = bad + tally.bad, seconds + tally.seconds
            speed = seconds / (time.monotonic() - started)
            bar.note(f"{seconds:,.0f} s of audio, {speed:,.0f} s of audio per s, {bad} bad files")
            bar.advance(tally.files)


def _not_done(shards: list[Shard]) -> list[Shard]:
    """From one listing: a network file system may cache for a while that a single file is missing."""
    done = {path.name for path in shards[0].folder.glob("*.parquet")}
    return [shard for shard in shards if shard.manifest.name not in done]


def _left_out_before(dataset: Dataset) -> list[tuple[str, str]]:
    """Identities that the data set itself could not use, where it reports any."""
    left_out = dataset.left_out() if hasattr(dataset, "left_out") else []
    return [(as_text(name), as_text(reason)) for name, reason in left_out]


def _finish(
    folder: Path,
    settings: dict[str, Any],
    splits: dict[str, list[Identity]],
    shards: list[Shard],
    left_out_before: list[tuple[str, str]],
) -> None:
    sealed = pd.concat([pd.read_parquet(shard.manifest) for shard in shards], ignore_index=True)
    manifest = sealed[COLUMNS]
    good = manifest[manifest["reason"].isna()]
    speaking = set(good[(good["kind"] == "voice") & (good["length"] >= SEGMENT_FRAMES)]["identity"])
    seen = set(good[good["kind"] == "face"]["identity"])
    rows, left_out = [], [{"identity": name, "key": "", "reason": reason} for name, reason in left_out_before]
    for split in SPLITS:
        for identity in splits[split]:
            reasons = (
                [] if identity.id in speaking else [f"no recording with {SEGMENT_FRAMES} frames of speech"]
            )
            reasons += [] if identity.id in seen else ["no usable photo"]
            if reasons:
                left_out.append({"identity": identity.id, "key": "", "reason": " and ".join(reasons)})
            else:
                rows.append({"split": split, **_facts(identity)})
    bad = manifest[manifest["reason"].notna()][["identity", "key", "reason"]]
    report = pd.concat([bad, pd.DataFrame(left_out, columns=bad.columns)], ignore_index=True)
    columns = ["split", "id", "gender", "nationality", "age"]
    columns += ["seen_by"] if any("seen_by" in row for row in rows) else []
    identities = pd.DataFrame(rows, columns=columns)
    for name, table in (("manifest", manifest), ("identities", identities)):
        write = partial(table.to_parquet, index=False)
        write_atomically(folder / f"{name}.parquet", write)
    write_atomically(folder / "left_out.csv", partial(report.to_csv, index=False))
    data_hash = _data_hash(settings, rows, bad[["identity", "key"]].to_dict("records"), content_hash(sealed))
    seals = {name: sha256_of(folder / name) for name in TABLES}
    write_json(folder / "store.json", {**settings, "data_hash": data_hash, "sha256": seals})


def _facts(identity: Identity) -> dict[str, Any]:
    """The fields of a person in the store; without `seen_by` where it is not known, as in older stores."""
    facts = asdict(identity)
    if identity.seen_by is None:
        del facts["seen_by"]
    return facts


def _data_hash(
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    bad: list[dict[str, Any]],
    content: str | None = None,
) -> str:
    """Identifies the data in every record: how they were read, the identities of each split, bad files, contents.

    content: None for a synthetic data set, whose fingerprint says what it holds.
    """
    read = {"content": content} if content else {}
    return hash_of({**settings, "identities": rows, "bad": bad, **read})


def _check_seal(path: Path, seal: str) -> None:
    path.stat()  # which says so where there is none
    if sha256_of(path) != seal:
        raise ValueError("its content does not have the checksum that was written with it")


class PreparedStore:
    """Reads a finished store. Arrays are views of memory-mapped files.

    Raises BenchError when the folder is not a finished store, when its splits share an identity, or when a
    split has no usable one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "store.json").exists():
            raise BenchError(
                f"{folder} is not a finished prepared store: run `sf2f-bench prepare` into it first"
            )
        self.settings = read_or_damaged(folder / "store.json", self._settings)
        self.card = DatasetCard(**self.settings["card"])
        self.data_hash: str = self.settings["data_hash"]
        self.image_size: int = self.settings["image_size"]
        for name, seal in self.settings.get("sha256", {}).items():  # of older versions none
            read_or_damaged(folder / name, partial(_check_seal, seal=seal))
        self._splits = read_or_damaged(folder / "identities.parquet", self._people)
        check_disjoint({split: [identity.id for identity in found] for split, found in self._splits.items()})
        for split, found in self._splits.items():
            if not found:
                raise BenchError(
                    f"the {split} split of {self.card.name} has no identity with both a usable recording and "
                    f"a usable photo: see {folder / 'left_out.csv'} for the reason of every file"
                )
        self._shards: dict[int, dict[str, NDArray[Any]]] = {}

    @staticmethod
    def _settings(path: Path) -> dict[str, Any]:
        found = json.loads(path.read_text(encoding="utf-8"))
        if missing := {"card", "data_hash", "image_size"} - set(found):
            raise ValueError(f"without {', '.join(sorted(missing))}")
        return found

    def _people(self, path: Path) -> dict[str, tuple[Identity, ...]]:
        table = pd.read_parquet(path)
        return {split: self._identities(table[table["split"] == split]) for split in SPLITS}

    def check(self) -> None:
        """Raise Damaged for the first file that cannot be read or is cut; the media's contents are not compared."""
        numbers = self._good["shard"].unique()
        _ = self.left_out
        for number in numbers:
            check_tensors(self._tensors(number))

    @staticmethod
    def _identities(table: pd.DataFrame) -> tuple[Identity, ...]:
        known = table.drop(columns="split").astype(object)
        return tuple(Identity(**row) for row in known.where(known.notna(), None).to_dict("records"))

    def identities(self, split: str) -> tuple[Identity, ...]:
        """The usable identities of a split, in the data set's order."""
        return self._splits[split]

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """Columns identity, key, reason: every unused file and identity."""
        return read_or_damaged(self.folder / "left_out.csv", self._reasons)

    @staticmethod
    def _reasons(path: Path) -> pd.DataFrame:
        return pd.read_csv(path, keep_default_na=False)[["identity", "key", "reason"]]

    @cached_property
    def _good(self) -> pd.DataFrame:
        """The manifest of the usable files."""
        manifest = read_or_damaged(
            self.folder / "manifest.parquet", partial(pd.read_parquet, columns=COLUMNS)
        )
        return manifest[manifest["reason"].isna()]

    @cached_property
    def _keys(self) -> NDArray[Any]:
        return self._good["key"].to_numpy(dtype=object)

    @cached_property
    def _groups(self) -> dict[Any, NDArray[np.intp]]:
        """Rows of the usable files by identity and kind."""
        return self._good.groupby(["identity", "kind"], sort=False).indices

    @cached_property
    def _places(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        """Rows of (shard, start, length) by identity and kind."""
        rows = self._good[["shard", "start", "length"]].to_numpy()
        return {key: rows[places] for key, places in self._groups.items()}

    def keys(self, identity: str, kind: Literal["voice", "face"]) -> list[str]:
        """The data set's keys of an identity's usable recordings or photos, in the order of `voices` or `faces`."""
        return self._keys[self._groups[identity, kind]].tolist()

    def _tensors(self, shard: int) -> Path:
        return self.folder / "shards" / f"{shard:05d}.safetensors"

    def _media(self, shard: int, name: str) -> NDArray[Any]:
        if shard not in self._shards:
            self._shards[shard] = _map_tensors(self._tensors(shard))
        return self._shards[shard][name]

    def voices(self, identity: str) -> list[FloatArray]:
        """Raw log filter-bank of every usable recording: float32 ``[frames, filters]`` views."""
        places = self._places[identity, "voice"].tolist()
        return [self._media(shard, "frames")[start : start + length] for shard, start, length in places]

    def faces(self, identity: str) -> ByteArray:
        """Every usable photo: uint8 ``[N, 3, H, W]``."""
        places = self._places[identity, "face"]
        return np.stack([self._media(shard, "images")[start] for shard, start, _ in places])


def _map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Memory-map every tensor of a safetensors file: 8 bytes of header length, JSON header, data.

    By torch, which closes the file: np.memmap keeps it open, and a large data set has more shards than the 1,024 files
    that most systems let a process open.
    """
    import torch  # not at the top: a process that writes shards starts faster without it

    content = torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8).numpy()
    content.flags.writeable = False
    length = int.from_bytes(content[:8].tobytes(), "little")
    header, data = json.loads(content[8 : 8 + length].tobytes()), content[8 + length :]
    types = {"F32": np.float32, "U8": np.uint8}
    return {
        name: data[slice(*entry["data_offsets"])].view(types[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and 0 not in entry["shape"]
    }
