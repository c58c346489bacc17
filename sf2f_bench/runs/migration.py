"""From records of schema 1, whose readers decided by names, to schema 2, which keeps a card of everything.

Records without checksums of their side files get them.

Cards come from the installed packages: metrics for the record's gallery, ks and number of identities, systems and
extractors by name. Unknown names get the default card, and the outcome says so. Everything else stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.evaluation.attribute_judges import AttributeProbe
from sf2f_bench.extractors.embedded import TRAITS, TraitReader
from sf2f_bench.metrics.common import card_of
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.registry import ATTRIBUTE_JUDGES, EXTRACTORS, MODELS, Registry, extractor_card
from sf2f_bench.results.records import SCHEMA_VERSION, RunRecord, parse, read_record_json, seals_of, write
from sf2f_bench.runs.recording import system_part
from sf2f_bench.runs.systems import build
from sf2f_bench.types import BenchError, ExtractorCard, MetricCard, ModelCard, ModelSettings

Content = dict[str, Any]  # of a record's JSON


@dataclass(frozen=True)
class Outcome:
    """The result for one file. unknown: the names that got a default card; fault: why it could not be migrated."""

    path: Path
    text: str
    unknown: tuple[str, ...] = ()
    fault: str = ""


def migrate(path: Path) -> Outcome:
    """Bring one record to schema 2 with checksums, in place and atomically; any other file stays as it is."""
    try:
        content = read_record_json(path)
        if not isinstance(content, dict) or "scores" not in content:
            return Outcome(path, "not a result record: left alone")
        if content.get("schema_version") == SCHEMA_VERSION:
            return _sealed(path, content)
        if content.get("schema_version") != 1:
            raise BenchError(f"expected schema version 1, got {content.get('schema_version')!r}")
        migrated, unknown = migrated_content(path, content)
        migrated = _with_seals(path, migrated)
    except BenchError as error:
        return Outcome(path, "", fault=str(error).removeprefix(f"{path}: "))
    write(path, migrated)
    counts = f"{len(migrated['metrics'])} metrics, {len(migrated['extractors'])} extractors"
    return Outcome(path, f"migrated: {counts}", tuple(unknown))


def _sealed(path: Path, content: Content) -> Outcome:
    """Of a record of the present schema. Raises BenchError for one that is not valid, or without its side files."""
    if parse(path, content).files.sha256:
        return Outcome(path, f"already of schema {SCHEMA_VERSION}: left alone")
    write(path, _with_seals(path, content))
    return Outcome(path, "sealed: checksums of its side files were added")


def _with_seals(path: Path, content: Content) -> Content:
    files = content["files"]
    return {**content, "files": {**files, "sha256": seals_of(path.parent, files)}}


def migrated_content(path: Path, content: Content) -> tuple[Content, list[str]]:
    """The content of a schema 1 record as schema 2 has it, and the names that got a default card.

    Raises BenchError where the result is no valid record.
    """
    old = parse(path, {**content, "schema_version": SCHEMA_VERSION})
    unknown: list[str] = []
    card = _installed_card(old)
    if card is None:
        unknown.append(f"system {old.system.name}")
    system = content["system"] | (_of_card(old, card) if card else {})
    metrics, extractors = _metric_cards(old, unknown), _extractor_cards(old, unknown)
    new = old.model_copy(update={"metrics": metrics, "extractors": extractors})
    cards = new.model_dump(mode="json", include={"metrics", "extractors"})
    found = {**content, **cards, "system": system, "schema_version": SCHEMA_VERSION}
    parse(path, found)
    return found, unknown


def _metric_cards(record: RunRecord, unknown: list[str]) -> dict[str, MetricCard]:
    part = record.benchmark
    benchmark = Benchmark(part.name, part.dataset, gallery_size=part.gallery_size, ks=part.ks)
    metrics = protocol_named(part.protocol).metrics(benchmark, part.identities.test)
    known = {metric.name: card_of(metric) for metric in metrics}
    names = list(dict.fromkeys(score.metric for score in record.scores))
    unknown += [f"metric {name}" for name in names if name not in known]
    names += [absent.metric for absent in record.absent if absent.metric in known]
    return {name: known.get(name, MetricCard()) for name in names}


# ---------------------------------------------------------------- extractors


def _extractor_cards(record: RunRecord, unknown: list[str]) -> dict[str, ExtractorCard]:
    scored = [score.extractor for score in record.scores if score.extractor]
    found: dict[str, ExtractorCard] = {}
    for id_ in dict.fromkeys([*record.weights, *scored]):
        card = _extractor_card(id_)
        if card is None:
            unknown.append(f"extractor {id_}")
        found[id_] = card or ExtractorCard()
    return found


def _extractor_card(id_: str) -> ExtractorCard | None:
    """Of the extractor or attribute judge with this id; None for one that is not installed."""
    if id_.startswith("probe/"):
        return AttributeProbe.card
    if id_.startswith(f"{TRAITS.name}/"):
        return TraitReader.card
    for registry in (EXTRACTORS, ATTRIBUTE_JUDGES):
        try:
            if name := _registered(id_, registry):
                return extractor_card(name, registry)
        except BenchError:  # a family that makes no extractor of this name
            continue
    return None


def _registered(id_: str, registry: Registry) -> str | None:
    """The name of ``inception-2015/1@...``, ``deepface:Dlib`` of ``deepface-0.0.102:Dlib@...``."""
    head = id_.partition("@")[0].partition("/")[0]
    family, colon, network = head.partition(":")
    fitting = [name for name in registry if re.fullmatch(rf"{re.escape(name)}(-[\d.]+)?", family)]
    return f"{max(fitting, key=len)}{colon}{network}" if fitting else None


# ---------------------------------------------------------------- systems


def _installed_card(record: RunRecord) -> ModelCard | None:
    """The card of the installed system or anchor of this name; None where there is none."""
    name = record.system.name
    registered, at, _ = name.partition("@")  # weights that were not trained here
    if registered not in MODELS.targets():
        return None
    settings = ModelSettings(record.benchmark.image_size, record.budget, width=record.system.width)
    try:
        card = build(registered, settings).card
    except BenchError:  # it cannot be made so any more
        return None
    return replace(card, name=name, trained_on="not trained here") if at else card


def _of_card(record: RunRecord, card: ModelCard) -> Mapping[str, Any]:
    """The fields that schema 1 did not have, and the label, which now says in words what the name says in code.

    Nothing that schema 1 knows was trained first without being a system.
    """
    texts = {"name", "kind", "version", "licence", "reference", "description", "limits", "source"}
    known = {*texts, "width", "trained_first"}
    return {field: value for field, value in system_part(card).items() if field not in known}
