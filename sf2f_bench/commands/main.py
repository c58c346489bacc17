"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from sf2f_bench import __version__
from sf2f_bench.commands.associate import associate
from sf2f_bench.commands.audit import audit
from sf2f_bench.commands.check import check
from sf2f_bench.commands.compare import compare
from sf2f_bench.commands.export import export
from sf2f_bench.commands.export_voices import export_voices
from sf2f_bench.commands.list import list_command
from sf2f_bench.commands.migrate import migrate
from sf2f_bench.commands.new import new
from sf2f_bench.commands.options import FOLDER, numbers, with_settings
from sf2f_bench.commands.score import score
from sf2f_bench.commands.validate import validate
from sf2f_bench.commands.weights import weights
from sf2f_bench.types import BenchError

# The same sums in the same order from run to run; read when the mathematics library is loaded.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")


class Commands(click.Group):
    """Prints a BenchError as one message and exits with its code: no traceback for a wrong input."""

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(context)
        except BenchError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped; the same command goes on from here", err=True)
            sys.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Measure speech-to-face generation honestly: train, score, compare, audit and report.

    This is an instrument for comparing models. It is not a tool to identify people.
    """


@main.command()
@click.argument("benchmark", required=False)
@with_settings
@click.option("--models", "-m", multiple=True, help="A system by name, or mine.py:Mine. Repeat for more.")
@click.option("--ablation", is_flag=True, help="SF2F beside itself without each of its parts.")
@click.option("--protocol", help="sf2f-bench/1 or sf2f-paper/1.  [default: sf2f-bench/1]")
@click.option("--judge", help="Network that judges, like deepface:ArcFace.  [default: the benchmark's]")
@click.option("--extractors", "-x", multiple=True, help="A further network that scores. Repeat for more.")
@click.option("--perceptual", help="Network of the training loss.  [default: the benchmark's]")
@click.option("--seed", type=int, help="Seed of training.  [default: 0]")
@click.option("--results", type=FOLDER, help="Where records go.  [default: results]")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="[default: auto: CUDA where there is one]"
)
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Of training.  [default: fp32]")
@click.option("--deterministic", is_flag=True, help="Bit for bit the same on the same GPU; slower.")
@click.option(
    "--compile",
    type=click.Choice(["none", "default", "graphs"]),
    help="torch.compile in training; graphs: with CUDA graphs.  [default: none]",
)
@click.option("--width", type=float, help="Share of the published channel counts.  [default: the budget's]")
@click.option("--checkpoint-every", type=float, help="Seconds between checkpoints.  [default: 20]")
@click.option("--steps", type=int, help="Training steps.  [default: the budget's]")
@click.option("--gallery", type=int, help="Gallery size.  [default: the benchmark's]")
@click.option("--ks", callback=numbers, help="The k of recall@k, like 1,5,10.  [default: the benchmark's]")
def run(config: Path | None, **options: Any) -> None:
    """Train, score and compare on BENCHMARK (default: synthetic-64); ends with the table.

    What is done is kept: killed at any moment, the same command goes on. Under torchrun or SLURM the same command
    trains on several GPUs or hosts.
    """
    from sf2f_bench.config import load_config

    settings = load_config(config, options)
    from sf2f_bench.benchmarks import benchmark_of

    benchmark_of(settings)  # a wrong word is named before the slow imports
    from rich.console import Console

    from sf2f_bench.progress import Reporter
    from sf2f_bench.report.tables import summary
    from sf2f_bench.runs.pipeline import run as run_all

    made = run_all(settings, Reporter())
    if made is None:  # another process of this run speaks
        return
    summary(made, Console())
    click.echo(f"records: {settings.results}   next: sf2f-bench report {settings.results}")


@main.command()
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--out", type=FOLDER, help="Where the files go.  [default: RESULTS/report]")
def report(results: Path, out: Path | None) -> None:
    """Write one HTML page, tables (Markdown, CSV, LaTeX) and pictures (PNG, SVG; faces as PNG) from the records.

    Records below a folder named `reference` are read only when RESULTS is that folder or lies in it.
    """
    from rich.console import Console

    from sf2f_bench.report import write_report
    from sf2f_bench.results.records import load_all

    found = load_all(results, without=("reference",))
    written = write_report(found, out or results / "report", Console())
    for path in written:
        click.echo(path)


@main.command()
@click.argument("benchmark", default="synthetic-64")
@with_settings
@click.option("--out", type=FOLDER, help="The store's folder.  [default: in the cache]")
def prepare(config: Path | None, out: Path | None, **options: Any) -> None:
    """Write BENCHMARK's features and faces into a prepared store; restartable; lists every bad file."""
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
        click.echo(f"  left out: {row.identity}{'/' if row.key else ''}{row.key}: {row.reason}")


OTHERS = (
    associate,
    audit,
    check,
    compare,
    export,
    export_voices,
    list_command,
    migrate,
    new,
    score,
    validate,
    weights,
)
for command in OTHERS:
    main.add_command(command)


if __name__ == "__main__":
    sys.exit(main())
