"""What scoring an answer gives, whatever the protocol: the lists of a record and the columns of its tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
from pydantic import ValidationError

from sf2f_bench.metrics.common import card_of
from sf2f_bench.registry import place_of
from sf2f_bench.registry.sources import source_of
from sf2f_bench.results import records
from sf2f_bench.results.parts import own_column_of
from sf2f_bench.results.recomputation import out_of_bounds
from sf2f_bench.statistics.paired import Basis
from sf2f_bench.types import BenchError, MetricCard, Role, Score


class NamedMetric(Protocol):
    """What a record says of a metric."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def higher_is_better(self) -> bool: ...  # noqa: D102


class Identified(Protocol):
    """An extractor or an attribute judge, as far as a record names it."""

    id: str


def role_of(key: str) -> Role:
    """The role that a record states for an extractor: its key in `Evaluation.extractors`, or "further"."""
    return cast("Role", key) if key in ("judge", "training-loss") else "further"


@dataclass
class Scores:
    """What scoring an answer gives: the record's lists, its notes and the per-identity table's columns.

    A column is shorter than the table where a metric leaves out the last identities.
    """

    scores: list[records.ScoreRecord] = field(default_factory=list)
    absent: list[records.AbsentScore] = field(default_factory=list)
    cards: dict[str, MetricCard] = field(default_factory=dict)  # by the metric's name
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    replicates: dict[str, np.ndarray] = field(default_factory=dict)
    curves: dict[str, np.ndarray] = field(default_factory=dict)  # columns of `RunRecord.det_cmc`
    rows: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def add_absent(self, metric: NamedMetric, extractor: str | None, reason: str) -> None:
        """Take up that a metric could not be computed by the extractor of this id, and why."""
        self._add_card(metric)
        self.absent.append(records.AbsentScore(metric=metric.name, extractor=extractor, reason=reason))

    def add(
        self, metric: NamedMetric, result: Score, extractor: Identified | None, role: Role = "none"
    ) -> None:
        """Take up a result by an extractor in its role, or (None) in an anchor's own space.

        Raises BenchError for one that no record can hold: of nobody, not a number, with a turned interval, beyond the
        bounds on its metric's card, or with other than n values of identities.
        """
        self._add_card(metric)
        column = records.column_of(metric.name, extractor.id if extractor else None)
        basis: Basis | None = None
        if result.per_identity is not None:
            basis, self.columns[column] = result.basis, result.per_identity
        elif result.replicates is not None:
            basis, self.replicates[column] = "replicates", result.replicates
        if result.own is not None:
            self.columns[own_column_of(column)] = result.own
        try:
            score = records.ScoreRecord(
                metric=metric.name,
                version=metric.version,
                extractor=extractor.id if extractor else None,
                extractor_role=role,
                value=float(result.value),
                n=result.n,
                interval=result.interval and (float(result.interval[0]), float(result.interval[1])),
                spread=None if result.spread is None else float(result.spread),
                higher_is_better=metric.higher_is_better,
                basis=basis,
            )
            score._card = self.cards[metric.name]
            for fault in out_of_bounds(column, score):
                raise ValueError(fault)
            if result.per_identity is not None and (got := np.isfinite(result.per_identity).sum()) != score.n:
                raise ValueError(f"{column}: n = {score.n}, but {got} identities have a value")
        except ValueError as error:  # pydantic's are among these
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise BenchError(
                f"metric {metric.name}: {place_of(metric)} gave a score that no record can hold: {reason}"
            ) from error
        self.scores.append(score)

    def _add_card(self, metric: NamedMetric) -> None:
        self.cards[metric.name] = replace(card_of(metric), source=source_of(metric))
