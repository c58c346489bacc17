"""`sf2f-bench list`: what is installed to run and to measure with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sf2f_bench.commands.options import OUT_FILE, plain_table
from sf2f_bench.registry import owner_of

if TYPE_CHECKING:
    from sf2f_bench.types import ExtractorCard, ModelCard


WIDTH = 34  # of the column of names
WIDE = 140  # columns of a terminal that has room for all that is known of a metric
OWN = "sf2f-bench"  # the package itself


@click.command(name="list")
@click.argument(
    "kind",
    required=False,
    metavar="[KIND]",
    type=click.Choice(["models", "metrics", "extractors", "datasets"]),
)
@click.option(
    "--json", "json_file", type=OUT_FILE, help="Write all names by kind, with their packages, here too."
)
def list_command(kind: str | None, json_file: Path | None) -> None:
    """Show the names of benchmarks, systems, anchors, metrics, data sets and extractors.

    With a KIND (models, metrics, extractors, datasets), describe each: version, licence, what a metric measures and
    which direction is better, whether the weights of an extractor are on this machine.
    """
    if json_file:
        from sf2f_bench.files import write_json

        write_json(json_file, _installed())
    details = {"models": _models, "extractors": _extractors, "datasets": _datasets}
    if kind == "metrics":
        return _print_metrics()
    for line in details[kind]() if kind else _names():
        click.echo(line)
    return None


def _installed() -> dict[str, dict[str, str]]:
    """``{kind: {name: what it is, or the package that brings it}}``; nothing is imported for it."""
    from sf2f_bench.benchmarks import BENCHMARKS, WORLDS
    from sf2f_bench.registry import ATTRIBUTE_JUDGES, DATASETS, EXTRACTORS, METRICS, MODELS
    from sf2f_bench.runs.kept_weights import references

    groups = {
        "models (systems and anchors)": MODELS,
        "sets of metrics": METRICS,
        "data sets": DATASETS,
        "extractors": EXTRACTORS,
        "attribute judges": ATTRIBUTE_JUDGES,
    }
    worlds = {WORLDS[4]: "another synthetic world, by share of a face that is heard (0 to 1) and seed"}
    found = {"benchmarks": {one.name: one.description for one in BENCHMARKS.values()} | worlds}
    for title, registry in groups.items():
        found[title] = {name: owner_of(entry) for name, entry in registry.entries().items()}
    kept = {name: facts.get("source", "") for name, facts in references().items()}
    return found | ({"trained weights of the reference results, for --models": kept} if kept else {})


def _names() -> Iterator[str]:
    """Everything by name."""
    for title, names in _installed().items():
        yield title
        for name, what in names.items():
            own = what == OWN
            shown = what if title == "benchmarks" or "weights" in title else f"of the package {what}"
            yield f"  {name}" if own else f"  {name:<{WIDTH}}{shown}"
    yield "details of each: sf2f-bench list models, metrics, extractors or datasets"


def _described(names: Iterable[str], lines: Callable[[str], list[str]]) -> Iterator[str]:
    """The lines on each plug-in; its fault where it has one, so that the others are listed."""
    from sf2f_bench.types import BenchError

    for name in names:
        try:
            yield from lines(name)
        except BenchError as error:
            yield f"{name:<{WIDTH}}cannot be used: {error}"


def _models() -> Iterator[str]:
    from sf2f_bench.registry import MODELS

    def lines(name: str) -> list[str]:
        card = _card_of(name)
        place = f" ({card.place})" if card.kind == "anchor" else ""
        return [
            f"{name:<{WIDTH}}version {card.version}, {card.kind}{place}, {card.licence}",
            *([f"  {card.ablation_of} {card.change}"] if card.ablation_of else []),
            f"  {card.description}",
            f"  trained on: {card.trained_on}",
            *([f"  {card.reference}"] if card.reference else []),
        ]

    return _described(MODELS, lines)


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


def _print_metrics() -> None:
    """Of the default benchmark, by family, with what each measures; said once for those that follow each other."""
    from rich.console import Console
    from rich.text import Text

    from sf2f_bench.benchmarks import benchmark_named
    from sf2f_bench.metrics.attributes import METRICS as OF_ATTRIBUTES
    from sf2f_bench.metrics.common import card_of
    from sf2f_bench.metrics.traits import METRICS as OF_TRAITS
    from sf2f_bench.registry import installed_metrics

    benchmark = benchmark_named("synthetic-64")
    metrics: list[Any] = [
        *installed_metrics(benchmark.gallery_size, benchmark.ks, 300),
        *OF_ATTRIBUTES,
        *OF_TRAITS,
    ]
    families: dict[str, list[Any]] = {}
    for metric in metrics:
        families.setdefault(card_of(metric).family, []).append(metric)
    console = Console()
    headings = ["metric", "version", "better", "from n", "needs", "what it measures"]
    shown = headings if console.width >= WIDE else ["metric", "better", headings[-1]]
    table = plain_table(shown, whole=headings[:4])
    said = ""
    for family, members in families.items():
        table.add_row(family, style="bold")
        for metric in members:
            needs = ", ".join(getattr(metric, "needs", ("an attribute judge",)))
            better = "higher" if metric.higher_is_better else "lower"
            meaning = " ".join((inspect.getdoc(metric) or "").partition("\n\n")[0].split())
            new, said = "" if meaning == said else meaning, meaning
            cells = (f"  {metric.name}", metric.version, better, metric.min_n, needs, new)
            texts = dict(zip(headings, map(str, cells), strict=True))
            table.add_row(*(Text(texts[heading]) for heading in shown))
        table.add_section()
    console.print(table)


def _extractors() -> Iterator[str]:
    from sf2f_bench.extractors.embedded import SPECS
    from sf2f_bench.extractors.weights import WeightFile, all_files, find
    from sf2f_bench.registry import EXTRACTORS, family_of

    files: dict[str, list[WeightFile]] = {}
    for file in all_files().values():
        for user in file.used_by:
            files.setdefault(user, []).append(file)

    def lines(name: str) -> list[str]:
        if name in SPECS:
            facts = f"version {SPECS[name].version}, licence Apache-2.0, shipped with sf2f-bench"
            return [f"{name:<{WIDTH}}{facts}"]
        state = "weights found" if name in files else "no known file"
        if missing := [file.name for file in files.get(name, []) if find(file) is None]:
            state = f"missing: {', '.join(missing)}"
        licences = "; ".join(dict.fromkeys(file.licence for file in files.get(name, [])))
        card = _extractor_card(name)
        return [
            f"{name:<{WIDTH}}version {_version_of(name)}, {state}",
            f"  licence: {licences or card.licence}; trained on: {card.trained_on}",
        ]

    families = {
        family_of(name) for name in files if ":" in name
    }  # stand for several networks, such as deepface
    yield from _described(sorted({*EXTRACTORS, *files} - families), lines)
    yield "sf2f-bench weights list shows the files, sf2f-bench weights fetch FILE gets one"


def _extractor_card(name: str) -> ExtractorCard:
    """Of an extractor, or of a judge of the same family."""
    from sf2f_bench.registry import ATTRIBUTE_JUDGES, extractor_card, family_of
    from sf2f_bench.types import BenchError

    try:
        return extractor_card(name)
    except BenchError:
        if family_of(name) not in ATTRIBUTE_JUDGES.targets():
            raise
        return extractor_card(name, ATTRIBUTE_JUDGES)


def _version_of(name: str) -> str:
    """The extractor's own; of a family, that of the package which brings it."""
    from importlib.metadata import PackageNotFoundError, version

    from sf2f_bench.registry import EXTRACTORS, family_of

    family = family_of(name)
    try:
        return str(getattr(EXTRACTORS.get(family), "VERSION", None) or version(family))
    except PackageNotFoundError:
        return "not stated"


def _datasets() -> Iterator[str]:
    from sf2f_bench.registry import DATASETS

    def lines(name: str) -> list[str]:
        card = DATASETS.get(name).card
        kind = ("real" if card.real else "synthetic") + ("" if card.paired else ", UNPAIRED")
        shown = "media may be shown" if card.media_shareable else "media may not be shown"
        return [
            f"{name:<{WIDTH}}version {card.version}, {kind}, {shown}",
            f"  {card.description}",
            f"  licence: {card.licence}",
        ]

    return _described(DATASETS, lines)
