"""Invented result records: for tests only, their numbers mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.metrics.common import card_of
from sf2f_bench.protocols.catalogue import protocol_of_records
from sf2f_bench.registry import ATTRIBUTE_JUDGES, MODELS, extractor_card
from sf2f_bench.results.records import (
    AbsentScore,
    BenchmarkPart,
    Cost,
    Environment,
    IdentityCounts,
    RunRecord,
    ScoreRecord,
    SideFiles,
    SystemPart,
    load,
    save,
)
from sf2f_bench.runs.recording import system_part
from sf2f_bench.runs.systems import build
from sf2f_bench.types import ExtractorCard, MetricCard, ModelCard, ModelSettings, with_width

JUDGE = "embedded-judge-0123456789ab"
LOSS = "embedded-perceptual-ba9876543210"
INCEPTION = "inception-2015/1@6726825d/bilinear-299"
VGGFACE2 = "vggface2-resnet50/1@a77b8fc1/bilinear-224"
DLIB = "deepface:Dlib/1@0d0e4a1c/150x150"
ATTRIBUTE_JUDGE = "deepface:attributes/1@9c1f2d3e/224x224"
KS = (1, 2, 5, 10, 20, 50)
FACES = ("id00", "id01", "id02", "id03")
ANCHORS = {  # name -> (recall@10, how it is scored)
    "chance": (0.1, "own"),
    "gender-oracle": (0.2, "own"),
    "mean-face": (0.1, "faces"),
    "nearest-training-face": (0.39, "faces"),
    "linear-listener": (0.66, "embeddings"),
    "shared-factor-oracle-face": (0.62, "faces"),
    "shared-factor-oracle-embedding": (0.69, "embeddings"),
    "real-photo-oracle": (1.0, "faces"),
}


def benchmark(**changes) -> BenchmarkPart:
    fields = {
        "name": "synthetic-64",
        "version": "1",
        "protocol": "sf2f-bench/1",
        "dataset": "synthetic",
        "dataset_version": "1",
        "data_hash": "1a2b3c4d5e6f7081",
        "image_size": 64,
        "paired": True,
        "real": False,
        "media_shareable": True,
        "identities": IdentityCounts(train=1000, val=100, test=300),
        "gallery_size": 100,
        "ks": KS,
        "segments": 20,
    }
    return BenchmarkPart(**fields | changes)


def scores(recall: float, how: str, width: float = 0.065, judge: str = JUDGE) -> list[ScoreRecord]:
    """Scores that a row with this recall@10 might have."""
    made = []
    extractors = [(None, "none")] if how == "own" else [(judge, "judge"), (LOSS, "training-loss")]
    for extractor, role in extractors:
        level = min(1.0, recall * (1.25 if role == "training-loss" else 1.0))
        exact = how == "own"

        def add(metric, value, half=None, spread=None, higher=True, extractor=extractor, role=role):
            interval = None if half is None else (value - half, value + half)
            made.append(
                ScoreRecord(
                    metric=metric,
                    version=1,
                    extractor=extractor,
                    extractor_role=role,
                    value=value,
                    n=300,
                    interval=interval,
                    spread=spread,
                    higher_is_better=higher,
                )
            )

        for k in KS:
            value = min(1.0, level * (k / 10) ** 0.6)
            add(f"recall@{k}/g100", value, None if exact else min(width, value, 1 - value))
        add("recall@10/full", level / 2.5, None if exact else width / 2)
        add("median-rank/full", 150 * (1 - level) + 1, None if exact else 9.5, higher=False)
        add("mrr/full", level / 3, None if exact else 0.02)
        if how in ("faces", "embeddings"):
            add("cosine", level / 1.5 - 0.1, 0.021)
            add("verification-auc", 0.5 + level / 2.1, 0.02)
        if how == "faces":
            add("mutual-information-score/parts5", 2 + 10 * level, None, 0.31)
            add("frechet-distance", 1.2345 * (2 - level), 0.1, higher=False)
            add("kernel-distance", 0.0123 * (1.5 - level), 0.001, higher=False)
    return made


def instrument_scores(recall: float, how: str, lengths: bool = False) -> list[ScoreRecord]:
    """What a row with this recall@10 might score beside `scores`; lengths: as a system, by length of speech too."""
    exact = how == "own"
    made: list[ScoreRecord] = []

    def add(metric, value, half=None, by=JUDGE, n=300, higher=True, basis="mean"):
        role = "none" if exact else {JUDGE: "judge", LOSS: "training-loss"}.get(by, "further")
        made.append(
            ScoreRecord(
                metric=metric,
                version=1,
                extractor=None if exact else by,
                extractor_role=role,
                value=value,
                n=n,
                interval=None if exact or half is None else (value - half, value + half),
                higher_is_better=higher,
                basis=None if exact else basis,
            )
        )

    level = 0.5 + recall / 2.2
    add("matching/1:2", level, 0.02)
    add("matching/1:10", recall, 0.04)
    add("map/photos", recall / 4, 0.015)
    add("verification-eer", 1 - level, 0.02, higher=False, basis="replicates")
    for letter, n, loss in (("G", 300, 0.0), ("A", 281, 0.3), ("GNA", 112, 0.15)):
        within = 0.1 + (recall - 0.1) * 0.6 * (1 - loss) if recall != 0.2 or letter != "G" else 0.1
        add(f"matching/1:2/{letter}", 0.5 + within / 2.5 - 0.04, 0.03, n=n)
        add(f"recall@10/g100/{letter}", within, 0.05, n=n)
    if lengths:
        for i, seconds in enumerate(("1.25", "2.5", "5", "10")):
            add(f"recall@10/g100/{seconds}s", recall * (0.6 + 0.1 * i), 0.04)
            add(f"cosine/{seconds}s", (recall / 1.5 - 0.1) * (0.6 + 0.1 * i), 0.021)
        add("consistency", 0.3 + recall / 2, 0.02)
        add("consistency-auc", 0.5 + recall / 2.5, 0.03)
    if how == "faces":
        _add_distribution_scores(add, recall)
    if how != "own":
        _add_further_scores(add, recall, how)
    return made


def _add_distribution_scores(add, recall: float) -> None:
    for metric, value in (("precision", 0.8), ("manifold-recall", 0.3), ("density", 0.9), ("coverage", 0.4)):
        add(f"{metric}/k5", min(1.0, value * (0.4 + recall)), 0.05, basis="replicates")
    add("frechet-distance/extrapolated", 1.1 * (2 - recall), 0.12, higher=False, basis="replicates")
    add("diversity", 0.5 + recall / 2, 0.03, basis="pseudo-values")
    add("effective-faces", 4 + 60 * recall, 3.2, basis="replicates")
    add("distinct-faces", min(0.99, 0.2 + recall), 0.01)
    add("copied-faces", 0.02, 0.015)


def _add_further_scores(add, recall: float, how: str) -> None:
    for by in (VGGFACE2, DLIB):
        for k in KS:
            add(f"recall@{k}/g100", min(0.95, 0.9 * recall * (k / 10) ** 0.6), 0.05, by)
        add("cosine", recall / 2, 0.02, by)
        add("verification-auc", 0.5 + recall / 2.2, 0.02, by, basis="pseudo-values")
    if how != "faces":
        return
    for by, scale in ((INCEPTION, 60.0), (VGGFACE2, 8.0), (DLIB, 0.4)):
        add("frechet-distance", scale * (2 - recall), scale / 20, by, higher=False, basis="replicates")
        add("frechet-distance/extrapolated", scale * (1.6 - recall), scale / 18, by, higher=False)
        add("kernel-distance", scale / 900 * (1.5 - recall), scale / 30000, by, higher=False)
        add("precision/k5", 0.7 * recall, 0.05, by, basis="replicates")
        add("manifold-recall/k5", 0.4 * recall, 0.05, by, basis="replicates")
    for by in (INCEPTION, VGGFACE2):
        add("mutual-information-score/parts5", 2 + 5 * recall, None, by)
    add("gender-agreement", min(0.99, 0.5 + recall), 0.01, ATTRIBUTE_JUDGE)
    add("ethnicity-agreement", min(0.99, 0.3 + recall / 2), 0.01, ATTRIBUTE_JUDGE)
    add("age-difference", 12.3 - 9 * recall, 0.6, ATTRIBUTE_JUDGE, higher=False)


def full_record(name: str = "sf2f-64", recall: float = 0.365, how: str = "faces", **changes) -> RunRecord:
    """One record with the numbers of every instrument."""
    lengths = how == "faces" and name not in ANCHORS
    every = [*scores(recall, how), *instrument_scores(recall, how, lengths)]
    return record(name, recall, how, scores=every, **changes)


def full_bench() -> list[RunRecord]:
    """All anchors, three systems (one with two seeds) and an ablation, every instrument."""
    made = [full_record(name, recall, how) for name, (recall, how) in ANCHORS.items()]
    for name, recall, seed in (("sf2f-64", 0.365, 0), ("sf2f-64", 0.42, 1), ("voice2face-64", 0.16, 0)):
        made += [full_record(name, recall, seed=seed, width=0.25)]
    return [*made, full_record("sf2f-64-without-gan", 0.33, width=0.25)]


def with_scores(made: RunRecord, values: dict[str, tuple[float, float, float]], by: str = JUDGE) -> RunRecord:
    """The record with other values and intervals: ``{metric: (value, low, high)}``."""

    def other(score: ScoreRecord) -> ScoreRecord:
        if score.extractor != by or score.metric not in values:
            return score
        value, *interval = values[score.metric]
        return score.model_copy(update={"value": value, "interval": tuple(interval)})

    assert set(values) <= {score.metric for score in made.scores if score.extractor == by}
    return made.model_copy(update={"scores": tuple(map(other, made.scores))})


def paper_scores(recall: float, how: str) -> list[ScoreRecord]:
    """Scores that a row with this recall@10 might have under sf2f-paper/1; "fused" draws fused faces."""
    made: list[ScoreRecord] = []
    runs = how in ("fused", "average")

    def add(metric, value, half=None, higher=True, n=300, role="training-loss"):
        made.append(
            ScoreRecord(
                metric=metric,
                version=1,
                extractor={"judge": JUDGE, "training-loss": LOSS, "none": None}[role],
                extractor_role=role,
                value=value,
                n=n,
                interval=None if half is None else (value - half, value + half),
                spread=half / 5 if runs and half else 0.07 if runs else None,
                higher_is_better=higher,
            )
        )

    for suffix, level in (("", recall), ("/one-segment", 0.8 * recall)):
        if suffix and not runs:
            break
        for k in KS:
            value = min(1.0, level * (k / 10) ** 0.6)
            role = "none" if how == "own" else "training-loss"
            half = None if how == "own" else min(0.05, value, 1 - value)
            add(f"recall@{k}/g100x3{suffix}", value, half, role=role)
        if how != "own":
            add(f"cosine{suffix}", level / 1.5, 0.02, n=378)
            add(f"l1{suffix}", 26 - 10 * level, 0.4, higher=False, n=378)
            add(f"l2{suffix}", 1.4 - level, 0.03, higher=False, n=378)
    for suffix in {"own": (), "embeddings": (), "fused": ("", "/fused")}.get(how, ("",)):
        add(f"mutual-information/5-parts{suffix}", 2 + 10 * recall, n=378, role="judge")
        add(f"mutual-information/5-parts{suffix}/deviation", 0.31, higher=False, n=378, role="judge")
    return made


def paper_record(
    name: str = "sf2f-64-fuser", recall: float = 0.365, how: str = "fused", **changes
) -> RunRecord:
    """One record of protocol sf2f-paper/1."""
    part = benchmark(protocol="sf2f-paper/1", identities=IdentityCounts(train=1000, val=100, test=378))
    return record(name, recall, how, benchmark=part, scores=paper_scores(recall, how), **changes)


SYSTEMS = {  # name -> recall@10: every system and ablation of a 64-pixel benchmark
    "sf2f-64": 0.365,
    "sf2f-64-fuser": 0.4,
    "voice2face-64": 0.16,
    "voice2face-wen": 0.21,
    "sf2f-64-without-l1": 0.36,
    "sf2f-64-without-gan": 0.37,
    "sf2f-64-without-identity": 0.385,
    "sf2f-64-without-perceptual": 0.28,
    "sf2f-64-plain-encoder": 0.39,
    "sf2f-64-plain-decoder": 0.33,
}


def record(name: str = "sf2f-64", recall: float = 0.365, how: str = "faces", **changes) -> RunRecord:
    """One record; a keyword replaces a field of it or of its parts."""
    kind = changes.pop("kind", "anchor" if name in ANCHORS else "system")
    width = changes.pop("width", 0.25 if name == "sf2f-64" else None)
    card = installed_card(name) or ModelCard(name, "1", kind, "")
    label = changes.pop("label", with_width(card.title or name, width))
    said = {field: changes.pop(field) for field in CARD_FIELDS if field in changes}
    how_absent = {
        "own": ["cosine", "frechet-distance", "mutual-information-score/parts5"],
        "embeddings": ["frechet-distance"],
    }
    absent = [
        AbsentScore(metric=metric, extractor=None, reason="the anchor draws no face")
        for metric in how_absent.get(how, [])
    ]
    hours = changes.pop("hours", 0)
    part, made = changes.pop("benchmark", benchmark()), changes.pop("scores", None) or scores(recall, how)
    fields = {
        "key": f"{abs(hash_of(name, changes)):016x}",
        "benchmark": part,
        "system": SystemPart(
            name=name,
            label=label,
            kind=kind,
            version="1",
            width=width,
            licence="Apache-2.0",
            description=f"An invented {kind}.",
            recipe={"steps": 1000, "betas": [0.9, 0.999]},
            **{field: value for field, value in system_part(card).items() if field in CARD_FIELDS} | said,
        ),
        "seed": 0,
        "budget": "default",
        "scores": made,
        "absent": absent,
        "metrics": metric_cards(part, [one.metric for one in (*made, *absent)]),
        "extractors": {one.extractor: extractor_card_of(one.extractor) for one in made if one.extractor},
        "environment": Environment(
            python="3.11.7",
            platform="Linux",
            torch="2.15",
            numpy="2.4",
            device="cpu",
            threads=2,
            package="0.1.0",
        ),
        "weights": {JUDGE: "0" * 64, LOSS: "1" * 64},
        "cost": Cost(wall_seconds=301.5, train_seconds=240.25, peak_memory_mb=812.5),
        "created": datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(hours=hours),
    }
    return RunRecord(**fields | changes)


CARD_FIELDS = (
    *("trained_on", "place", "order", "ablation_of", "change", "fitted_to", "tolerance", "purpose", "words"),
    "off_scale",
)


@lru_cache
def installed_card(name: str) -> ModelCard | None:
    """The card of the system where it is one of ours."""
    return build(name, ModelSettings(128 if "128" in name else 64)).card if name in MODELS else None


def metric_cards(part: BenchmarkPart, names) -> dict[str, MetricCard]:
    """Those of our metrics, for the benchmark's galleries; none for an invented name."""
    known = _known_metrics(part.protocol, part.gallery_size, part.ks, part.identities.test)
    return {name: known[name] for name in names if name in known}


