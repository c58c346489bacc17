"""The fault campaign: every wrong input of the catalogue against the real command line.

``python -m tests.faults.campaign`` runs all of `tests.faults.cases` and prints a table by kind. Exit code 1 where one
ends in a traceback, a crash or a hang, is taken without a sentence that says why, is refused without saying what is
wrong, or changes a file that was there before.

A process that has imported everything copies itself for each case, so that a case takes no longer than its own work;
the cases with `apart` run as processes of their own.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from tests.faults.cases import Case, catalogue
from tests.faults.cases.worlds import copied, install_tiny

LIMIT = 60  # seconds of a case: a hang
MOST_MEMORY = 4 * 2**30  # bytes that a case may take
CLASSES = ("refused", "named", "accepted", "traceback", "crash", "hang", "unjustified", "wrong")
HEADINGS = ("refused", "named, went on", "accepted, justified", *CLASSES[3:])
BAD = CLASSES[3:]
# Control characters, and what Python calls things.
UNREADABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]|[\ud800-\udfff]")
JARGON = re.compile(
    r"(?<! or )\bNone\b|NoneType|<class |object at 0x|PosixPath\(|dtype\(|\[Errno|<\w+Error|pydantic"
)


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: below 0 the signal, None at the time limit; memory: bytes at most."""

    code: int | None
    stdout: str
    stderr: str
    memory: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What came of a case: one of `CLASSES`, and what is wrong with it."""

    case: Case
    found: str
    fault: str
    ended: Ended


def run_forked(
    words: Sequence[str], folder: Path, limit: float, env: Mapping[str, str] | None = None
) -> Ended:
    """Run a command in a copy of this process, with `folder` as its working folder."""
    from sf2f_bench.commands.main import main

    def work() -> int:
        for name, number in (("stdout", 1), ("stderr", 2)):
            setattr(sys, name, io.TextIOWrapper(os.fdopen(number, "wb", closefd=False), encoding="utf-8"))
        sys.path.insert(0, str(folder / "site"))  # packages that the case installs
        try:
            click.utils.should_strip_ansi = lambda *_: False  # type: ignore[attr-defined] - as on a terminal
            main.main(args=list(words), prog_name="sf2f-bench", standalone_mode=True)
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        return code if isinstance(code, int) else int(code is not None)

    return _ended(work, folder, limit, env or {})


def run_apart(words: Sequence[str], folder: Path, limit: float, env: Mapping[str, str]) -> Ended:
    """Run a command as a shell would."""

    def work() -> int:
        os.execv(sys.executable, [sys.executable, "-m", "sf2f_bench", *words])

    return _ended(work, folder, limit, env)


def _ended(work: object, folder: Path, limit: float, env: Mapping[str, str]) -> Ended:
    started = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if process == 0:
            try:
                os.setsid()
                os.chdir(folder)
                os.environ.update(env)
                nothing = os.open(os.devnull, os.O_RDONLY)
                for source, number in ((nothing, 0), (out.fileno(), 1), (err.fileno(), 2)):
                    os.dup2(source, number)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                os._exit(work())  # type: ignore[operator]
            finally:
                os._exit(97)
        try:
            code, usage = _waited(process, started + limit)
        except BaseException:
            _end_group(process)
            raise
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "surrogateescape"))
    return Ended(code, *texts, usage.ru_maxrss * 1024, time.monotonic() - started)


def _waited(process: int, until: float) -> tuple[int | None, resource.struct_rusage]:
    while True:
        found, status, usage = os.wait4(process, os.WNOHANG)
        if found:
            _end_group(process)  # what it left behind
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() > until:
            _end_group(process)
            return None, os.wait4(process, 0)[2]
        time.sleep(0.005)


def _end_group(process: int) -> None:
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        return


class Campaign:
    """Runs cases in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = install_tiny(folder / "site")
        sys.path.insert(0, str(site))
        os.environ["PYTHONPATH"] = os.pathsep.join([str(site), str(Path(__file__).parents[2])])
        os.environ.update(
            SF2F_BENCH_WEIGHTS=str(folder / "weights"), COLUMNS="200", OMP_NUM_THREADS="1", HOME=str(folder)
        )
        _import_everything()

    def __call__(self, case: Case) -> Outcome:
        """The outcome of one case."""
        place = self.folder / "case"
        copied(self.folder / "worlds", case.world, place)
        try:
            try:
                case.spoil(place)
            except Exception as error:
                return Outcome(case, "wrong", f"cannot be set up: {error!r}", Ended(None, "", "", 0, 0.0))
            before = _contents(place)
            run = run_apart if case.apart else run_forked
            ended = run(case.words, place, LIMIT, case.env)
            changed = _changed(place, before, case.remade)
            return _judged(case, ended, changed)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _import_everything() -> None:
    import pkgutil

    import baselines
    import reference_model
    import sf2f_bench

    for package in (sf2f_bench, reference_model, baselines):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", "deepface_worker")) and ".templates" not in module.name:
                __import__(module.name)
    import pandas as pd
    import torch

    from sf2f_bench.data import workers

    workers.CONNECT_SECONDS = 2  # nobody comes anyway
    torch.set_num_threads(1)
    pd.DataFrame({"a": [1]}).to_parquet(io.BytesIO())


