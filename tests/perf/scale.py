"""Time, memory and disk at HQ-VoxCeleb's size: ``python -m tests.perf.scale [--out SCALE.md]``.

A layout of hard links to a few hundred cuts is prepared, used again and audited by the commands themselves, at three
shares of the full size; then a store of stand-in features is written at three shares up to the whole, audited and
opened. A size that has been measured is kept in WORK: the same command resumes an interrupted measurement.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.perf.scale_steps import LONGEST, SHORTEST, STAND_IN_FRAMES, cut, lay_out

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "real"
OPEN_FILES = 1024  # the limit of most systems, whatever that of this machine is
SAMPLED_SECONDS = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
BENCHMARK = "hq-voxceleb-64"
WORSE = 1.3  # an exponent of growth that is no accident of the measurement
TOO_SHORT = 5.0  # processor seconds more at the largest size, below which growth cannot be told
WIDTH = 120
SHARED = {("stand-ins", step) for step in ("again", "audit")}  # steps of both kinds
HEAD = ("step", "identities", "recordings", "photos", "seconds", "processor", "memory", "disk", "growth")
NAMES = {
    "prepare": "`sf2f-bench prepare`",
    "stand_ins": "the store of stand-ins, by the same writer",
    "again": "`sf2f-bench prepare` again: nothing to do",
    "audit": "`sf2f-bench audit`",
    "manifest": "the store opened and its manifest read",
    "training": "opened for training, and the first batch of 256",
    "evaluation": "a run opened for scoring: networks, audit, test segments, templates",
}


@dataclass(frozen=True)
class Measured:
    """One step at one size. seconds: by the clock; processor: seconds of all its processes, which other work on the
    machine hardly changes; memory: GB, of all processes together; disk: GB that lie there afterwards.
    """

    kind: str
    step: str
    identities: int
    recordings: int
    photos: int
    seconds: float
    processor: float
    memory: float
    disk: float | None = None
    sound: float | None = None  # hours of it that were read


# ---------------------------------------------------------------- one step


def _sample(session: int) -> dict[int, tuple[float, int]]:
    """Of each process of a session: processor seconds so far, and bytes that it alone holds (no mapped files)."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == session:
                place = Path("/proc", name)
                ticks = place.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
                status = [line.split() for line in place.joinpath("status").read_text().splitlines()]
                held = sum(1024 * int(line[1]) for line in status if line[0] in ("RssAnon:", "RssShmem:"))
                found[int(name)] = (sum(map(int, ticks)) / TICKS, held)
        except (OSError, IndexError):  # it has ended
            continue
    return found


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def measured_command(command: Sequence[str | Path]) -> tuple[float, float, float, str]:
    """Seconds, processor seconds, GB and what it printed. A failure ends the measurement; an audit may find faults."""
    started, most, spent = time.monotonic(), 0, {}
    with subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_limited,
    ) as process:
        assert process.stdout is not None
        printed: list[str] = []
        reader = threading.Thread(target=lambda: printed.extend(process.stdout or ()))
        reader.start()
        try:
            while process.poll() is None:
                sample = _sample(process.pid)
                most = max(most, sum(held for _, held in sample.values()))
                spent |= {number: seconds for number, (seconds, _) in sample.items()}
                time.sleep(SAMPLED_SECONDS)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
        reader.join()
    if process.returncode not in ((0, 1) if "audit" in command else (0,)):
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{''.join(printed[-30:])}")
    return time.monotonic() - started, sum(spent.values()), most / 1e9, "".join(printed)


def disk_of(folder: Path) -> float:
    """GB of the blocks of a folder's files."""
    return sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file()) * 512 / 1e9


# ---------------------------------------------------------------- one size