@lru_cache
def _known_metrics(
    protocol: str, gallery: int, ks: tuple[int, ...], identities: int
) -> dict[str, MetricCard]:
    of = Benchmark("synthetic-64", "synthetic", gallery_size=gallery, ks=ks)
    return {one.name: card_of(one) for one in protocol_of_records(protocol).metrics(of, identities)}


@lru_cache
def extractor_card_of(id_: str) -> ExtractorCard:
    """Of one of our networks; the default for an invented one."""
    if id_ == ATTRIBUTE_JUDGE:
        return extractor_card("deepface:attributes", ATTRIBUTE_JUDGES)
    named = {JUDGE: "embedded-judge", LOSS: "embedded-perceptual", INCEPTION: "inception-2015"}
    named |= {VGGFACE2: "vggface2-resnet50", DLIB: "deepface:Dlib"}
    return extractor_card(named[id_]) if id_ in named else ExtractorCard()


def with_cards(made: RunRecord) -> RunRecord:
    """The record with the cards of the scores that it has now."""
    cards = {
        "metrics": metric_cards(made.benchmark, [one.metric for one in (*made.scores, *made.absent)]),
        "extractors": {
            one.extractor: extractor_card_of(one.extractor) for one in made.scores if one.extractor
        },
    }
    return RunRecord(**{field: getattr(made, field) for field in RunRecord.model_fields} | cards)


