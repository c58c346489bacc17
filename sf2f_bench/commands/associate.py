"""`sf2f-bench associate`: matching, verification and retrieval on the lists of the association literature."""

from __future__ import annotations

from pathlib import Path

import click

from sf2f_bench.commands.options import FOLDER, OUT_FILE, say


@click.command()
@click.argument("lists", type=FOLDER)
@click.option("--voices", type=FOLDER, required=True, help="Folder of VoxCeleb1's recordings.")
@click.option("--faces", type=FOLDER, required=True, help="Folder of VoxCeleb1's photos.")
@click.option("--model", required=True, help="A system and its weights, NAME@FILE.")
@click.option(
    "--benchmark", default="hq-voxceleb-64", show_default=True, help="Decides the picture size and the judge."
)
@click.option("--judge", help="The network that compares faces.  [default: the benchmark's]")
@click.option("--out", type=OUT_FILE, help="JSON file for the result.")
@click.option("--partial", is_flag=True, help="Leave out trials whose files are missing, and print how many.")
def associate(
    lists: Path,
    voices: Path,
    faces: Path,
    model: str,
    benchmark: str,
    judge: str | None,
    out: Path | None,
    partial: bool,
) -> None:
    """Score a system on the trial LISTS of voice-face association, with a face generated from each recording.

    LISTS is a folder of vox1_meta.csv with matching/, veriflist/ or retrieval/. The result holds numbers only: this
    is not a tool to identify people.
    """
    from rich.console import Console

    from sf2f_bench.association.record import table_of
    from sf2f_bench.association.run import associate_system
    from sf2f_bench.files import write_json
    from sf2f_bench.progress import Reporter

    record = associate_system(lists, voices, faces, model, benchmark, judge, partial, Reporter())
    Console().print(table_of(record))
    for note in record.notes:
        say(f"- {note}", indent="  ")
    if out:
        click.echo(write_json(out, record.model_dump(mode="json")))
