"""One generic registry: lazy ``module:Name`` targets, entry points, "did you mean"."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

from sf2f_bench.types import BenchError, ExtractorCard


class Registry:
    """Names to objects, imported only when asked for.

    kind: what an entry is ("model"), for messages; group: the entry-point group that extends it.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group

    def targets(self) -> dict[str, str]:
        """``{name: "module:Name"}`` of every installed plug-in, sorted by name."""
        return dict(sorted((entry.name, entry.value) for entry in entry_points(group=self.group)))

    def __iter__(self) -> Iterator[str]:
        return iter(self.targets())

    def get(self, name: str) -> Any:
        """The object behind a name. Raises BenchError with the nearest names when there is none."""
        targets = self.targets()
        if name not in targets:
            raise BenchError(unknown(self.kind, name, list(targets)))
        module, _, attribute = targets[name].partition(":")
        return getattr(importlib.import_module(module), attribute)


def unknown(kind: str, name: str, known: list[str]) -> str:
    """The message for a name that is not known: the nearest ones, else all of them."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(known)}."
    return f"unknown {kind} {name!r}: {hint}"


MODELS = Registry("model", "sf2f_bench.models")
DATASETS = Registry("data set", "sf2f_bench.datasets")
EXTRACTORS = Registry("extractor", "sf2f_bench.extractors")  # a family by its first part: "deepface:Dlib"
ATTRIBUTE_JUDGES = Registry("attribute judge", "sf2f_bench.attribute_judges")
METRICS = Registry("set of metrics", "sf2f_bench.metrics")  # (gallery size, ks, identities) -> list of Metric


def extractor_named(name: str) -> Any:
    """The extractor of that name; ``deepface:Dlib`` is made by the family `deepface`.

    Raises BenchError for an unknown name, Unavailable where its weights or its package are not on this machine.
    """
    return EXTRACTORS.get(name.partition(":")[0])(name)


def extractor_card(name: str, registry: Registry = EXTRACTORS) -> ExtractorCard:
    """The card of an extractor (or of a judge, by its registry), which is not made: its weights may be missing.

    One made under several names has a class method ``card_of(name)``, any other a class attribute `card`; a
    plug-in without either gets the defaults. Raises BenchError for an unknown name.
    """
    made_by = registry.get(name.partition(":")[0])
    if hasattr(made_by, "card_of"):
        return made_by.card_of(name)
    return getattr(made_by, "card", ExtractorCard())
