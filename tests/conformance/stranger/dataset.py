"""A stranger's data set: few people, of the embedded world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sf2f_bench import DatasetSource, Photo, Utterance
from sf2f_bench.data.synthetic import SyntheticWorld

PEOPLE = {"train": 24, "val": 3, "test": 32}


class FewPeople(SyntheticWorld):
    """Two recordings and two photos each."""

    card = replace(SyntheticWorld.card, name="few-people", description="few people of the embedded world")

    def __init__(self, source: DatasetSource) -> None:
        super().__init__(replace(source, limits=PEOPLE))

    def utterances(self, identity: str) -> Sequence[Any]:
        """The first two."""
        found: Sequence[Utterance] = super().utterances(identity)[:2]
        return found

    def photos(self, identity: str) -> Sequence[Any]:
        """The first two."""
        found: Sequence[Photo] = super().photos(identity)[:2]
        return found

    def fingerprint(self) -> str:
        """The world's, for two of each."""
        return f"two of each, {super().fingerprint()}"
