"""Which of the systems of a group can be told apart by the headline metric, and the ranks that each may have."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats

from sf2f_bench.files import seed_of
from sf2f_bench.results.seed_runs import MIN_SEEDS, Key, SeedRuns, other_identities, pair_of, systems_of
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.statistics.paired import SIGNIFICANT, compare_scores


class Ranks(NamedTuple):
    """The best and the worst rank that a system may have; 1 is the best of all."""

    best: int
    worst: int

    def __str__(self) -> str:
        """``2``, or ``1–3`` where it cannot be told."""
        return f"{self.best}" if self.best == self.worst else f"{self.best}–{self.worst}"


@cached_per_group
def ranks(group: Group) -> dict[str, Ranks]:
    """Of every system with the headline metric and three training seeds, by its name in `Group.by_system`.

    Every pair of them is compared, paired by identity, for new people and new seeds
    (`sf2f_bench.statistics.paired`), and all pairs are corrected together after Benjamini and Hochberg. Of N systems,
    one has at best the rank 1 + (number of systems shown to be better, q < .05), and at worst the rank N - (number of
    systems shown to be worse). Ranks from pairwise differences:
    Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for Ranks".
    """
    keys = {name: key for name in group.by_system if (key := _headline_key(group, name))}
    enough = {name for name, runs in systems_of(group).items() if len(runs.seeds) >= MIN_SEEDS}
    systems = {name: runs for name, runs in systems_of(group).items() if name in keys and name in enough}
    pairs = {
        (a, b): _difference(systems[a], systems[b], keys[a], keys[b]) for a, b in combinations(systems, 2)
    }
    tested = {pair: found for pair, found in pairs.items() if found}
    q = stats.false_discovery_control([p for _, p in tested.values()]) if tested else []
    better: dict[str, int] = dict.fromkeys(systems, 0)
    worse: dict[str, int] = dict.fromkeys(systems, 0)
    for ((a, b), (effect, _)), corrected in zip(tested.items(), q, strict=True):
        if corrected < SIGNIFICANT:
            winner, loser = (a, b) if effect > 0 else (b, a)
            better[loser] += 1
            worse[winner] += 1
    return {name: Ranks(1 + better[name], len(systems) - worse[name]) for name in systems}


def _headline_key(group: Group, name: str) -> Key | None:
    """The headline metric by the network of the verdicts; None for anchors, ablations, and where some seed lacks it."""
    entries = group.by_system[name]
    if entries[0].zone != "system":
        return None
    score = entries[0].score(group.headline, group.protocol.headline_role)
    key = (score.metric, score.extractor) if score else None
    return key if key in systems_of(group)[name].scores else None


def _difference(a: SeedRuns, b: SeedRuns, left: Key, right: Key) -> tuple[float, float] | None:
    """How much better a is than b, and its p; None where the two do not pair."""
    if not (a.are_saved and b.are_saved) or other_identities(a, b):
        return None
    pair = pair_of(a, b, left, right)
    if isinstance(pair, str):
        return None
    found = compare_scores(*pair, np.random.default_rng(seed_of(left[0], "ranks")))
    sign = 1 if a.scores[left][0].higher_is_better else -1
    return sign * found.effect, found.p
