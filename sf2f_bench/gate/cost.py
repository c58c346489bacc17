"""Training time and memory against the reference runs, with wide margins: machines differ and are shared."""

from __future__ import annotations

from dataclasses import dataclass

from sf2f_bench.results.seed_runs import SeedRuns

LIMITS = {"train_seconds": 2.0, "peak_memory_mb": 1.5}  # times the worst reference run
WORDS = {"train_seconds": ("training", "s"), "peak_memory_mb": ("peak memory", "MB")}


@dataclass(frozen=True)
class Excess:
    """A cost beyond its limit."""

    system: str
    what: str
    reference: float
    new: float
    limit: float

    def __str__(self) -> str:
        name, unit = WORDS[self.what]
        return (
            f"{self.system}: {name} took {self.new:.0f} {unit}, {self.new / self.reference:.1f} times the worst "
            f"reference run ({self.reference:.0f} {unit}); the limit is {self.limit:g} times"
        )


def excesses(new: SeedRuns, reference: SeedRuns) -> list[Excess]:
    """The costs of the cheapest new run that are beyond the limits; none unless all ran on one kind of device."""
    if len({record.environment.device for record in (*new.records, *reference.records)}) > 1:
        return []
    found = []
    for what, limit in LIMITS.items():
        now = min(getattr(record.cost, what) for record in new.records)
        before = max(getattr(record.cost, what) for record in reference.records)
        if now > limit * before > 0:
            found.append(Excess(reference.name, what, before, now, limit))
    return found
