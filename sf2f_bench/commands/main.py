"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from sf2f_bench import __version__
from sf2f_bench.commands.associate import associate
from sf2f_bench.commands.audit import audit
from sf2f_bench.commands.check import check
from sf2f_bench.commands.compare import compare
from sf2f_bench.commands.doctor import doctor
from sf2f_bench.commands.export import export
from sf2f_bench.commands.export_voices import export_voices
from sf2f_bench.commands.judge_traits import judge_traits
from sf2f_bench.commands.list import list_command
from sf2f_bench.commands.migrate import migrate
from sf2f_bench.commands.new import new
from sf2f_bench.commands.options import (
    ALL_SETTINGS,
    DATA_SETTINGS,
    FOLDER,
    OUT_FILE,
    OUT_FOLDER,
    benchmark_argument,
    full_option,
    printable,
    say,
    with_settings,
)
from sf2f_bench.commands.score import score
from sf2f_bench.commands.validate import validate
from sf2f_bench.commands.weights import weights
from sf2f_bench.files import cannot_write
from sf2f_bench.registry import plugin_faults
from sf2f_bench.types import BenchError

# The same sums in the same order from run to run; read when the mathematics library is loaded.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")


class Terminated(KeyboardInterrupt):
    """SIGTERM came: everything ends as it does for Ctrl-C."""


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end a command as Ctrl-C does, so that its workers end with it.

    Not under torchrun or SLURM: a process that waits for the others would never see the exception.
    """
    if threading.current_thread() is not threading.main_thread() or "WORLD_SIZE" in os.environ:
        yield
        return
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a copy of this process, for pictures
            os._exit(128 + number)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Commands(click.Group):
    """Prints a BenchError as one message and exits with its code: no traceback for a wrong input, plug-in or disk.

    ``--traceback`` may stand before or after a command.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        """Letters that the terminal's encoding does not have are printed as ``?``."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **options)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Take --traceback from wherever it stands."""
        others = [word for word in args if word != "--traceback"]
        return super().parse_args(context, ["--traceback"] * (len(others) < len(args)) + others)

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        try:
            with terminated_as_interrupted(), plugin_faults():
                return super().invoke(context)
        except click.ClickException as error:
            object.__setattr__(error, "message", _printable(error.message))
            raise
        except BenchError as error:
            self._fail(context, error, error)
        except OSError as error:
            fault = cannot_write(Path(os.fsdecode(error.filename or ".")).parent, error)
            if fault is None:
                raise
            self._fail(context, error, fault)
        except KeyboardInterrupt as error:
            click.echo("stopped; give the same command again to resume", err=True)
            sys.exit(143 if isinstance(error, Terminated) else 130)

    @staticmethod
    def _fail(context: click.Context, error: Exception, shown: BenchError) -> NoReturn:
        if context.params.get("traceback"):
            traceback.print_exception(error)
        click.echo(f"error: {_printable(str(shown))}", err=True)
        sys.exit(shown.exit_code)


def _printable(message: str) -> str:
    """A message in whose lines nothing obeys a stranger: names of files and values come from outside."""
    from sf2f_bench.results.texts import clean

    return "\n".join(map(clean, message.split("\n")))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option(
    "--traceback",
    is_flag=True,
    envvar="SF2F_BENCH_TRACEBACK",
    help="Show every call that led to an error; before or after the command, or SF2F_BENCH_TRACEBACK=1.",
)
def main(**_: Any) -> None:
    """Measure speech-to-face generation honestly: train, score, compare, audit and report.

    This is an instrument for comparing models. It is not a tool to identify people.
    """


@main.command()
@benchmark_argument
@with_settings(*ALL_SETTINGS)
@full_option
@click.option(
    "--json", "json_file", type=OUT_FILE, help="Write the numbers and warnings of the table here, unrounded."
)
def run(config: Path | None, full: bool, json_file: Path | None, **options: Any) -> None:
    """Train, score and compare on BENCHMARK (default: synthetic-64); ends with the table.

    If it is interrupted, give the same command again to resume. Under torchrun or SLURM the same command trains on
    several GPUs or hosts.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    from sf2f_bench.benchmarks import benchmark_of

    benchmark_of(settings)  # a wrong name is reported before the slow imports
    from rich.console import Console

    from sf2f_bench.progress import Reporter
    from sf2f_bench.report import brief, summary
    from sf2f_bench.runs.pipeline import run as run_all

    made = run_all(settings, Reporter())
    if made is None:  # the main process of this run prints
        return
    (summary if full else brief)(made, Console())
    if json_file:
        from sf2f_bench.files import write_json
        from sf2f_bench.report import summary_facts

        write_json(json_file, {"results": str(settings.results), **summary_facts(made)})
    if settings.budget == "smoke" and (steps := [s for r in made if (s := r.system.recipe.get("steps"))]):
        say(
            f"budget smoke: {max(steps)} training steps only prove that everything runs; what is said above of trained "
            "systems, warnings included, says nothing about them. Results need a run without --budget smoke."
        )
    say(f"records: {settings.results}   next: sf2f-bench report {settings.results}")


@main.command()
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--out", type=OUT_FOLDER, help="Where the files go.  [default: RESULTS/report]")
def report(results: Path, out: Path | None) -> None:
    """Write one HTML page, tables (Markdown, CSV, LaTeX) and pictures (PNG, SVG; faces as PNG) from the records.

    Records below a folder named `reference` are read only when RESULTS is that folder or lies in it.
    """
    from rich.console import Console

    from sf2f_bench.commands.options import usable_records
    from sf2f_bench.report import write_report

    found = usable_records(results)
    written = write_report(found, out or results / "report", Console())
    for path in written:
        click.echo(path)


@main.command()
@benchmark_argument
@with_settings(*DATA_SETTINGS)
@click.option("--out", type=FOLDER, help="The store's folder.  [default: in the cache]")
def prepare(config: Path | None, out: Path | None, **options: Any) -> None:
    """Write the features and faces of BENCHMARK (default: synthetic-64) into a prepared store; lists every bad file.

    If it is interrupted, give the same command again to resume.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    from sf2f_bench.benchmarks import benchmark_named
    from sf2f_bench.progress import Reporter
    from sf2f_bench.runs.stages import dataset_of, prepare_store
    from sf2f_bench.types import SPLITS

    benchmark = benchmark_named(settings.benchmark)
    store = prepare_store(settings, benchmark, dataset_of(settings, benchmark), Reporter(), out)
    counts = ", ".join(f"{len(store.identities(split))} {split}" for split in SPLITS)
    click.echo(f"{store.folder}: {counts} identities, data hash {store.data_hash}")
    for row in store.left_out.itertuples(index=False):
        click.echo(printable(f"  left out: {row.identity}{'/' if row.key else ''}{row.key}: {row.reason}"))


OTHERS: tuple[click.Command, ...] = (
    associate,
    audit,
    check,
    compare,
    doctor,
    export,
    export_voices,
    list_command,
)
for other in (*OTHERS, judge_traits, migrate, new, score, validate, weights):
    main.add_command(other)


if __name__ == "__main__":
    sys.exit(main())
