"""`sf2f-bench doctor`: what this machine has, and what can be run with it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sf2f_bench.commands.options import FOLDER, OUT_FILE, plain_table, say
from sf2f_bench.files import write_json

if TYPE_CHECKING:
    from sf2f_bench.benchmarks import Benchmark
    from sf2f_bench.extractors.weights import WeightFile

State = Literal["yes", "no", "with less"]
NEEDED_GB = 3.0  # of disk: what the default benchmark keeps, with room for its report
FETCH = (
    "`sf2f-bench weights fetch FILE` downloads a file of weights, `sf2f-bench weights list` names all of them"
)
EXTRAS = {  # of the package: what it adds, and the distributions that it installs
    "dlib": ("the judge deepface:Dlib, which needs no download", ("dlib-bin", "face-recognition-models")),
    "clip": ("the embedding judge CLIP", ("transformers",)),
    "cluster": ("preparation on a Dask cluster", ("distributed",)),
}


@dataclass(frozen=True)
class Part:
    """Something that a machine has or lacks. remedy: what to do where it is missing."""

    what: str
    here: bool
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Task:
    """A command that can be run or not. why: what it lacks, or goes on without."""

    command: str
    purpose: str
    can: State
    why: str = ""


@click.command()
@click.option("--root", type=FOLDER, help="Folder of HQ-VoxCeleb, or of data laid out like it.")
@click.option(
    "--cache",
    type=FOLDER,
    default=Path(".sf2f-bench"),
    show_default=True,
    help="Where a run keeps its stages.",
)
@click.option("--json", "json_file", type=OUT_FILE, help="Write all of it here too.")
def doctor(root: Path | None, cache: Path, json_file: Path | None) -> None:
    """Say what is on this machine, what is missing, and what can be run with it.

    Nothing is downloaded or changed. Exit code 0 where the default benchmark can be run, 1 where it cannot.
    """
    parts = [*_machine(), _disk(cache), *_extras(), *_data(root), *_weights()]
    tasks = _tasks(parts, root)
    _print(parts, tasks)
    if json_file:
        write_json(json_file, {"parts": list(map(asdict, parts)), "tasks": list(map(asdict, tasks))})
    if tasks[0].can == "no":
        raise SystemExit(1)


def _print(parts: list[Part], tasks: list[Task]) -> None:
    from rich.console import Console
    from rich.text import Text

    table = plain_table(["what", "here", "details"], whole=["what", "here"])
    for part in parts:
        table.add_row(*map(Text, (part.what, "yes" if part.here else "no", part.text)))
    Console().print(table)
    click.echo()
    for task in tasks:
        click.echo(f"{task.can}: {task.command}")
        say(f"    {task.purpose}{'; ' if task.why else ''}{task.why}")
    missing = dict.fromkeys(part.remedy for part in parts if not part.here and part.remedy)
    if missing:
        click.echo("\nto have more:")
    for remedy in missing:
        say(f"- {remedy}")


# ---------------------------------------------------------------- what is here


def _machine() -> Iterator[Part]:
    """Python, torch, processors, memory, and a GPU."""
    import torch

    yield Part("Python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    )
    size = "" if memory is None else f", {memory:.0f} GiB of memory"
    yield Part("processors", True, f"{cores} cores{size}, {torch.backends.cpu.get_cpu_capability()}")
    gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    names = ", ".join(f"{gpu.name} ({gpu.total_memory / 2**30:.0f} GiB)" for gpu in gpus)
    yield Part(
        "GPU",
        bool(gpus),
        f"torch {torch.__version__}: {names or 'sees no CUDA device'}",
        "without a GPU everything runs on the processors; the paper budget is out of reach there",
    )


def _disk(cache: Path) -> Part:
    """Room where the cache is, or would be made."""
    place = next(folder for folder in (cache.absolute(), *cache.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / 1e9
    enough, writable = free >= NEEDED_GB, os.access(place, os.W_OK)
    return Part(
        "disk",
        enough and writable,
        f"{free:,.0f} GB free in {place}" if writable else f"{place} cannot be written to",
        f"the default benchmark needs {NEEDED_GB:g} GB in a folder that can be written to: choose another --cache",
    )


def _extras() -> Iterator[Part]:
    """The optional parts of the package."""
    for name, (purpose, packages) in EXTRAS.items():
        missing = [package for package in packages if not _is_installed(package)]
        yield Part(f"extra {name}", not missing, purpose, f"pip install 'sf2f-bench[{name}]' adds {purpose}")


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _data(root: Path | None) -> Iterator[Part]:
    """The folders of HQ-VoxCeleb, where the user says where they are."""
    if root is None:
        yield Part(
            "HQ-VoxCeleb",
            False,
            "not looked for",
            "name the folder of HQ-VoxCeleb with --root to have it looked at",
        )
        return
    from sf2f_bench.registry import DATASETS
    from sf2f_bench.types import SPLITS, BenchError, DatasetSource

    try:
        dataset = DATASETS.build("hq-voxceleb", DatasetSource(root=root.absolute()))
        counts = ", ".join(f"{len(dataset.identities(split))} {split}" for split in SPLITS)
    except BenchError as error:
        yield Part("HQ-VoxCeleb", False, str(error), "docs/benchmark.md shows the layout")
    else:
        yield Part("HQ-VoxCeleb", True, f"{root}: {counts} identities")


def _weights() -> Iterator[Part]:
    """The files of published networks that a benchmark asks for."""
    from sf2f_bench.benchmarks import BENCHMARKS
    from sf2f_bench.extractors.weights import all_files, find

    known = all_files()
    wanted = {name for one in BENCHMARKS.values() for files in _files_of(one, known) for name in files}
    for name, file in known.items():
        if name in wanted:
            size = f"{file.size / 1e6:,.0f} MB, " if file.size else ""
            yield Part(name, find(file) is not None, f"{size}for {', '.join(file.used_by)}", FETCH)


# ---------------------------------------------------------------- what can be run


def _tasks(parts: list[Part], root: Path | None) -> list[Task]:
    """The default first, then what needs more."""
    from sf2f_bench.benchmarks import BENCHMARKS
    from sf2f_bench.extractors.weights import all_files

    known = all_files()
    here = {part.what: part.here for part in parts}
    room: State = "yes" if here["disk"] else "no"
    no_room = "" if here["disk"] else next(part.text for part in parts if part.what == "disk")
    made = [
        Task("sf2f-bench run", "the default benchmark: ten minutes on two cores", room, no_room),
        Task("sf2f-bench run --budget long", "the same systems, trained for longer: hours", room, no_room),
    ]
    for name, benchmark in BENCHMARKS.items():
        if benchmark.dataset == "hq-voxceleb":
            place = root or "FOLDER"
            command = f"sf2f-bench run {name} --root {place} --budget paper"
            made.append(_real(command, benchmark, here, known))
    return made


def _real(
    command: str, benchmark: Benchmark, here: Mapping[str, bool], files: Mapping[str, WeightFile]
) -> Task:
    """A benchmark of real people: it needs the data, and the networks of the judge and of the training loss."""
    needed, further = _files_of(benchmark, files)
    lacking = [name for name in needed if not here[name]]
    lacking += [] if here["HQ-VoxCeleb"] else ["the data"]
    if lacking:
        return Task(command, "the paper's benchmark", "no", f"needs {', '.join(lacking)}")
    less = [f"without {name}" for name in further if not here[name]]
    less += [] if here["GPU"] else ["out of reach without a GPU"]
    return Task(command, "the paper's benchmark", "with less" if less else "yes", ", ".join(less))


def _files_of(benchmark: Benchmark, files: Mapping[str, WeightFile]) -> tuple[list[str], list[str]]:
    """The files of weights that a benchmark needs, and those that its further networks would use."""

    def of(names: tuple[str, ...]) -> list[str]:
        return [name for name, file in files.items() if set(names) & set(file.used_by)]

    return of((benchmark.judge, benchmark.training_loss)), of(benchmark.further)
