"""`sf2f-bench export`: all numbers of all records as one table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sf2f_bench.commands.options import FOLDER, OUT_FILE, usable_records
from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from sf2f_bench.results.records import RunRecord, ScoreRecord


@click.command()
@click.argument("results", type=FOLDER, default=Path("results"))
@click.option("--out", type=OUT_FILE, required=True, help="FILE.parquet or FILE.csv.")
@click.option("--per-identity", is_flag=True, help="One row for each identity and score, not for each score.")
def export(results: Path, out: Path, per_identity: bool) -> None:
    """Write the numbers of all records in RESULTS as one tidy table, unrounded.

    A row is one score with its n, interval and all that decides what it may be compared with. As in `report`, a
    folder named `reference` is read only when RESULTS is that folder or lies in it.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise BenchError(f"--out {out}: expected a name that ends in .parquet or .csv")
    from sf2f_bench.files import write_atomically
    from sf2f_bench.results.texts import csv_of
    from sf2f_bench.results.tidy import tidy

    records = usable_records(results)
    table = per_identity_table(records) if per_identity else tidy(records)
    if out.suffix == ".parquet":
        write_atomically(out, partial(table.to_parquet, index=False))
    else:
        write_atomically(out, partial(Path.write_text, data=csv_of(table), encoding="utf-8"))
    click.echo(f"{out}: {len(table):,} rows of {len(records)} records")


def per_identity_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row for each identity and score, unrounded; identities excluded from a score have no row in it.

    The value is the identity's own where a score keeps it, else its jackknife pseudo-value, as `basis` says.
    Raises BenchError where no record has per-identity values.
    """
    import pandas as pd

    from sf2f_bench.results.parts import own_column_of

    parts = []
    for record in records:
        people = record.per_identity()
        for score in record.scores:
            own = own_column_of(score.column)
            column = own if own in people else score.column
            if score.basis is None or column not in people:
                continue
            known = people.loc[people[column].notna(), ["identity", column]]
            facts = _facts(record, score) | ({"basis": "own"} if column == own else {})
            parts.append(known.rename(columns={column: "value"}).assign(**facts))
    if not parts:
        raise BenchError("no record has per-identity values: made by an older version? Run again")
    whole = pd.concat(parts, ignore_index=True)
    return whole[[*(name for name in whole if name not in ("identity", "value")), "identity", "value"]]


def _facts(record: RunRecord, score: ScoreRecord) -> dict[str, Any]:
    """The columns that decide what a value may be compared with."""
    return {
        "benchmark": record.benchmark.name,
        "protocol": record.benchmark.protocol,
        "system": record.system.name,
        "label": record.system.label,
        "seed": record.seed,
        "key": record.key,
        "metric": score.metric,
        "metric_version": score.version,
        "extractor": score.extractor,
        "basis": score.basis,
    }
