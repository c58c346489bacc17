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


@cached_per_group
def unjudged(group: Group) -> set[str]:
    """The systems without enough validations to tell, in any stage of any seed, by their name in `Group.by_system`."""
    curves = {
        name: [curve for record in runs.records if (curve := record.curve()) is not None]
        for name, runs in systems_of(group).items()
        if runs.seeds
    }
    return {name for name, found in curves.items() if not any(_ends(found).values())}


def unconverged_entries(group: Group) -> set[Entry]:
    """The entries of these systems, all seeds of each."""
    return {entry for name in unconverged(group) for entry in group.by_system[name]}


def still_rising(curves: Iterable[pd.DataFrame]) -> Rise | None:
    """The first stage of a system that still rose when it ended, in the mean over the curves of its seeds.

    A straight line is laid through the last `LAST` validations of a stage (least squares). It rises where it gains more
    than `SHARE` of its end and more than `SMALLEST`. Stages with fewer validations are not judged.
    """
    rises = (_rise(stage, ends) for stage, ends in _ends(curves).items() if ends)
    return next(filter(None, rises), None)


def _ends(curves: Iterable[pd.DataFrame]) -> dict[str, list[FloatArray]]:
    """By stage, the last `LAST` validations of each seed that has so many."""
    stages: dict[str, list[FloatArray]] = {}
    for curve in curves:
        if SIMILARITY not in curve:
            continue
        for stage, part in curve.groupby("stage", sort=False):
            end = part[SIMILARITY].dropna().to_numpy()[-LAST:]
            stages.setdefault(str(stage), []).extend([end] if len(end) == LAST else [])
    return stages


def _rise(stage: str, ends: Sequence[FloatArray]) -> Rise | None:
    slope, start = np.polyfit(np.arange(LAST), np.mean(ends, axis=0), 1)
    end = start + slope * (LAST - 1)
    return Rise(stage, float(start), float(end)) if end - start > max(SMALLEST, SHARE * end) else None
