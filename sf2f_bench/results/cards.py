"""Cards in the JSON of a record: only what they state, a line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

CARDS = ("metrics", "extractors")  # the record's fields that map a name to a card


def stated(card: Any) -> Any:
    """The fields of a card (or of a part of it) that are not their default, so that a record stays small."""
    if not is_dataclass(card) or isinstance(card, type):
        return dict(card) if isinstance(card, Mapping) else card
    return {
        part.name: stated(value)
        for part in fields(card)
        if (value := getattr(card, part.name)) != _default(part)
    }


def _default(part: Field[Any]) -> Any:
    return part.default if part.default_factory is MISSING else part.default_factory()


def text_of(content: Mapping[str, Any]) -> str:
    """The JSON of a record's content: a line a card, everything else indented."""
    lines: dict[str, str] = {}

    def placeholder(part: str, name: str, card: object) -> str:
        mark = f"<card of {part} {name}>"
        lines[json.dumps(mark)] = json.dumps(card, sort_keys=True, allow_nan=False)
        return mark

    marked = {
        part: {name: placeholder(part, name, card) for name, card in content[part].items()} for part in CARDS
    }
    text = json.dumps({**content, **marked}, indent=2, sort_keys=True, allow_nan=False) + "\n"
    for mark, card in lines.items():
        text = text.replace(mark, card, 1)
    return text
