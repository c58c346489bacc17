"""Whether a system's validation still rose when its training ended, by the curves of its records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from sf2f_bench.results.seed_runs import systems_of
from sf2f_bench.results.selection import Entry, Group, cached_per_group
from sf2f_bench.types.curve import SIMILARITY

if TYPE_CHECKING:
    from sf2f_bench.types import FloatArray

LAST = 4  # validations of a stage that are looked at, of ten
SHARE = 0.1  # of the similarity at the end: a smaller rise over these validations counts as none
SMALLEST = 0.01  # cosine: nor does a rise below it, which is the noise of a system that hears nothing


class Rise(NamedTuple):
    """That a stage still rose. start, end: of the straight line through its last validations."""

    stage: str
    start: float
    end: float


@cached_per_group
def unconverged(group: Group) -> dict[str, Rise]:
    """The systems of a group whose validation still rose at the end, by their name in `Group.by_system`."""
    found = {}
    for name, runs in systems_of(group).items():
        curves = [record.curve() for record in runs.records if runs.seeds]
        if rise := still_rising(curve for curve in curves if curve is not None):
            found[name] = rise
    return found


def unconverged_entries(group: Group) -> set[Entry]:
    """The entries of these systems, all seeds of each."""
    return {entry for name in unconverged(group) for entry in group.by_system[name]}


def still_rising(curves: Iterable[pd.DataFrame]) -> Rise | None:
    """The first stage of a system that still rose when it ended, in the mean over the curves of its seeds.

    A straight line is laid through the last `LAST` validations of a stage (least squares). It rises where it gains more
    than `SHARE` of its end and more than `SMALLEST`. Stages with fewer validations are not judged.
    """
    stages: dict[str, list[FloatArray]] = {}
    for curve in curves:
        if SIMILARITY not in curve:
            continue
        for stage, part in curve.groupby("stage", sort=False):
            stages.setdefault(str(stage), []).append(part[SIMILARITY].dropna().to_numpy()[-LAST:])
    for stage, ends in stages.items():
        if rise := _rise(stage, [end for end in ends if len(end) == LAST]):
            return rise
    return None


def _rise(stage: str, ends: Sequence[FloatArray]) -> Rise | None:
    if not ends:
        return None
    slope, start = np.polyfit(np.arange(LAST), np.mean(ends, axis=0), 1)
    end = start + slope * (LAST - 1)
    return Rise(stage, float(start), float(end)) if end - start > max(SMALLEST, SHARE * end) else None
