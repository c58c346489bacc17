"""Scores as rows of one table, for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from sf2f_bench.results.records import RunRecord, ScoreRecord


def tidy(records: Sequence[RunRecord]) -> pd.DataFrame:
    """One row a score, unrounded, with all that decides what it may be compared with."""
    return pd.DataFrame(
        [_of_record(record) | _of_score(score) for record in records for score in record.scores]
    )


def _of_record(record: RunRecord) -> dict[str, Any]:
    part, system = record.benchmark, record.system
    return {
        "benchmark": part.name,
        "benchmark_version": part.version,
        "protocol": part.protocol,
        "dataset": part.dataset,
        "dataset_version": part.dataset_version,
        "data_hash": part.data_hash,
        "image_size": part.image_size,
        "gallery_size": part.gallery_size,
        "paired": part.paired,
        "system": system.name,
        "label": system.label,
        "kind": system.kind,
        "seed": record.seed,
        "budget": record.budget,
        "key": record.key,
        "created": record.created.isoformat(),
    }


def _of_score(score: ScoreRecord) -> dict[str, Any]:
    low, high = score.interval or (None, None)
    return {
        "metric": score.metric,
        "metric_version": score.version,
        "extractor": score.extractor,
        "extractor_role": score.extractor_role,
        "value": score.value,
        "n": score.n,
        "lower": low,
        "upper": high,
        "spread": score.spread,
        "higher_is_better": score.higher_is_better,
        "basis": score.basis,
    }
