"""The rule every data set has to keep: nobody is in two splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from sf2f_bench.types import BenchError

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