def measure(
    kind: str, share: float, sources: Path, work: Path, options: argparse.Namespace
) -> Iterator[Measured]:
    """All steps of one kind at one share of the full size."""
    identities, recordings, photos = (
        round(share * count) for count in (options.identities, options.recordings, options.photos)
    )
    root, cache = work / "root", work / "cache"
    shutil.copytree(sources, work / "sources")  # links to shared files would change those files' times
    cuts, pictures = (work / "sources" / name for name in ("cuts", "photos"))

    def step(name: str, command: Sequence[str | Path]) -> Measured:
        *figures, printed = measured_command(command)
        disk = disk_of(cache / "prepared") if name in ("prepare", "stand_ins") else None
        sound = _hours(printed) if name == "prepare" else None
        return Measured(kind, name, identities, recordings, photos, *figures, disk, sound)

    lay_out(cuts, sorted(pictures.iterdir()), root, identities, recordings, photos)
    data = [BENCHMARK, "--root", root, "--cache", cache, "--jobs", str(options.jobs)]
    own = ["tests.perf.scale_steps"]
    if kind == "real":
        yield step("prepare", ["sf2f_bench", "prepare", *data])
    else:
        yield step("stand_ins", [*own, "stand_ins", root, cache])
    yield step("again", ["sf2f_bench", "prepare", *data])
    yield step("audit", ["sf2f_bench", "audit", *data])
    if kind == "stand-ins":
        for name in ("manifest", "training", "evaluation"):
            yield step(name, [*own, name, root, cache])


def _hours(printed: str) -> float:
    """Of sound, as `prepare` says at its end: ``480,000 s of audio``."""
    line = next(line for line in reversed(printed.splitlines()) if " s of audio, " in line)
    return float(line.split(" s of audio, ")[0].split()[-1].replace(",", "")) / 3600


# ---------------------------------------------------------------- growth and the page


def growth(few: Measured, some: Measured, many: Measured) -> float | None:
    """The exponent p of processor seconds = start + c * recordings ** p; None where too little is added to tell.

    The three sizes are equal factors apart, so that start and c fall out.
    """
    first, second = some.processor - few.processor, many.processor - some.processor
    if second < TOO_SHORT or first <= 0:
        return None
    return math.log(second / first) / math.log(many.recordings / some.recordings)


