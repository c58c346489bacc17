"""Time, memory and disk at HQ-VoxCeleb's size: ``python -m tests.perf.scale [--out SCALE.md]``.

A layout of hard links to a few hundred cuts is prepared, used again and audited by the commands themselves, at three
shares of the full size; then a store of stand-in features is written at three shares up to the whole, and audited and
opened. A size that has been measured is kept in WORK, so that an interrupted measurement is resumed by the same command.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.perf.conftest import processor_time
from tests.perf.scale_steps import STAND_IN_FRAMES, cut, lay_out

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "real"
OPEN_FILES = 1024  # the limit of most systems, whatever that of this machine is
SAMPLED_SECONDS = 0.05
BENCHMARK = "hq-voxceleb-64"
WORSE = 1.3  # an exponent of growth that is no accident of the measurement
TOO_SHORT = 2.0  # seconds that a step takes longer at the largest size, below which growth cannot be told
HEAD = ("step", "identities", "recordings", "photos", "seconds", "memory", "disk", "growth")
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
    """One step at one size. memory: GB, of all processes together; disk: GB that lie there afterwards."""

    kind: str
    step: str
    identities: int
    recordings: int
    photos: int
    seconds: float
    memory: float
    disk: float | None = None
    sound: float | None = None  # hours of it that were read


# ---------------------------------------------------------------- one step


def _memory_of(session: int) -> int:
    """Bytes that only the processes of a session hold: pages of mapped files, which the system takes back, left out."""
    found = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getsid(int(status.parent.name)) == session:
                parts = [line.split() for line in status.read_text().splitlines() if line.startswith("Rss")]
                found += sum(1024 * int(size) for name, size, _ in parts if name != "RssFile:")
        except (OSError, ValueError):  # it has ended
            continue
    return found


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


def measured_command(command: Sequence[str | Path]) -> tuple[float, float, str]:
    """Seconds, GB and what it printed. A command that fails ends the measurement; 1 is what an audit has found."""
    started, most = time.monotonic(), 0
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
        while process.poll() is None:
            most = max(most, _memory_of(process.pid))
            time.sleep(SAMPLED_SECONDS)
        reader.join()
    if process.returncode not in ((0, 1) if "audit" in command else (0,)):
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{''.join(printed[-30:])}")
    return time.monotonic() - started, most / 1e9, "".join(printed)


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
        seconds, memory, printed = measured_command(command)
        disk = disk_of(cache / "prepared") if name in ("prepare", "stand_ins") else None
        sound = _hours(printed) if name == "prepare" else None
        return Measured(kind, name, identities, recordings, photos, seconds, memory, disk, sound)

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
    """The exponent p of seconds = start + c * recordings ** p; None where too little is added to tell.

    The three sizes are equal factors apart, so that start and c fall out.
    """
    first, second = some.seconds - few.seconds, many.seconds - some.seconds
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


def extrapolated(some: Measured, many: Measured, recordings: int, value: Callable[[Measured], float]) -> float:
    """Along the line through two sizes."""
    slope = (value(many) - value(some)) / (many.recordings - some.recordings)
    return value(many) + slope * (recordings - many.recordings)


def page(found: Sequence[Measured], options: argparse.Namespace, facts: Mapping[str, str]) -> str:
    """The Markdown of everything that was measured."""
    grown, lines = exponents(found), []
    for (kind, step), sizes in series(found).items():
        for one in sizes:
            last = grown.get((kind, step)) if one is sizes[-1] else None
            lines.append(
                [
                    f"{NAMES[step]}{' (stand-ins)' if kind == 'stand-ins' and step in ('again', 'audit') else ''}",
                    f"{one.identities:,}",
                    f"{one.recordings:,}",
                    f"{one.photos:,}",
                    f"{one.seconds:,.1f}",
                    f"{one.memory:.2f} GB",
                    "–" if one.disk is None else f"{one.disk:.2f} GB",
                    "–" if last is None else f"{last:.2f}",
                ]
            )
    rows = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *lines]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    _, some, many = series(found)["real", "prepare"]
    full = options.recordings
    seconds = extrapolated(some, many, full, lambda one: one.seconds)
    disk = extrapolated(some, many, full, lambda one: one.disk or 0)
    hours = extrapolated(some, many, full, lambda one: one.sound or 0)
    opening = {
        step: series(found)["stand-ins", step][-1] for step in ("again", "audit", "training", "evaluation")
    }
    return f"""\
{table}

