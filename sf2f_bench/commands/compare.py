"""`sf2f-bench compare`: is one system better than another, and how sure is that?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sf2f_bench.commands.options import FOLDER

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sf2f_bench.results.compare import Line, Versus
    from sf2f_bench.results.numbers import Format

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--metrics", default="*", help="Only those that fit a pattern, like 'recall@10*'.")
@click.option("--json", "json_file", type=FILE, help="Write the numbers here, unrounded.")
@click.option("--csv", "csv_file", type=FILE, help="Likewise.")
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

    found = compare_systems(a, b, results, metrics)
    console = Console()
    for versus in found:
        show(versus, console)
    numbers = pd.concat([versus.frame() for versus in found], ignore_index=True)
    if json_file:
        rows = numbers.astype(object).where(numbers.notna(), None).to_dict("records")
        write_json(json_file, {"comparisons": rows})
    if csv_file:
        write_atomically(csv_file, lambda path: numbers.to_csv(path, index=False))


def show(versus: Versus, console: Console) -> None:
    """Print the lines, one table an extractor, and what they rest on."""
    from rich.text import Text

    console.print()
    console.rule(Text(versus.title, "bold"))
    console.print(Text(f"A  {versus.a.label}\nB  {versus.b.label}", "bold"))
    for extractor in dict.fromkeys(line.extractor for line in versus.lines):
        lines = [line for line in versus.lines if line.extractor == extractor]
        role = {"training-loss": "network of the training loss", "none": "order alone"}.get(
            lines[0].extractor_role, lines[0].extractor_role
        )
        console.print(Text(f"\nBy the {role}" + (f": {extractor}" if extractor else "")))
        console.print(_drawn(lines, gap=1 if console.width < 100 else 2))
    for sentence in sentences(versus):
        console.print(Text(f"- {sentence}", "dim"))


def _drawn(lines: list[Line], gap: int) -> Table:
    from rich import box
    from rich.table import Table

    padding = (0, gap - 1, 0, 0)  # the box itself leaves one space between columns
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    drawn.add_column("", overflow="fold", min_width=14)
    for heading in ("A", "B"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("A - B", no_wrap=True)
    for heading in ("p", "q", "detect-\nable"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("A is", min_width=10)
    for line in lines:
        style = {"better": "bold green", "worse": "bold red"}.get(line.verdict, "dim")
        drawn.add_row(*cells(line), style=style)
    return drawn


def cells(line: Line) -> tuple[str, ...]:
    """One line as it is printed: metric, A, B, difference with its interval, p, q, detectable, verdict."""
    from sf2f_bench.results.numbers import NOTHING, number

    form = _form(line)
    digits = 3 if form == "share" else 2  # a share's digits are decimals, a size's are figures
    low, high = (number(bound, form, digits) for bound in (line.lower, line.upper))
    sign = "+" if line.difference > 0 else ""
    return (
        line.metric,
        number(line.a, form, 3),
        number(line.b, form, 3),
        f"{sign}{number(line.difference, form, 3)} [{low}, {high}]",
        _chance(line.p),
        _chance(line.q),
        NOTHING if line.detectable is None else number(line.detectable, form, digits),
        line.verdict,
    )


def _form(line: Line) -> Format:
    if line.basis == "median":
        return "rank"
    share = max(abs(line.a), abs(line.b)) <= 1 and "distance" not in line.metric
    return "share" if share else "size"


def _chance(p: float) -> str:
    return "<.001" if p < 0.001 else "1" if p > 0.9995 else f"{p:.3f}"[1:]


def sentences(versus: Versus) -> list[str]:
    """What the lines rest on and what they do not say."""
    sizes = sorted({line.n for line in versus.lines})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = [
        f"n = {n} test identities, the same for both; lines: {len(versus.lines)}. p: two-sided; q: p after Benjamini "
        "and Hochberg over all lines; better or worse: q < .05. In brackets 95 % intervals, each for itself.",
        "No difference shown is not equal: a true difference as large as `detectable` is shown in 80 % of such "
        "comparisons (before the correction), a smaller one in fewer.",
        *_of_seeds(versus),
    ]
    for reason in dict.fromkeys(versus.left_out.values()):
        metrics = [metric for metric, why in versus.left_out.items() if why == reason]
        said.append(f"Left out, for {reason}: {', '.join(metrics)}.")
    return said


def _of_seeds(versus: Versus) -> list[str]:
    seeds = [side.seeds for side in (versus.a, versus.b) if side.seeds]
    if not seeds:
        return []
    if max(map(len, seeds)) == 1:
        return [
            "One training seed each: this compares these trained models, not the ways they were trained. Another seed "
            "may turn any line; train each with three or more (`sf2f-bench run --seed 1`)."
        ]
    said = "Intervals and tests allow for new training seeds as for new identities"
    few = "With few seeds intervals are wide, and rightly so."
    if len(seeds) == 1:
        return [f"{said}; {len(seeds[0])} seeds. {few}"]
    if seeds[0] == seeds[1]:
        return [f"{said}; {len(seeds[0])} seeds, in pairs. {few}"]
    if min(map(len, seeds)) == 1:
        return [f"{said}; the side with a single seed is taken to vary with its seed as the other does."]
    return [f"{said}; seeds are not in pairs: train both sides with the same ones for narrower intervals."]
