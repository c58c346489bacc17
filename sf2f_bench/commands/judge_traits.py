"""`sf2f-bench judge-traits`: what a network sees of a face."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from sf2f_bench.commands.options import OUT_FILE, plain_table, say


@click.command(name="judge-traits")
@click.argument("extractor")
@click.option("--people", type=click.IntRange(50), default=1000, show_default=True, help="Synthetic people.")
@click.option("--json", "json_file", type=OUT_FILE, help="Write the numbers here too.")
def judge_traits(extractor: str, people: int, json_file: Path | None) -> None:
    """Show which traits of a synthetic face EXTRACTOR sees: a name, or FILE.py:Class.

    R^2 of a straight line from its embedding to each trait, cross-validated over people on whom no embedded network was
    trained: 1 is all, 0 nothing. A judge cannot reward a system for a trait that it does not see.
    """
    from rich.console import Console

    from sf2f_bench.evaluation.trait_probe import traits_seen
    from sf2f_bench.files import write_json
    from sf2f_bench.registry import extractor_named

    network = extractor_named(extractor)
    found = traits_seen(network, people)
    table = plain_table(["trait", "told by", "R^2", "95 % interval"])
    for seen in found:
        low, high = seen.interval
        who = "face and voice" if seen.heard else "face"
        table.add_row(seen.trait.replace("_", " "), who, f"{seen.r2:.2f}", f"{low:.2f} to {high:.2f}")
    Console().print(table)
    say(f"{network.id}: one photo each of {people} people; intervals over people.")
    if json_file is not None:
        write_json(
            json_file, {"extractor": network.id, "people": people, "traits": [asdict(s) for s in found]}
        )
