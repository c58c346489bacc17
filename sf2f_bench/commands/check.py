"""`sf2f-bench check`: judge new records against reference runs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sf2f_bench.commands.options import FILE, FOLDER, OUT_FILE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sf2f_bench.gate.judgement import JudgedMetric, Judgement

ROLES = {
    "judge": "by the judge",
    "training-loss": "by the network of the training loss",
    "further": "by other networks",
}
WIDE = 100  # columns; below, the table leaves out what `LEFT_OUT` names
LEFT_OUT = ("reference", "margin", "floor")
STYLES = {"passed": "green", "regressed": "bold red", "inconclusive": "yellow"}


@click.command()
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--against", type=FOLDER, required=True, help="Folder of reference runs with several seeds.")
@click.option(
    "--margin",
    "margins",
    multiple=True,
    metavar="METRIC=VALUE",
    help="Drop tolerated before it is a regression, such as 'recall@*=0.05' or kernel-distance=20%. Repeatable.",
)
@click.option("--rules", "rules_file", type=FILE, help="TOML file of margins and deciding metrics.")
@click.option(
    "--non-inferior",
    is_flag=True,
    help="Every deciding metric must be shown to be no worse than its margin; what is not shown fails.",
)
@click.option("--guard-cost", is_flag=True, help="Fail for training time and memory too, instead of warning.")
@click.option("--markdown", "markdown_file", type=OUT_FILE, help="Write the result here, for a pull request.")
@click.option("--junit", "junit_file", type=OUT_FILE, help="The same as JUnit XML, for a build server.")
@click.option("--json", "json_file", type=OUT_FILE, help="The same as JSON, unrounded.")
def check(
    results: Path,
    against: Path,
    margins: tuple[str, ...],
    rules_file: Path | None,
    non_inferior: bool,
    guard_cost: bool,
    markdown_file: Path | None,
    junit_file: Path | None,
    json_file: Path | None,
) -> None:
    """Judge the records in RESULTS against reference runs of the same systems.

    Exit code 0: no regression, and a fall to what hearing nothing scores would have been seen; 1: a deciding metric
    is worse by more than its margin, or an anchor that no training affects has changed; 2: undecidable, and the
    reason is printed: records that cannot be compared or are not valid (`sf2f-bench validate`), too few identities
    or seeds, a reference that has no room to fall. Another training seed is no regression: the reference's seeds
    show how far a seed moves a number.
    """
    from rich.console import Console

    from sf2f_bench.files import write_atomically, write_json
    from sf2f_bench.gate import check as judged
    from sf2f_bench.gate.output import facts, junit, markdown
    from sf2f_bench.gate.rules import rules_of

    judgement = judged(results, against, rules_of(margins, rules_file), guard_cost, non_inferior)
    show(judgement, Console())
    for file, form in ((markdown_file, markdown), (junit_file, junit)):
        if file:
            write_atomically(file, partial(Path.write_text, data=form(judgement), encoding="utf-8"))
    if json_file:
        write_json(json_file, facts(judgement))
    sys.exit(judgement.exit_code)


def show(judgement: Judgement, console: Console) -> None:
    """Print a table for each system, the reasons and the verdict."""
    from rich.text import Text

    from sf2f_bench.gate.output import sentences

    console.rule(Text(f"check: {judgement.title}", "bold"))
    for system in dict.fromkeys(line.system for line in judgement.lines):
        console.print(Text(f"\n{system}", "bold"))
        lines = [line for line in judgement.lines if line.system == system]
        for role in dict.fromkeys(line.extractor_role for line in lines):
            console.print(Text(ROLES.get(role, role), "italic"))
            chosen = [line for line in lines if line.extractor_role == role]
            console.print(_table(chosen, narrow=console.width < WIDE))
    if judgement.lines and console.width < WIDE:
        console.print(f"Left out at this width: {', '.join(LEFT_OUT)}. --markdown and --json have them.")
    for sentence in sentences(judgement):
        console.print(Text(f"- {sentence}", "bold red" if sentence.startswith("REGRESSION") else ""))
    style = ("bold green", "bold red", "bold yellow")[judgement.exit_code]
    console.print(Text(f"{judgement.verdict} (exit code {judgement.exit_code})", style))


def _table(lines: list[JudgedMetric], narrow: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from sf2f_bench.gate.output import HEADINGS, cells

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    left_out = ("by", *LEFT_OUT) if narrow else ("by",)
    shown = [i for i, heading in enumerate(HEADINGS) if heading not in left_out]
    for heading in (HEADINGS[i] for i in shown):
        table.add_column(
            heading.replace("noticeable", "notice-\nable").replace("reference", "refer-\nence"),
            justify="right"
            if heading in ("reference", "new", "margin", "noticeable", "floor", "q")
            else "left",
            no_wrap=heading != "metric",
            min_width=12 if heading == "metric" else None,
            overflow="fold",
        )
    for line in lines:
        row = cells(line)
        table.add_row(*(Text(row[i]) for i in shown), style=STYLES[line.verdict] if line.decides else "dim")
    return table
