"""The tables that a record keeps beside it: values of identities and half-samples as Parquet, curves as CSV."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow.parquet import ParquetFile

from sf2f_bench.results.texts import clean
from sf2f_bench.types import BenchError

MOST_CELLS = 10**8  # of a table: more is no table of a record, and would fill the memory
REMEDY = "copy the file that was written with the record, or delete the record and run again"


def read_values(path: Path, identities: bool = True) -> pd.DataFrame:
    """Numbers by column; identities: with a text column `identity`.

    A small file, in half the time of `pd.read_parquet`: a report reads hundreds. Raises BenchError for any other file.
    """
    try:
        with (
            open(path, "rb") as opened,
            ParquetFile(opened) as file,
        ):  # pyarrow takes no path that is not UTF-8
            _check_columns(path, file, identities)
            frame = file.read(use_threads=False).to_pandas()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise BenchError(f"{path}: expected a Parquet file, got {_short(error)}; {REMEDY}") from error
    if "identity" in frame:
        frame["identity"] = frame["identity"].map(lambda name: clean(str(name)))
    return frame


def _check_columns(path: Path, file: ParquetFile, identities: bool) -> None:
    schema = file.schema_arrow
    if file.metadata.num_rows * max(1, len(schema)) > MOST_CELLS:
        raise BenchError(
            f"{path}: {file.metadata.num_rows:,} rows of {len(schema):,} columns are no table of a record"
        )
    if len(set(schema.names)) < len(schema):
        raise BenchError(f"{path}: a column stands twice in it; {REMEDY}")
    for field in schema:
        is_name = identities and field.name == "identity"
        right = (
            _is_text(field.type)
            if is_name
            else pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        )
        if not right:
            kind, got = "texts" if is_name else "numbers", clean(str(field.type), 60)
            raise BenchError(
                f"{path}: expected {kind} in column {clean(field.name, 60)!r}, got {got}; {REMEDY}"
            )
    if identities and "identity" not in schema.names:
        names = [clean(name, 60) for name in schema.names[:5]]
        raise BenchError(f"{path}: its per-identity file has no column 'identity', but {names}; {REMEDY}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def read_curve(path: Path) -> pd.DataFrame:
    """Columns `stage` and `step` and the training's scalars. Raises BenchError for any other file."""
    try:
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            raise ValueError("a file whose last line is cut")
        curve = pd.read_csv(io.BytesIO(content), float_precision="round_trip")
    except (OSError, ValueError, MemoryError) as error:
        raise BenchError(
            f"{path}: expected a training curve as CSV, got {_short(error)}; {REMEDY}"
        ) from error
    names = [clean(str(name), 60) for name in curve.columns[:5]]
    if not {"stage", "step"} <= set(curve.columns):
        raise BenchError(
            f"{path}: its training curve has columns {names}, without 'stage' or 'step'; {REMEDY}"
        )
    curve = curve.rename(columns=lambda name: clean(str(name), 60))
    for name in curve.columns.difference(["stage"]):
        if not pd.api.types.is_numeric_dtype(curve[name]) or pd.api.types.is_bool_dtype(curve[name]):
            raise BenchError(f"{path}: expected numbers in column {name!r} of a training curve; {REMEDY}")
    if curve["step"].isna().any():
        raise BenchError(f"{path}: a row of its training curve has no step; {REMEDY}")
    curve["stage"] = curve["stage"].map(lambda stage: clean(str(stage), 60))
    return curve


def _short(error: BaseException) -> str:
    return clean(str(error), 200) or type(error).__name__