def _contents(folder: Path) -> dict[str, str]:
    """The hash of every file that was there before the command."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if stat.S_ISREG(path.lstat().st_mode) and path.name != ".lock" and path.parent.name != "locks"
    }


def _changed(folder: Path, before: dict[str, str], remade: Sequence[str]) -> list[str]:
    after = _contents(folder)
    return [
        name
        for name, content in before.items()
        if after.get(name) != content and not any(Path(name).match(pattern) for pattern in remade)
    ]


def _judged(case: Case, ended: Ended, changed: Sequence[str]) -> Outcome:
    output = ended.stdout + ended.stderr
    if ended.code is None:
        return Outcome(case, "hang", f"still running after {LIMIT} s", ended)
    if "Traceback (most recent call last)" in output:
        return Outcome(case, "traceback", output.strip().splitlines()[-1][:200], ended)
    if ended.code < 0 or ended.code > 2:
        return Outcome(case, "crash", f"exit code {ended.code}", ended)
    found = "refused" if ended.code else "named" if case.named else "accepted"
    if faults := list(_faults(case, ended, output, changed)):
        return Outcome(case, "wrong", "; ".join(faults), ended)
    if found == "accepted" and not case.justified:
        return Outcome(case, "unjustified", f"exit code 0: {output.strip()[-150:]!r}", ended)
    if found == "refused" and (case.named or case.justified):
        return Outcome(
            case, "wrong", f"is refused, though it should not be: {output.strip()[-200:]!r}", ended
        )
    return Outcome(case, found, "", ended)


def _faults(case: Case, ended: Ended, output: str, changed: Sequence[str]) -> Iterator[str]:
    if ended.memory > MOST_MEMORY:
        yield f"took {ended.memory >> 20} MiB"
    if changed:
        yield f"changed or removed {', '.join(changed[:3])}"
    if found := UNREADABLE.search(output):
        yield f"prints {found[0]!r}"
    if ended.code and (found := JARGON.search(ended.stderr)):
        yield f"speaks of {found[0]!r}"
    if ended.code and len(ended.stderr.strip() or ended.stdout.strip()) < 20:
        yield "says nothing"
    flat = " ".join(output.split())
    if (ended.code or case.named) and not re.search(case.says, flat):
        yield f"does not say {case.says!r}: {flat[-250:]!r}"


@contextmanager
def campaign() -> Iterator[Campaign]:
    """A campaign in a temporary folder; the surroundings of this process are put back."""
    environment, path = dict(os.environ), list(sys.path)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        try:
            yield Campaign(Path(folder).resolve())
        finally:
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = path


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by kind."""
    rows = [("kind", "cases", *HEADINGS)]
    for kind in [*dict.fromkeys(outcome.case.kind for outcome in outcomes), "all"]:
        found = [outcome.found for outcome in outcomes if kind in (outcome.case.kind, "all")]
        rows.append((kind, str(len(found)), *(str(found.count(name)) for name in CLASSES)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


@click.command()
@click.option("--kind", "kinds", multiple=True, help="Only these kinds. Repeatable.")
@click.option("--case", "pattern", default="", help="Only cases whose `KIND: NAME` matches this expression.")
@click.option("--list", "listing", is_flag=True, help="List the cases and run none.")
@click.option("--show", is_flag=True, help="Print what each case printed.")
@click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write the table there too."
)
@click.option("--slow", is_flag=True, help="Print the ten cases that took longest.")
def main(
    kinds: tuple[str, ...], pattern: str, listing: bool, show: bool, markdown: Path | None, slow: bool
) -> None:
    """Run the fault campaign; see the module."""
    chosen = [
        case
        for case in catalogue()
        if (not kinds or case.kind in kinds) and re.search(pattern, f"{case.kind}: {case.name}")
    ]
    if not chosen:
        raise click.UsageError("no case has that kind and name; --list names all")
    if listing:
        for case in chosen:
            expected = case.justified or ("named, went on" if case.named else "refused")
            click.echo(f"{case.kind}: {case.name}  [{expected}]")
        click.echo(f"{len(chosen)} cases")
        return
    started, outcomes = time.monotonic(), []
    with campaign() as run:
        for case in chosen:
            outcome = run(case)
            outcomes.append(outcome)
            if outcome.found in BAD:
                click.echo(f"{outcome.found.upper()} {case.kind}: {case.name}: {outcome.fault!r}")
            if show:
                ended = outcome.ended
                click.echo(
                    f"--- {case.kind}: {case.name}: {outcome.found}, exit code {ended.code}, {ended.seconds:.1f} s"
                )
                click.echo(repr(ended.stdout[-2000:] + ended.stderr[-2000:]))
    click.echo(table(outcomes))
    if slow:
        for outcome in sorted(outcomes, key=lambda outcome: -outcome.ended.seconds)[:10]:
            click.echo(f"{outcome.ended.seconds:6.1f} s  {outcome.case.kind}: {outcome.case.name}")
    bad = sum(outcome.found in BAD for outcome in outcomes)
    total = f"{len(outcomes)} cases in {time.monotonic() - started:.0f} s, {bad or 'none'} with a fault"
    click.echo(total)
    if markdown:
        made_by = "Made by `python -m tests.faults.campaign`. A case is a command with a wrong input."
        markdown.write_text(
            f"# The fault campaign\n\n{made_by}\n\n```\n{table(outcomes)}\n```\n\n{total}.\n",
            encoding="utf-8",
        )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