{facts["machine"]}

**At full size** ({options.identities:,} identities, {full:,} recordings, {options.photos:,} photos): `prepare` reads \
{hours:,.0f} hours of sound in {seconds / 60:.0f} min with {options.jobs} processes (extrapolated from the two largest \
sizes; a fifth of the people in wav, the others in m4a), the store takes {disk:.0f} GB at 64 pixels ({1000 * disk / hours:.1f} MB an \
hour of sound, of which silence is left out). A prepared store costs every later command {opening["again"].seconds:.0f} s before it \
starts, the audit takes {opening["audit"].seconds:.0f} s, opening for training and the first batch \
{opening["training"].seconds:.0f} s and {opening["training"].memory:.1f} GB of memory in each process, opening for scoring \
{opening["evaluation"].seconds:.0f} s and {opening["evaluation"].memory:.1f} GB.

*seconds* of the whole process, start-up included, with the files in the system's cache; *memory*: the most that all \
processes of the step held together, without the pages of mapped files, which the system takes back when it needs them; \
*growth*: the exponent p of seconds = start + c · recordings^p over the three sizes, – where the step is too short to \
tell; 1 is linear. Each process could open {OPEN_FILES:,} files, the limit of most systems. The layout's recordings are \
hard links to {facts["cuts"]} cuts of 4 to 12 s, its photos to {facts["photos"]}. A stand-in of a recording has {STAND_IN_FRAMES} frames of noise of its own instead of \
some {disk * 1e9 / full / 160:.0f} frames, since the whole would not fit this machine's disk; a stand-in of a photo has colours of its own: no two are alike.

Made by `python -m tests.perf.scale` in {facts["minutes"]} min.
"""


def machine(before: Sequence[int]) -> str:
    """On what was measured, how busy it was with other work, and how much other guests of the host took."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].split(":")[1].strip() if names else platform.machine()
    spent = [now - then for now, then in zip(processor_time(), before, strict=True)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"Measured on {len(os.sched_getaffinity(0))} cores of {name}, {memory:.0f} GB of memory, Python "
        f"{platform.python_version()}, {spent[7] / max(1, sum(spent)):.1%} of the processors' time taken by other guests of the host."
    )


def main() -> None:
    """Measure what has not been measured, print and write the page; exit code 1 where a step is worse than linear."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sound", type=Path, default=REAL / "librispeech", help="folder of recordings to cut")
    parser.add_argument("--pictures", type=Path, default=REAL / "orl_faces", help="folder of photos")
    parser.add_argument("--identities", type=int, default=3638)
    parser.add_argument("--recordings", type=int, default=600_000)
    parser.add_argument("--photos", type=int, default=8000)
    shares = {"nargs": 3, "type": int, "metavar": "N"}
    parser.add_argument("--shares", default=[40, 20, 10], help="1/N of the full size, real", **shares)
    parser.add_argument("--stand-in-shares", default=[16, 4, 1], help="the same of stand-ins", **shares)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=Path("build/scale"), help="needs 20 GB")
    parser.add_argument("--out", type=Path, help="write the page to this file too")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        sys.exit("memory is read from /proc, which only Linux has")
    started, before, work = time.monotonic(), processor_time(), options.work.resolve()
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
                    print(f"{kind} 1/{share} {one.step}: {one.seconds:.1f} s, {one.memory:.2f} GB", flush=True)
                    of_size.append(asdict(one))
                kept.write_text(json.dumps(of_size, indent=2), encoding="utf-8")
                shutil.rmtree(folder)
            measured += [Measured(**row) for row in json.loads(kept.read_text(encoding="utf-8"))]
    facts = {
        "machine": machine(before),
        "cuts": str(len(list((sources / "cuts").iterdir()))),
        "photos": str(len(list((sources / "photos").iterdir()))),
        "minutes": f"{(time.monotonic() - started) / 60:.0f}",
    }
    text = page(measured, options, facts)
    print(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    if worse := {name: round(p, 2) for name, p in exponents(measured).items() if p > WORSE}:
        sys.exit(f"worse than linear: {worse}")


if __name__ == "__main__":
    main()
