"""Texts of strangers: made harmless once where they come in, and escaped where a format gives letters a meaning."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

NAME, TEXT = 100, 10_000  # characters kept of a name, and of any other text
NAMES = (
    "name",
    "label",
    "budget",
    "dataset",
    "protocol",
    "version",
    "ablation_of",
)  # fields of a record
SPECIAL = re.compile(r"([\\`*_{}\[\]|~#])")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes a cell that begins so


def clean(text: str, most: int = TEXT) -> str:
    """The text in one line: line breaks and blanks of all kinds are one space each, what cannot be printed is ``?``.

    So no terminal obeys it, and every encoding of Unicode can hold it. Longer ones end in an ellipsis.
    """
    if not text.isprintable():
        text = "".join(
            " " if letter.isspace() else letter if letter.isprintable() else "?" for letter in text
        )
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cleaned(content: Any, key: str = "") -> Any:
    """JSON content with every text in it, keys too, as `clean` leaves it."""
    if isinstance(content, str):
        return clean(content, NAME if key in NAMES else TEXT)
    if isinstance(content, dict):
        return {clean(name): cleaned(value, name) for name, value in content.items()}
    return [cleaned(value) for value in content] if isinstance(content, list) else content


def csv_of(table: pd.DataFrame) -> str:
    """The table as CSV in which no text is a formula: one that begins like a formula gets an apostrophe before it."""
    shown = table.copy(deep=False)
    for column in shown.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in shown.dtypes]]:
        shown[column] = shown[column].map(_no_formula)
    return str(shown.to_csv(index=False))


def _no_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def markdown(text: str) -> str:
    """Text that Markdown shows as it stands, also inside a table."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
