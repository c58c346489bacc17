"""The page of metrics, written from the metrics themselves: ``python -m docs.metrics_page > docs/metrics.md``.

A metric's docstring describes it; paragraphs that begin with a label of `LABELS` hold what a reader must know. Labels
that it leaves out are taken from the functions that its `Computed by` names. A test compares page and metrics.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sf2f_bench.benchmarks import BENCHMARKS
from sf2f_bench.metrics import attributes, suite, traits
from sf2f_bench.metrics.lengths import AtLength, with_curve
from sf2f_bench.metrics.subgroups import known_subgroups, with_subgroups
from sf2f_bench.protocols.bench import scoring
from sf2f_bench.protocols.names import BENCH, DISTURBANCES, DRAWS, PAPER, SECONDS
from sf2f_bench.protocols.paper import metrics as paper

LABELS = ("Formula", "Range", "Direction", "Source", "Pitfall", "Computed by")
LABEL = re.compile(rf"^({'|'.join(LABELS)}): ", re.MULTILINE)
REFERENCE = re.compile(r"`(\w+)\.(\w+)`")
EXAMPLE = "synthetic-64"  # its galleries and ks are in the names on the page
TEST_IDENTITIES = 300  # of the example
FAMILIES = {  # by the module that computes a metric; each module's docstring introduces what follows
    "Retrieval": ("retrieval",),
    "Matching and strata": ("matching", "precision"),
    "Similarity": ("similarity",),
    "Verification": ("verification",),
    "Recognisability": ("quality",),
    "Distributions": ("distribution", "manifold"),
    "Variety and copies": ("diversity",),
    "Several faces for one voice": ("draws",),
    "Attributes": ("attributes",),
    "Traits": ("traits",),
}
CELLS: dict[
    str, tuple[str, Callable[[Any], str]]
] = {  # of a metric's table: title, attribute, how it is written
    "version": ("version", lambda metric: str(metric.version)),
    "better": ("higher_is_better", lambda metric: "higher" if metric.higher_is_better else "lower"),
    "needs": ("needs", lambda metric: ", ".join(f"`{need}`" for need in metric.needs)),
}

HEAD = f"""# Metrics

<!-- Written by python -m docs.metrics_page from the metrics' docstrings. Change those, not this page. -->

Every metric as the records name it, with the galleries and ks of `{EXAMPLE}`. In formulas N is the number of test
identities that take part (n in the tables), D the number of features, C of classes. *Needs* says what an answer
(`ranking`, `embeddings`, `samples`, `probabilities`, `takes`) and the data (`photos`, `training_photos`, `G` gender,
`N` nationality, `A` age, `GNA` all three) must give; where they do not, the metric is absent with that reason. *At
least* is the smallest number of identities, from and to where it differs by name. A metric's version is raised by
any change that alters its value.

