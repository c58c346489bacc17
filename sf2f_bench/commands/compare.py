"""`sf2f-bench compare`: whether one system is better than another, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sf2f_bench.commands.options import FOLDER, OUT_FILE, name_left_out

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sf2f_bench.results.compare import ComparedMetric, SystemComparison


WIDE = 100  # columns of a terminal that has room for p and the detectable difference
VERDICTS = {
    "better": "A better",
    "worse": "B better",
    "no difference shown": "not shown",
    "too few seeds": "few seeds",
}


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option(
    "--metrics", default="*", help="Show only those that match a pattern, like 'recall@10*'; q is over all."
)
@click.option("--all", "show_all", is_flag=True, help="Print every metric, not only those that decide.")
@click.option("--json", "json_file", type=OUT_FILE, help="Write the numbers of every metric here, unrounded.")
@click.option("--csv", "csv_file", type=OUT_FILE, help="Likewise, as a table.")
@click.option("--markdown", "markdown_file", type=OUT_FILE, help="Write the answer and every metric here.")
def compare(
    a: str,
    b: str,
    results: Path,
    metrics: str,
    show_all: bool,
    json_file: Path | None,
    csv_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Test A against B, metric by metric, on the same test identities; begins with the answer.

    One is called better or worse only with three training seeds a side: with fewer, the difference is that of these
    trained models.

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
        show(comparison, console, show_all or metrics != "*")
    numbers = pd.concat([comparison.frame() for comparison in found], ignore_index=True)
    if json_file:
        rows = numbers.astype(object).where(numbers.notna(), None).to_dict("records")
        write_json(json_file, {"comparisons": rows})
    if csv_file:
        write_atomically(csv_file, partial(Path.write_text, data=csv_of(numbers), encoding="utf-8"))
    if markdown_file:
        text = "\n\n".join(map(markdown, found)) + "\n"
        write_atomically(markdown_file, partial(Path.write_text, data=text, encoding="utf-8"))


def show(comparison: SystemComparison, console: Console, show_all: bool = False) -> None:
    """Print the answer, one table an extractor, and what the numbers rest on."""
    from rich.text import Text

    console.print()
    console.rule(Text(comparison.title, "bold"))
    for sentence in answer(comparison):
        console.print(Text(sentence, "bold"))
    console.print(Text(f"\nA  {comparison.a.label}\nB  {comparison.b.label}"))
    deciding = [*filter(None, [comparison.primary]), *comparison.secondary]
    shown = comparison.metrics if show_all or not deciding else deciding
    for title, compared in by_extractor(shown).items():
        console.print(Text(f"\n{title}"))
        rows = [(one.verdict, cells(comparison, one)) for one in compared]
        console.print(_table(rows, is_wide=console.width >= WIDE))
    if more := len(comparison.metrics) - len(shown):
        console.print(
            Text(f"{more} more metrics: --all prints them, --markdown, --json and --csv write them.")
        )
    for sentence in sentences(comparison):
        console.print(Text(f"- {sentence}", "dim"))


def answer(comparison: SystemComparison) -> list[str]:
    """Which one is better on the primary metric, by how much, and on which of the others that decide."""
    from sf2f_bench.results.numbers import listed

    a, b, missing = comparison.a.name, comparison.b.name, comparison.missing_seeds
    first = comparison.primary
    if first is None:
        said = [f"The primary metric, {comparison.primary_name}, was not compared."]
    else:
        texts = dict(zip(HEADINGS, cells(comparison, first, " to "), strict=True))
        difference, _, interval = texts["A - B"].partition(" ")
        q = f"; q {'' if texts['q'].startswith('<') else '= '}{texts['q']}"
        people = ", for new people alone" if missing else q
        numbers = (
            f"on the primary metric, {texts['metric']}: {texts['A']} against {texts['B']}, difference {difference} "
            f"(95 % interval {interval.strip('[]')}{people})"
        )
        if first.verdict in ("better", "worse"):
            better, worse = (a, b) if first.verdict == "better" else (b, a)
            said = [f"{better} is better than {worse} {numbers}."]
        else:
            said = [f"It cannot be told whether {a} or {b} is better {numbers}."]
    if missing:
        return [*said, f"Calling one better {missing} (`sf2f-bench run --seed 1`)."]
    for verdict, text in {
        "better": f"{a} is better on {{}}.",
        "worse": f"{b} is better on {{}}.",
        "no difference shown": "No difference is shown on {}.",
    }.items():
        if names := [comparison.heading_of(one) for one in comparison.secondary if one.verdict == verdict]:
            said.append(text.format(listed(names)))
    return [said[0], " ".join(said[1:])] if said[1:] else said


def by_extractor(compared: Sequence[ComparedMetric]) -> dict[str, list[ComparedMetric]]:
    """Metrics under the title of their table: ``By the judge: embedded-judge/1@...``."""
    found: dict[str, list[ComparedMetric]] = {}
    roles = {"training-loss": "network of the training loss", "none": "order alone"}
    for one in compared:
        role = roles.get(one.extractor_role, one.extractor_role)
        found.setdefault(f"By the {role}" + (f": {one.extractor}" if one.extractor else ""), []).append(one)
    return found


HEADINGS = ("metric", "A", "B", "A - B", "q", "verdict", "p", "detectable")
OF_WIDE = len(HEADINGS) - 2  # the others need a wide terminal


def _table(rows: Sequence[tuple[str, tuple[str, ...]]], is_wide: bool) -> Table:
    """Of (verdict, cells)."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    padding = (0, int(is_wide), 0, 0)  # the box itself leaves one space between columns
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=padding)
    shown = HEADINGS if is_wide else HEADINGS[:OF_WIDE]
    for heading in shown:
        is_text = heading in ("metric", "A - B", "verdict")
        title = "" if heading == "metric" else heading
        table.add_column(title, justify="left" if is_text else "right", no_wrap=heading != "metric")
    for verdict, texts in rows:
        style = {"better": "bold green", "worse": "bold red"}.get(verdict, "dim")
        table.add_row(*map(Text, texts[: len(shown)]), style=style)
    return table