def series(found: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """By kind and step, the smallest size first."""
    grouped: dict[tuple[str, str], list[Measured]] = {}
    for one in sorted(found, key=lambda one: one.recordings):
        grouped.setdefault((one.kind, one.step), []).append(one)
    return grouped


def exponents(found: Sequence[Measured]) -> dict[tuple[str, str], float]:
    """Of every step that was measured at three sizes, where it can be told."""
    grown = {name: growth(*sizes) for name, sizes in series(found).items() if len(sizes) == 3}
    return {name: exponent for name, exponent in grown.items() if exponent is not None}


def table(found: Sequence[Measured]) -> str:
    """A line for every step and size."""
    grown, rows = exponents(found), [HEAD, ["---", *["---:"] * (len(HEAD) - 1)]]
    for name, sizes in series(found).items():
        for one in sizes:
            last = grown.get(name) if one is sizes[-1] else None
            what = f"{NAMES[one.step]}{', stand-ins' if name in SHARED else ''}"
            counts = (f"{count:,}" for count in (one.identities, one.recordings, one.photos))
            took = f"{one.seconds:,.1f}", f"{one.processor:,.1f}", f"{one.memory:.2f} GB"
            disk = "–" if one.disk is None else f"{one.disk:.2f} GB"
            rows.append([what, *counts, *took, disk, "–" if last is None else f"{last:.2f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def promise(found: Sequence[Measured], options: argparse.Namespace) -> str:
    """What README says of the full size."""
    by_step = series(found)
    _, some, many = by_step["real", "prepare"]
    again, audit, training, evaluation = (
        by_step["stand-ins", step][-1] for step in ("again", "audit", "training", "evaluation")
    )

    def full(value: Callable[[Measured], float | None]) -> float:
        less, more = value(some) or 0, value(many) or 0
        slope = (more - less) / (many.recordings - some.recordings)
        return more + slope * (options.recordings - many.recordings)

    hours, minutes = full(lambda one: one.sound), full(lambda one: one.processor) / 60
    return (
        f"At HQ-VoxCeleb's full size ({options.identities:,} identities, {options.recordings:,} recordings, "
        f"{hours:,.0f} hours of sound, {options.photos:,} photos) `prepare` takes {minutes:,.0f} minutes of processor "
        f"time, which `--jobs` divides, {full(lambda one: one.disk):,.0f} GB of disk at 64 pixels, and with "
        f"{options.jobs} processes {many.memory:.1f} GB of memory. Every later command spends {again.processor:,.0f} s "
        f"on its start and on making sure that no file has changed; the audit takes {audit.processor:,.0f} s in all, "
        f"opening for scoring {evaluation.processor:,.0f} s and {evaluation.memory:.1f} GB of memory, opening for "
        f"training {training.processor:,.0f} s and {training.memory:.1f} GB in each process."
    )


def page(found: Sequence[Measured], options: argparse.Namespace, cuts: int, photos: int) -> str:
    """The Markdown of everything that was measured."""
    minutes = sum(one.seconds for one in found) / 60
    notes = (
        "*seconds*: by the clock, start-up included, with all files in the system's cache; *processor*: seconds of "
        "all processes of the step; *memory*: the most that they held together, without the pages of mapped files, "
        "which the system takes back when it needs them; *disk*: of the store; *growth*: the exponent p of processor "
        "seconds = start + c * recordings^p over the three sizes (1 is linear), – where a step is too short to tell. "
        f"No process could open more than {OPEN_FILES:,} files at once, the limit of most systems."
    )
    method = (
        f"The recordings are hard links to {cuts} cuts of {SHORTEST} to {LONGEST} s, those of a fifth of the people "
        f"wav, of the others m4a; the photos to {photos}. What `prepare` takes at full size is extrapolated from its "
        f"two largest sizes. A stand-in of a recording has {STAND_IN_FRAMES} frames of noise of its own, that of a "
        "photo colours of its own, so that no two are alike; their store is written by the package's own writer, and "
        "shorter than the real one, which this machine has no room for."
    )
    made = f"`python -m tests.perf.scale` took {minutes:.0f} minutes in these steps."
    texts = [promise(found, options), machine(), notes, method, made]
    return "\n\n".join([table(found), *(textwrap.fill(text, WIDTH) for text in texts)]) + "\n"


def machine() -> str:
    """On what was measured."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].split(":")[1].strip() if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"Measured on {len(os.sched_getaffinity(0))} cores of {name} with {memory:.0f} GB of memory, "
        f"Python {platform.python_version()}."
    )


def main() -> None:
    """Measure what has not been measured, print and write the page; exit code 1 where a step is worse than linear."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sound", type=Path, default=REAL / "librispeech", help="folder of recordings to cut"
    )
    parser.add_argument("--pictures", type=Path, default=REAL / "orl_faces", help="folder of photos")
    parser.add_argument("--identities", type=int, default=3638)
    parser.add_argument("--recordings", type=int, default=600_000)
    parser.add_argument("--photos", type=int, default=8000)
    shares = {"nargs": 3, "type": int, "metavar": "N"}
    parser.add_argument("--shares", default=[160, 40, 10], help="1/N of the full size, real", **shares)
    parser.add_argument("--stand-in-shares", default=[16, 4, 1], help="the same of stand-ins", **shares)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/scale"), help="needs 20 GB")
    parser.add_argument("--out", type=Path, help="write the page to this file too")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        sys.exit("memory is read from /proc, which only Linux has")
    work = options.work.resolve()
    sources = work / "sources"
    if not (sources / "photos").exists():
        shutil.rmtree(sources, ignore_errors=True)
        cut(options.sound, sources / "cuts")
        suffixes = (".jpg", ".pgm", ".png")
        found = sorted(path for path in options.pictures.rglob("*") if path.suffix in suffixes)
        (sources / "photos").mkdir()
        for number, path in enumerate(found):
            shutil.copyfile(path, sources / "photos" / f"{number:05d}{path.suffix}")
    measured: list[Measured] = []
    for kind, of_kind in (("real", options.shares), ("stand-ins", options.stand_in_shares)):
        for share in of_kind:
            kept, folder = work / f"{kind}-{share}.json", work / f"{kind}-{share}"
            if not kept.exists():
                shutil.rmtree(folder, ignore_errors=True)
                of_size = []
                for one in measure(kind, 1 / share, sources, folder, options):
                    took = f"{one.seconds:.1f} s, {one.processor:.1f} s of processors, {one.memory:.2f} GB"
                    print(f"{kind} 1/{share} {one.step}: {took}", flush=True)
                    of_size.append(asdict(one))
                kept.write_text(json.dumps(of_size, indent=2), encoding="utf-8")
                shutil.rmtree(folder)
            measured += [Measured(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    cuts, photos = (len(list((sources / name).iterdir())) for name in ("cuts", "photos"))
    text = page(measured, options, cuts, photos)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    if worse := {name: round(p, 2) for name, p in exponents(measured).items() if p > WORSE}:
        sys.exit(f"worse than linear: {worse}")


if __name__ == "__main__":
    main()
