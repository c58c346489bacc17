"""`sf2f-bench compare`: whether one system is better than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sf2f_bench.commands.options import FILE, FOLDER, name_left_out

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sf2f_bench.results.compare import ComparedMetric, SystemComparison
    from sf2f_bench.types import Format


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--metrics", default="*", help="Only those that match a pattern, like 'recall@10*'.")
@click.option("--json", "json_file", type=FILE, help="Write the numbers to this file, unrounded.")
@click.option("--csv", "csv_file", type=FILE, help="Likewise, as a table.")
def compare(
    a: str, b: str, results: Path, metrics: str, json_file: Path | None, csv_file: Path | None
) -> None:
    """Test A against B, metric by metric, on the same test identities.

    A and B: a record's JSON file, or a system's name or label among the records in RESULTS; seeds of one label are
    taken together. Records below a folder named `reference` are read only when RESULTS is that folder or lies in it.
    """
    import pandas as pd
    from rich.console import Console

    from sf2f_bench.files import write_atomically, write_json
    from sf2f_bench.results.compare import compare as compare_systems
    from sf2f_bench.results.texts import csv_of

    left_out: dict[Path, str] = {}
    try:
        found = compare_systems(a, b, results, metrics, left_out)
    finally:
        name_left_out(left_out)
    console = Console()
    for comparison in found:
        show(comparison, console)
    numbers = pd.concat([comparison.frame() for comparison in found], ignore_index=True)
    if json_file:
        rows = numbers.astype(object).where(numbers.notna(), None).to_dict("records")
        write_json(json_file, {"comparisons": rows})
    if csv_file:
        write_atomically(csv_file, partial(Path.write_text, data=csv_of(numbers), encoding="utf-8"))


def show(comparison: SystemComparison, console: Console) -> None:
    """Print one table an extractor, and what the numbers rest on."""
    from rich.text import Text

    console.print()
    console.rule(Text(comparison.title, "bold"))
    console.print(Text(f"A  {comparison.a.label}\nB  {comparison.b.label}", "bold"))
    for extractor in dict.fromkeys(one.extractor for one in comparison.metrics):
        compared = [one for one in comparison.metrics if one.extractor == extractor]
        role = {"training-loss": "network of the training loss", "none": "order alone"}.get(
            compared[0].extractor_role, compared[0].extractor_role
        )
        console.print(Text(f"\nBy the {role}" + (f": {extractor}" if extractor else "")))
        rows = [(one.verdict, cells(one, comparison.format_of(one.metric))) for one in compared]
        console.print(_table(rows, gap=1 if console.width < 100 else 2))
    for sentence in sentences(comparison):
        console.print(Text(f"- {sentence}", "dim"))


def _table(rows: Sequence[tuple[str, tuple[str, ...]]], gap: int) -> Table:
    """Of (verdict, cells)."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    padding = (0, gap - 1, 0, 0)  # the box itself leaves one space between columns
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    table.add_column("", overflow="fold", min_width=14)
    for heading in ("A", "B", "A - B", "p", "q", "detect-\nable"):
        table.add_column(heading, justify="left" if heading == "A - B" else "right", no_wrap=True)
    table.add_column("A is", min_width=10)
    for verdict, texts in rows:
        table.add_row(
            *map(Text, texts), style={"better": "bold green", "worse": "bold red"}.get(verdict, "dim")
        )
    return table


def cells(compared: ComparedMetric, format_: Format) -> tuple[str, ...]:
    """One metric as it is printed: name, A, B, difference with its interval, p, q, detectable, verdict."""
    from sf2f_bench.results.numbers import NOTHING, digits_of_errors, number

    digits = digits_of_errors(format_)
    low, high = (number(bound, format_, digits) for bound in (compared.lower, compared.upper))
    sign = "+" if compared.difference > 0 else ""
    return (
        compared.metric,
        number(compared.a, format_, 3),
        number(compared.b, format_, 3),
        f"{sign}{number(compared.difference, format_, 3)} [{low}, {high}]",
        _probability(compared.p),
        _probability(compared.q),
        NOTHING if compared.detectable is None else number(compared.detectable, format_, digits),
        compared.verdict,
    )


def _probability(p: float) -> str:
    return "<.001" if p < 0.001 else "1" if p > 0.9995 else f"{p:.3f}"[1:]


def sentences(comparison: SystemComparison) -> list[str]:
    """What the numbers rest on and what they do not show."""
    sizes = sorted({one.n for one in comparison.metrics})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = [
        f"n = {n} test identities, the same for both; {len(comparison.metrics)} metrics. p: two-sided; q: p after "
        "Benjamini and Hochberg over all metrics; better or worse: q < .05. 95 % intervals in brackets, each metric's "
        "own.",
        "No difference shown does not mean equal: a true difference as large as `detectable` is shown in 80 % of such "
        "comparisons (before the correction), a smaller one in fewer.",
        *_of_seeds(comparison),
    ]
    for reason in dict.fromkeys(comparison.left_out.values()):
        metrics = [metric for metric, why in comparison.left_out.items() if why == reason]
        said.append(f"Left out because {reason}: {', '.join(metrics)}.")
    return said


def _of_seeds(comparison: SystemComparison) -> list[str]:
    seeds = [runs.seeds for runs in (comparison.a, comparison.b) if runs.seeds]
    if not seeds:
        return []
    if max(map(len, seeds)) == 1:
        return [
            "One training seed each: this compares these trained models, not the ways in which they were trained. "
            "Another seed may reverse any result; train each with three or more (`sf2f-bench run --seed 1`)."
        ]
    if len(seeds) == 1 or seeds[0] == seeds[1]:
        pairs = ", in pairs" if len(seeds) > 1 else ""
        text = f"{len(seeds[0])} seeds{pairs}. With few seeds intervals are wide, as they should be."
    elif min(map(len, seeds)) == 1:
        text = "a single seed is assumed to vary as the other side's do."
    else:
        text = "seeds are not in pairs: train both sides with the same ones for narrower intervals."
    return [f"Intervals and tests allow for new training seeds as well as for new identities; {text}"]
