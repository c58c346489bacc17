"""The rule every data set has to keep, that nobody is in two splits, and a user's wish for fewer people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TypeVar

from sf2f_bench.types import SPLITS, BenchError

Person = TypeVar("Person")

NAMED_AT_MOST = 5


def check_disjoint(splits: Mapping[str, Iterable[str]]) -> None:
    """Raise BenchError, naming the identities, where two splits share one.

    A system that heard or saw a test identity in training is scored on its memory.
    """
    members = {split: set(ids) for split, ids in splits.items()}
    for one, other in combinations(members, 2):
        if shared := sorted(members[one] & members[other]):
            named = ", ".join(shared[:NAMED_AT_MOST])
            more = f" and {len(shared) - NAMED_AT_MOST} more" if len(shared) > NAMED_AT_MOST else ""
            raise BenchError(
                f"splits {one!r} and {other!r} share {len(shared)} identities ({named}{more}); "
                "expected every identity in one split only: move each to one of them."
            )


def limited(splits: Mapping[str, list[Person]], limits: Mapping[str, int]) -> dict[str, list[Person]]:
    """Each split's first people, as many as `limits` allows. Raises BenchError for a limit that makes no sense."""
    for split, limit in limits.items():
        if split not in SPLITS or limit < 1:
            raise BenchError(
                f"a limit names one of {', '.join(SPLITS)} and at least 1 identity, not {split!r}: {limit}."
            )
    return {split: people[: limits.get(split)] for split, people in splits.items()}


def people_of(splits: Mapping[str, list[Person]], split: str, empty: str) -> list[Person]:
    """The people of one split. Raises BenchError for an unknown split, and with `empty` for one without people."""
    if split not in splits:
        raise BenchError(f"expected a split of {', '.join(splits)}, got {split!r}.")
    if not splits[split]:
        counts = ", ".join(f"{name} {len(people)}" for name, people in splits.items())
        raise BenchError(f"split {split!r} has no identity (found: {counts}). {empty}")
    return splits[split]