How to read them, and what misleads in each: [the instruments](instruments.md#metrics-of-sf2f-bench1). Which intervals
belong to them: [how sure](instruments.md#how-sure).
"""
INTRODUCTIONS = {
    BENCH: "By the judge, by the network of the training loss, and by every further network that is here.",
    PAPER: "As SF2F's published tables have them, for comparison in kind; the network of the training loss scores.",
}


@dataclass(frozen=True)
class Described:
    """What a docstring says: a summary, further text, and its labelled paragraphs."""

    summary: str
    body: str
    fields: dict[str, str]

    @classmethod
    def of(cls, thing: Any) -> Described:
        """Of a class or function. A labelled paragraph ends at the next label or at an empty line."""
        summary, _, rest = inspect.cleandoc(thing.__doc__ or "").partition("\n\n")
        body: list[str] = []
        fields: dict[str, str] = {}
        for paragraph in filter(None, rest.split("\n\n")):
            text, *labelled = LABEL.split(paragraph)
            fields.update(zip(labelled[::2], map(_one_line, labelled[1::2]), strict=True))
            body.append(_one_line(text))
        return cls(_one_line(summary), "\n\n".join(filter(None, body)), fields)


@dataclass(frozen=True)
class MetricFamily:
    """All metrics of one class: one section of the page."""

    kind: type
    metrics: tuple[Any, ...]

    @cached_property
    def described(self) -> Described:
        """What the class says."""
        return Described.of(self.kind)

    @cached_property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """What computes it, by ``module.name``. Raises AttributeError where the docstring names what is not there."""
        named = REFERENCE.findall(self.described.fields.get("Computed by", ""))
        return {
            f"{module}.{name}": getattr(importlib.import_module(f"sf2f_bench.metrics.{module}"), name)
            for module, name in named
        }

    def field(self, label: str) -> list[str]:
        """The labelled paragraph of the class, else those of the functions that compute it, after their names."""
        if label in self.described.fields:
            return [self.described.fields[label]]
        of_function = {name: Described.of(function).fields for name, function in self.functions.items()}
        found = {name: fields[label] for name, fields in of_function.items() if label in fields}
        return [f"`{name}`: {text}" if len(found) > 1 else text for name, text in found.items()]

    @property
    def module(self) -> str:
        """Of the last function that computes it, which the others prepare for; its own where there is none."""
        return (
            list(self.functions)[-1].partition(".")[0]
            if self.functions
            else self.kind.__module__.split(".")[-1]
        )


def metrics_of_protocol(protocol: str) -> list[Any]:
    """Every metric that a record of the protocol may hold, of this package alone: plug-ins have pages of their own."""
    benchmark = BENCHMARKS[EXAMPLE]
    settings = benchmark.gallery_size, benchmark.ks, TEST_IDENTITIES
    if protocol == PAPER:
        return list(paper.all_metrics(*settings))
    sets = (suite.identity_metrics, suite.face_metrics, suite.matching_metrics)
    own = (*scoring.OF_ONE_NETWORK.values(), *scoring.OF_GENERATED_ALONE.values())
    return [
        *(metric for make in sets for metric in make(*settings)),
        *attributes.METRICS,
        *traits.METRICS,
        *own,
        *scoring.all_metrics_of_draws(benchmark, TEST_IDENTITIES, DRAWS),
    ]


def families_of(protocol: str) -> list[MetricFamily]:
    """The metrics of a protocol by class, in the order of `FAMILIES`."""
    by_kind: dict[type, list[Any]] = {}
    for metric in metrics_of_protocol(protocol):
        by_kind.setdefault(type(metric), []).append(metric)
    found = [MetricFamily(kind, tuple(metrics)) for kind, metrics in by_kind.items()]
    places = [module for modules in FAMILIES.values() for module in modules]
    return sorted(found, key=lambda family: places.index(family.module))


def page() -> str:
    """The Markdown page of all metrics of both protocols."""
    parts = [HEAD]
    for protocol in (BENCH, PAPER):
        parts += [f"## Protocol {protocol}\n\n{INTRODUCTIONS[protocol]}\n"]
        families = families_of(protocol)
        for title, modules in FAMILIES.items():
            chosen = [family for family in families if family.module in modules]
            if chosen:
                parts += [f"### {title}\n", *(_introduction(modules) if protocol == BENCH else ())]
                parts += [_section(family) for family in chosen]
        if protocol == BENCH:
            parts += [
                _disturbances(metrics_of_protocol(BENCH)),
                _lengths(metrics_of_protocol(BENCH)),
                _subgroups(metrics_of_protocol(BENCH)),
            ]
    return "\n".join(parts)


def _introduction(modules: Iterable[str]) -> Iterator[str]:
    for module in modules:
        described = Described.of(importlib.import_module(f"sf2f_bench.metrics.{module}"))
        yield f"{described.summary}\n" + (f"\n{described.body}\n" if described.body else "")


def _section(family: MetricFamily) -> str:
    described = family.described
    lines = [f"#### {_words(family.kind.__name__)}\n", described.summary, ""]
    lines += [described.body, ""] if described.body else []
    lines += [f"- **{label}**: {text}" for label in LABELS[:5] for text in family.field(label)]
    for name, function in family.functions.items():
        lines.append(f"- **Computed by** `{name}`: {Described.of(function).summary}")
    return "\n".join([*lines, "", *_table(family.metrics), ""])


def _table(metrics: Sequence[Any]) -> Iterator[str]:
    """A line for all metrics that differ by name and smallest n alone; the columns are those that they state."""
    columns = {title: cell for title, (attribute, cell) in CELLS.items() if hasattr(metrics[0], attribute)}
    rows: dict[tuple[str, ...], list[Any]] = {}
    for metric in metrics:
        rows.setdefault(tuple(cell(metric) for cell in columns.values()), []).append(metric)
    sizes = ["at least"] if hasattr(metrics[0], "min_n") else []
    yield _row(["in the records", *columns, *sizes])
    yield _row(["---"] * (1 + len(columns) + len(sizes)))
    for cells, alike in rows.items():
        smallest = sorted({metric.min_n for metric in alike}) if sizes else []
        from_to = [" to ".join(str(n) for n in (smallest[0], smallest[-1])[: len(smallest)])] if sizes else []
        yield _row([", ".join(f"`{metric.name}`" for metric in alike), *cells, *from_to])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _lengths(metrics: Sequence[Any]) -> str:
    curves = with_curve(metrics)
    names = " and ".join(f"`{metric.name}`" for metric in curves)
    return (
        "### From the first seconds\n\n"
        f"{names} also of faces that were generated from the first seconds of speech alone, such as "
        f"`{AtLength(curves[0], SECONDS[0]).name}`.\n"
    )


def _disturbances(metrics: Sequence[Any]) -> str:
    names = " and ".join(f"`{metric.name}`" for metric in with_subgroups(metrics))
    return (
        f"### Disturbed voices\n\n{names} also from 5 s of disturbed speech of a gallery of test people: "
        f"{', '.join(DISTURBANCES)}. The waveform is disturbed, and the row's own front end hears it.\n"
    )


def _subgroups(metrics: Sequence[Any]) -> str:
    described = Described.of(importlib.import_module("sf2f_bench.metrics.subgroups"))
    names = ", ".join(f"`{one.name}`" for one in known_subgroups(metrics))
    return (
        f"### Subgroups\n\n{described.summary}\n\n{described.body}\n\n{names}, and each nationality of the data. "
        "The gap is the best subgroup's value less the worst one's; its interval allows for the choice of these two.\n"
    )


def _words(name: str) -> str:
    """``MeanReciprocalRank`` -> ``Mean reciprocal rank``, ``VerificationAUC`` -> ``Verification AUC``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]+", name)
    return " ".join([words[0], *(word if word.isupper() else word.lower() for word in words[1:])])


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    print(page(), end="")
