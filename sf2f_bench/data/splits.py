"""Splits of a data set: nobody is in two of them, and a user may limit their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TypeVar

from sf2f_bench.progress import first_few
from sf2f_bench.types import SPLITS, BenchError

Member = TypeVar("Member")


def check_disjoint(splits: Mapping[str, Iterable[str]]) -> None:
    """Raise BenchError, naming the identities, where two splits share one or a split has one twice.

    A system that heard or saw a test identity in training is scored on its memory; of two people under one id, one
    would get the other's recordings.
    """
    members: dict[str, set[str]] = {}
    for split, ids in splits.items():
        counts = Counter(ids)
        if twice := sorted(name for name, count in counts.items() if count > 1):
            raise BenchError(
                f"split {split!r} has {len(twice)} identities twice ({first_few(twice)}); expected an id for each "
                "person: give each its own, or merge them"
            )
        members[split] = set(counts)
    for one, other in combinations(members, 2):
        if shared := sorted(members[one] & members[other]):
            raise BenchError(
                f"splits {one!r} and {other!r} share {len(shared)} identities ({first_few(shared)}); "
                "expected every identity in one split only: move each to one of them."
            )


def limited(splits: Mapping[str, list[Member]], limits: Mapping[str, int]) -> dict[str, list[Member]]:
    """Each split's first people, at most as many as `limits` allows. Raises BenchError for an impossible limit."""
    for split, limit in limits.items():
        if split not in SPLITS or limit < 1:
            raise BenchError(
                f"a limit names one of {', '.join(SPLITS)} and at least 1 identity, not {split!r}: {limit}."
            )
    return {split: people[: limits.get(split)] for split, people in splits.items()}


def people_of(splits: Mapping[str, list[Member]], split: str, empty: str) -> list[Member]:
    """The people of one split. Raises BenchError for an unknown or empty split; empty: advice for the latter."""
    if split not in splits:
        raise BenchError(f"expected a split of {', '.join(splits)}, got {split!r}.")
    if not splits[split]:
        counts = ", ".join(f"{name} {len(people)}" for name, people in splits.items())
        raise BenchError(f"split {split!r} has no identity (found: {counts}). {empty}")
    return splits[split]