def hash_of(*parts) -> int:
    import zlib

    return zlib.crc32(repr(parts).encode()) << 32


def saved(
    made: RunRecord, folder: Path, faces: bool = False, curve: bool = False, recalls: object = None
) -> RunRecord:
    """Save with invented side files and load again; recalls ``[N]``: the judge's recall@10 of every identity."""
    random = np.random.default_rng(made.seed + len(made.system.name))
    recalls = random.random(10) if recalls is None else np.asarray(recalls)
    identities = [f"id{i:02d}" for i in range(len(recalls))]
    values = pd.DataFrame({"identity": identities, f"recall@10/g100|{JUDGE}": recalls})
    pictures = true_faces = None
    if faces:
        made = made.model_copy(update={"files": SideFiles(face_identities=FACES)})
        base = np.linspace(60, 230, 4)[:, None, None, None] + random.normal(0, 20, (4, 3, 64, 64))
        pictures = base.clip(0, 255).astype(np.uint8)
        true_faces = pictures[::-1].copy() if made.system.name == "real-photo-oracle" else None
    points = training_curve(random) if curve else None
    return load(save(made, folder, values, points, pictures, true_faces))


def training_curve(random: np.random.Generator) -> pd.DataFrame:
    steps = np.arange(10, 1001, 10)
    first = pd.DataFrame({"stage": "generator", "step": steps})
    for i, name in enumerate(("pixel", "perceptual", "gan_image", "identity", "discriminator_image")):
        first[name] = 3.0 / (i + 1) * (0.2 + np.exp(-steps / 300)) * random.uniform(0.9, 1.1, len(steps))
    fuser = first.iloc[::2].assign(stage="fuser", discriminator_image=np.nan)
    return pd.concat([first, fuser], ignore_index=True)


def full_run(folder: Path) -> list[RunRecord]:
    """All anchors and two systems, saved with faces and curves."""
    made = [
        saved(record(name, recall, how), folder, faces=how == "faces")
        for name, (recall, how) in ANCHORS.items()
    ]
    made.append(saved(record("sf2f-64", 0.365), folder, faces=True, curve=True))
    made.append(saved(record("voice2face", 0.16), folder, faces=True, curve=True))
    return made
