"""`sf2f-bench list`: what there is to run and to measure with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sf2f_bench.types import ModelCard


@click.command(name="list")
@click.argument(
    "kind",
    required=False,
    metavar="[KIND]",
    type=click.Choice(["models", "metrics", "extractors", "datasets"]),
)
def list_command(kind: str | None) -> None:
    """Show benchmarks, systems, anchors, metrics, data sets and extractors.

    With a KIND (models, metrics, extractors, datasets) what each is: version, licence, direction of a metric,
    whether the weights of an extractor are on this machine.
    """
    details: dict[str, Callable[[], Iterator[str]]] = {
        "models": _models,
        "metrics": _metrics,
        "extractors": _extractors,
        "datasets": _datasets,
    }
    for line in details[kind]() if kind else _names():
        click.echo(line)


def _names() -> Iterator[str]:
    """Everything by name; nothing is imported for it."""
    from sf2f_bench.benchmarks import ANCHORS, BENCHMARKS
    from sf2f_bench.registry import ATTRIBUTE_JUDGES, DATASETS, EXTRACTORS, METRICS, MODELS

    yield "benchmarks"
    for benchmark in BENCHMARKS.values():
        yield f"  {benchmark.name:<32}{benchmark.description}"
    models = MODELS.targets()
    groups = {
        "systems": {name: target for name, target in models.items() if name not in ANCHORS},
        "anchors": {name: target for name, target in models.items() if name in ANCHORS},
        "metrics, in sets": METRICS.targets(),
        "data sets": DATASETS.targets(),
        "extractors": EXTRACTORS.targets(),
        "attribute judges": ATTRIBUTE_JUDGES.targets(),
    }
    for title, entries in groups.items():
        yield title
        for name, target in entries.items():
            yield f"  {name:<32}{target}"
    yield "more of each: sf2f-bench list models, metrics, extractors or datasets"


def _models() -> Iterator[str]:
    from sf2f_bench.registry import MODELS

    for name in MODELS:
        card = _card_of(name)
        yield f"{name:<34}version {card.version}, {card.kind}, {card.licence}"
        yield f"  {card.description}"
        if card.reference:
            yield f"  {card.reference}"


def _card_of(name: str) -> ModelCard:
    """The card of a system at the picture size that it draws, or of an anchor."""
    from sf2f_bench.benchmarks import SYSTEMS
    from sf2f_bench.runs.systems import build
    from sf2f_bench.types import BenchError, ModelSettings

    *others, last = SYSTEMS
    for size in others:
        with suppress(BenchError):
            return build(name, ModelSettings(size)).card
    return build(name, ModelSettings(last)).card


def _metrics() -> Iterator[str]:
    """Of the default benchmark, by the set that brings them."""
    from sf2f_bench.benchmarks import benchmark_named
    from sf2f_bench.metrics.attributes import METRICS as OF_ATTRIBUTES
    from sf2f_bench.registry import METRICS

    benchmark = benchmark_named("synthetic-64")
    sets: dict[str, Any] = {
        name: METRICS.get(name)(benchmark.gallery_size, benchmark.ks, 300) for name in METRICS
    }
    for title, metrics in {**sets, "attributes": OF_ATTRIBUTES}.items():
        yield title
        for metric in metrics:
            better = "higher" if metric.higher_is_better else "lower"
            needs = ", ".join(getattr(metric, "needs", ("an attribute judge",)))
            yield f"  {metric.name:<34}version {metric.version}, {better} is better; needs {needs}; n >= {metric.min_n}"


def _extractors() -> Iterator[str]:
    from sf2f_bench.extractors.embedded import SPECS
    from sf2f_bench.extractors.weights import WeightFile, all_files, find
    from sf2f_bench.registry import EXTRACTORS

    files: dict[str, list[WeightFile]] = {}
    for file in all_files().values():
        for user in file.used_by:
            files.setdefault(user, []).append(file)
    for name in sorted({*EXTRACTORS, *files} - _families(files)):
        if name in SPECS:
            yield f"{name:<34}version {SPECS[name].version}, licence Apache-2.0, shipped with sf2f-bench"
            continue
        missing = [file.name for file in files.get(name, []) if find(file) is None]
        licences = "; ".join(dict.fromkeys(file.licence for file in files.get(name, []))) or "not stated"
        here = (
            f"NOT here: {', '.join(missing)}"
            if missing
            else "weights here"
            if name in files
            else "no known file"
        )
        yield f"{name:<34}version {_version_of(name)}, {here}"
        yield f"  licence: {licences}"
    yield "sf2f-bench weights list shows the files: source, size, checksum; sf2f-bench weights fetch NAME gets one"


def _families(files: Iterable[str]) -> set[str]:
    """Names that stand for several networks, such as deepface."""
    return {name.partition(":")[0] for name in files if ":" in name}


def _version_of(name: str) -> str:
    """The extractor's own; of a family, that of the package which brings it."""
    from importlib.metadata import PackageNotFoundError, version

    from sf2f_bench.registry import EXTRACTORS

    family = name.partition(":")[0]
    try:
        return str(getattr(EXTRACTORS.get(family), "VERSION", None) or version(family))
    except PackageNotFoundError:
        return "not stated"


def _datasets() -> Iterator[str]:
    from sf2f_bench.registry import DATASETS

    for name in DATASETS:
        card = DATASETS.get(name).card
        kind = ("real" if card.real else "synthetic") + ("" if card.paired else ", UNPAIRED")
        shown = "media may be shown" if card.media_shareable else "media may not be shown"
        yield f"{name:<34}version {card.version}, {kind}, {shown}"
        yield f"  {card.description}"
        yield f"  licence: {card.licence}"
