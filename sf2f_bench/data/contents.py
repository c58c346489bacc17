"""What the files of a data set held when they were prepared, and which of them have changed since.

A recording or photo that is a file has a `path`. Its stamp (size and times) tells cheaply that it is the same; where
the stamp differs, as after a copy, its content decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
from pyarrow.parquet import ParquetFile

from sf2f_bench.data.shards import SEALS, Shard, path_of, sha256_of, stamp_of
from sf2f_bench.files import Damaged, read_or_damaged, write_atomically
from sf2f_bench.progress import Reporter, first_few
from sf2f_bench.types import Dataset


def content_hash(manifest: pd.DataFrame) -> str | None:
    """Over the contents of all files, by identity, kind and key; None where none was hashed."""
    if "sha256" not in manifest or not manifest["sha256"].any():
        return None
    digest = hashlib.sha256()
    columns = (manifest[name] for name in ("identity", "kind", "key", "sha256"))
    for row in zip(*columns, strict=True):
        digest.update("\0".join(map(str, row)).encode(errors="surrogateescape") + b"\n")
    return digest.hexdigest()


def forget_changed(dataset: Dataset, shards: Sequence[Shard], finished: Path, reporter: Reporter) -> bool:
    """Whether a file has changed since it was prepared; shards that hold one are to be prepared anew.

    finished: the file that says that the whole store is; it goes first, so that a kill leaves no store of old shards.
    """
    media = lru_cache(maxsize=2)(partial(_paths_of, dataset))
    changed = {shard: found for shard in shards if (found := _changed(shard, media))}
    if not changed:
        return False
    names = [name for found in changed.values() for name in found]
    have, shard_words = (
        ("has", "shard that holds it") if len(names) == 1 else ("have", "shards that hold them")
    )
    reporter.say(
        f"{len(names)} file{'s' * (len(names) > 1)} of {dataset.card.name} {have} changed since they were prepared "
        f"({first_few(names)}): preparing anew the {len(changed)} {shard_words}"
    )
    finished.unlink(missing_ok=True)
    for shard in changed:
        shard.manifest.unlink(missing_ok=True)
    return True


def _changed(shard: Shard, media: Any) -> list[str]:
    """The files of a finished shard that are not what they were, by identity and key."""
    if not shard.manifest.exists():
        return []
    try:
        table = read_or_damaged(shard.manifest, _sealed)
    except Damaged:  # it is prepared anew where it is needed
        return []
    if not any(table.get("stamp", ())):
        return []
    found, stamps = [], [*table["stamp"]]
    rows = zip(*(table[name] for name in ("identity", "kind", "key", "sha256")), strict=True)
    for number, (identity, kind, key, sha256) in enumerate(rows):
        path = media(identity).get((kind, key))
        stamp = stamp_of(path) if path else ""
        if stamp == stamps[number]:
            continue
        if path is None or sha256_of(path) != sha256:
            found.append(f"{identity}/{key}")
        stamps[number] = stamp
    if not found and stamps != table["stamp"]:
        moved = pd.read_parquet(shard.manifest).assign(stamp=stamps)
        write_atomically(shard.manifest, lambda temporary: moved.to_parquet(temporary, index=False))
    return found


def _sealed(path: Path) -> dict[str, list[Any]]:
    """What a shard's manifest says of its files; not by pandas, which takes ten times as long for so few rows."""
    with ParquetFile(path) as file:
        return file.read(["identity", "kind", "key", *SEALS], use_threads=False).to_pydict()


def _paths_of(dataset: Dataset, identity: str) -> dict[tuple[str, str], Path]:
    items: list[tuple[str, Any]] = [("voice", item) for item in dataset.utterances(identity)]
    items += [("face", item) for item in dataset.photos(identity)]
    return {(kind, item.key): path for kind, item in items if (path := path_of(item))}