def markdown(comparison: SystemComparison) -> str:
    """The answer, every metric and what the numbers rest on."""
    parts = [
        f"## {comparison.title}",
        *answer(comparison),
        f"A: {comparison.a.label}  \nB: {comparison.b.label}",
    ]
    for title, compared in by_extractor(comparison.metrics).items():
        rows = [HEADINGS, tuple("---" for _ in HEADINGS), *(cells(comparison, one) for one in compared)]
        parts += [title, "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    return "\n\n".join([*parts, "\n".join(f"- {sentence}" for sentence in sentences(comparison))])


def cells(comparison: SystemComparison, compared: ComparedMetric, between: str = ", ") -> tuple[str, ...]:
    """One metric as it is printed: `HEADINGS`, the difference with its interval."""
    from sf2f_bench.results.numbers import NOTHING, digits_of_errors, number

    card = comparison.card_of(compared.metric)

    def text(value: float, digits: int = 3) -> str:
        return number(card.factor * value, card.format, digits)

    digits = digits_of_errors(card.format)
    low, high = text(compared.lower, digits), text(compared.upper, digits)
    sign = "+" if compared.difference > 0 else ""
    return (
        comparison.heading_of(compared),
        text(compared.a),
        text(compared.b),
        f"{sign}{text(compared.difference)} [{low}{between}{high}]",
        _probability(compared.q),
        VERDICTS[compared.verdict],
        _probability(compared.p),
        NOTHING if compared.detectable is None else text(compared.detectable, digits),
    )


def _probability(p: float | None) -> str:
    from sf2f_bench.results.numbers import NOTHING

    if p is None:
        return NOTHING
    return "<.001" if p < 0.001 else "1" if p > 0.9995 else f"{p:.3f}"[1:]


def sentences(comparison: SystemComparison) -> list[str]:
    """What the numbers rest on and what they do not show."""
    sizes = sorted({one.n for one in comparison.metrics})
    n = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    said = [f"n = {n} test identities, the same for both; {comparison.lines} metrics."]
    if comparison.missing_seeds:
        said.append(
            f"No verdicts, p and q: better or worse {comparison.missing_seeds}. Another seed is another model and may "
            "reverse any difference. The 95 % intervals in brackets are for new people and these trained models alone."
        )
    else:
        said += [
            "p: two-sided. q: p after Benjamini and Hochberg over the metrics of a family, shown or not; the primary "
            "metric, named beforehand, is a family of its own. Better: q < .05. 95 % intervals in brackets, each "
            "metric's own.",
            f"No difference shown does not mean equal{_detectable(comparison)}.",
            *_of_seeds(comparison),
        ]
    for reason in dict.fromkeys(comparison.left_out.values()):
        metrics = [metric for metric, why in comparison.left_out.items() if why == reason]
        said.append(f"Left out because {reason}: {', '.join(metrics)}.")
    return said


def _detectable(comparison: SystemComparison) -> str:
    """How large a true difference in the first metric would have been shown."""
    first = comparison.primary or comparison.metrics[0]
    if first.detectable is None:
        return ""
    return (
        f": on {comparison.heading_of(first)} a true difference of {cells(comparison, first)[-1]} is shown in 80 % of "
        "such comparisons (before the correction), a smaller one in fewer; for other metrics see `detectable`"
    )


def _of_seeds(comparison: SystemComparison) -> list[str]:
    seeds = [runs.seeds for runs in (comparison.a, comparison.b) if runs.seeds]
    if not seeds:
        return []
    if len(seeds) == 1 or seeds[0] == seeds[1]:
        text = f"{len(seeds[0])} seeds{', in pairs' if len(seeds) > 1 else ''}."
    else:
        text = "seeds are not in pairs: train both sides with the same ones for narrower intervals."
    return [f"Intervals and tests allow for new training seeds as well as for new identities; {text}"]
