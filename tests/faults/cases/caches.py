"""Artefacts of the cache, damaged between two runs of the same command."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.faults.cases import BYTES, ENTRIES, Case, Spoil, both, of_file
from tests.faults.cases.worlds import MODEL, RUN

AGAIN = (*RUN, *MODEL)
STORE = ".sf2f-bench/prepared/*"
ARTEFACTS = {  # file -> what must be gone for it to be read again
    ".sf2f-bench/audit/*.json": ("results",),
    ".sf2f-bench/faces/*.safetensors": ("results",),
    ".sf2f-bench/features/*.safetensors": ("results",),
    ".sf2f-bench/models/????????????????.safetensors": ("results", ".sf2f-bench/faces"),
    f"{STORE}/identities.parquet": ("results",),
    f"{STORE}/manifest.parquet": ("results",),
    f"{STORE}/left_out.csv": ("results",),
    f"{STORE}/plan.json": ("results",),
    f"{STORE}/settings.json": ("results",),
    f"{STORE}/store.json": ("results",),
    f"{STORE}/shards/*.safetensors": ("results", ".sf2f-bench/features", ".sf2f-bench/faces"),
    f"{STORE}/shards/*.parquet": ("results",),
}
PREPARE = ("prepare", "tiny-64", "--jobs", "1")  # reads all of a store but its shards
BY_RUN = ("empty", "flipped byte", "folder instead")  # for a store's other files, enough of the slower `run`
CLAIM = "it marks an unfinished store; what a finished one was prepared from stands in store.json"
MAPPED = "known limit, stated in docs/design.md: a store's arrays are mapped and never read in whole, so not compared"
SHARD = "read while a store is unfinished; a finished one has it all in manifest.parquet, whose checksum is compared"
MISSING = "an artefact that is not there is made, with the same numbers"


def cases() -> Iterator[Case]:
    for name, needed in ARTEFACTS.items():
        without = both(*(_without(folder) for folder in needed))
        for damage, spoil in {**BYTES, **ENTRIES}.items():
            short = name.replace(".sf2f-bench/", "").replace("????????????????", "*")
            file = name.rpartition("/")[2].replace("*", "").replace("????????????????", "")
            case = Case(
                "caches",
                f"{short} {damage}",
                PREPARE if name.startswith(STORE) and damage not in BY_RUN else AGAIN,
                "finished",
                both(without, of_file(name, spoil)),
                named=True,
                says=rf"{file}.*(anew|again)",
                remade=(".sf2f-bench/**/*", "*/*/*/*", "*/*/*/*/*"),
            )
            if damage in ("gone", "link to itself"):
                if "prepared" not in name:  # of a store tests/faults/test_disk.py
                    yield replace(case, named=False, justified=MISSING)
            elif (
                "settings" in name or "shards/*.parquet" in name
            ):  # of an unfinished store tests/faults/test_disk.py
                yield replace(case, named=False, justified=CLAIM if "settings" in name else SHARD)
            elif "shards/" in name and damage == "flipped byte":
                yield replace(case, named=False, justified=MAPPED)
            else:
                yield case
    yield Case(
        "caches",
        "a record of the results is cut",
        AGAIN,
        "finished",
        of_file("results/*/chance*.json", BYTES["cut"]),
        says="chance.*delete it and run again",  # a result is not replaced unasked
    )
    yield Case(
        "caches",
        "a side file of the results is cut",
        AGAIN,
        "finished",
        of_file("results/*/voice2face*.parquet", BYTES["cut"]),
        says="voice2face.*delete the record and run again",
    )
    weights = (*RUN, "--models", "voice2face-64@best.safetensors", "--width", "0.05")
    for damage, spoil in {**BYTES, **ENTRIES}.items():
        yield Case(
            "caches",
            f"imported weights {damage}",
            weights,
            "finished",
            both(_best, of_file("best.safetensors", spoil)),
            says=r"best\.safetensors",
        )


def _without(name: str) -> Spoil:
    """Of the results, the row of the trained model alone: it reads every kind of artefact."""
    if name != "results":
        return lambda folder: shutil.rmtree(folder / name)
    return lambda folder: [path.unlink() for path in folder.glob("results/*/voice2face*")]


def _best(folder: Path) -> None:
    (path,) = folder.glob(".sf2f-bench/models/*-best.safetensors")
    shutil.copyfile(path, folder / "best.safetensors")
