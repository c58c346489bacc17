"""docs/metrics.md is what the metrics say, and what they say is true of their code and of committed records."""

from __future__ import annotations

import inspect
import json
import re
import types
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from docs import weights_page
from docs.metrics_page import LABELS, Described, families_of, metrics_of_protocol, page
from sf2f_bench.protocols.names import BENCH, DISTURBANCES, PAPER
from sf2f_bench.types import Unavailable

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = [family for protocol in (BENCH, PAPER) for family in families_of(protocol)]
every_family = pytest.mark.parametrize(
    "family",
    FAMILIES,
    ids=lambda family: f"{family.kind.__module__.rpartition('.')[2]}.{family.kind.__name__}",
)
NUMBER = r"-?\d*\.?\d+"
INTERVAL = re.compile(rf"({NUMBER})\.\.(\S+?)(?=[;,. (]|$)|({NUMBER}) or more|(any number)")


def test_the_page_is_what_the_generator_prints():
    kept = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert kept == page(), "run: python -m docs.metrics_page > docs/metrics.md"


def test_the_page_of_reference_weights_is_what_the_generator_prints():
    kept = (ROOT / "results/reference/weights.md").read_text(encoding="utf-8")
    assert kept == weights_page.page(), "run: python -m docs.weights_page > results/reference/weights.md"


@every_family
def test_every_metric_says_what_a_reader_must_know(family):
    missing = [label for label in LABELS[:5] if not family.field(label)]
    assert not missing, f"{family.kind.__name__} and what computes it say nothing of {missing}"
    assert {"Range", "Direction", "Pitfall"} <= set(family.described.fields), "the class's own to say"
    assert family.described.summary.endswith(".")


@every_family
def test_the_direction_in_words_is_that_in_the_code(family):
    for metric in family.metrics:
        expected = "higher is better" if metric.higher_is_better else "lower is better"
        assert chosen(family.described.fields["Direction"], metric.name) == expected


@every_family
def test_the_functions_that_it_names_compute_it(family):
    # A Deviation is data beside its score: what computes it is reached from the module.
    is_computed = {"__call__", "_score"} & vars(family.kind).keys()
    owner = family.kind if is_computed else inspect.getmodule(family.kind)
    for name, function in family.functions.items():
        assert function in reached_from(owner), f"{family.kind.__name__} does not use {name}"


def test_what_a_docstring_says_is_taken_apart_by_its_labels():
    def toy():
        """The summary, over
        two lines.

        Text before.

        Range: 0..1; chance
        is .5. Direction: no label within a line.
        Source: somebody.

        Text after.
        """

    found = Described.of(toy)
    assert found.summary == "The summary, over two lines."
    assert found.body == "Text before.\n\nText after."
    assert found.fields == {
        "Range": "0..1; chance is .5. Direction: no label within a line.",
        "Source": "somebody.",
    }


# ---------------------------------------------------------------- the committed records


@cache
def reference_scores():
    """(protocol, metric, value, interval, n) of every committed record, as JSON has them."""
    found = []
    for path in sorted((ROOT / "results/reference").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for score in record.get("scores", []):
            protocol = record["benchmark"]["protocol"]
            found.append((protocol, score["metric"], score["value"], score["interval"], score["n"]))
    assert found
    return found


def test_every_metric_of_the_committed_records_is_described():
    known = {
        protocol: {metric.name for metric in metrics_of_protocol(protocol)} for protocol in (BENCH, PAPER)
    }
    seconds = re.compile(r"/[\d.]+s$")
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for protocol, metric, *_ in reference_scores():
        whole, _, part = seconds.sub("", metric).rpartition("/")
        described = seconds.sub("", metric) in known[protocol] or f"`{metric}`" in page  # of a subgroup
        described |= whole in known[protocol] and part in DISTURBANCES and part in page
        assert described, f"{metric} of {protocol} is not on the page"


@every_family
def test_committed_values_lie_in_the_stated_range(family):
    protocol = PAPER if family.kind.__module__.endswith(".paper") else BENCH
    names = {metric.name for metric in family.metrics}
    for of_protocol, name, value, interval, n in reference_scores():
        if of_protocol == protocol and name in names:
            low, high = bounds(family.described.fields["Range"], name, n)
            ends = [value, *(interval or ())]
            assert low - 1e-9 <= min(ends), f"{name} {ends} below {low}"
            assert max(ends) <= high + 1e-9, f"{name} {ends} above {high}"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("0..1; chance .5", "recall@1/g100", (0, 1)),
        ("-1..1 (cosine), 0 or more (l1, l2).", "l2/one-segment", (0, np.inf)),
        ("-1..1 (cosine), 0 or more (l1, l2).", "cosine", (-1, 1)),
        ("1..n; chance (n + 1) / 2.", "median-rank/full", (1, 7)),
        ("1..min(C, n / parts).", "mutual-information-score/parts5", (1, np.inf)),
        ("any number; 0 on average", "kernel-distance", (-np.inf, np.inf)),
    ],
)
def test_a_range_in_words_is_read(text, name, expected):
    assert bounds(text, name, 7) == expected


def bounds(text: str, name: str, n: int) -> tuple[float, float]:
    """The ends of a range in words; n is a number, what else is no number is infinite."""
    low, high, at_least, anything = INTERVAL.search(chosen(text, name)).groups()
    if anything:
        return -np.inf, np.inf
    if at_least:
        return float(at_least), np.inf
    return float(low), float(n) if high == "n" else float(high) if re.fullmatch(NUMBER, high) else np.inf


def chosen(text: str, name: str) -> str:
    """Of ``this (names), that (other names)`` the words for a metric; the words themselves where no names follow."""
    for words, names in re.findall(r"(?:^|, )([^,;(]+?) \(([^)]+)\)", text.partition(";")[0]):
        if name.partition("/")[0] in names.split(", "):
            return words
    return text.rstrip(".")


# ---------------------------------------------------------------- what code reaches


def reached_from(owner) -> set:
    """Every function and class of the package that the code of a class, function or module may call."""
    found: set = set()
    waiting = [owner]
    while waiting:
        thing = waiting.pop()
        for next_thing in neighbours(thing):
            if next_thing not in found:
                found.add(next_thing)
                waiting.append(next_thing)
    return found


def neighbours(thing) -> list:
    if isinstance(thing, types.ModuleType | type):
        return [own(value) for value in vars(thing).values() if own(value) is not None]
    scope, found = thing.__globals__, []
    names = {name for code in codes(thing.__code__) for name in code.co_names}
    for name in names:
        value = scope.get(name)
        if isinstance(value, types.ModuleType) and value.__name__.startswith("sf2f_bench"):
            found += [getattr(value, other, None) for other in names]
        elif isinstance(value, dict):
            found += value.values()
        else:
            found.append(value)
    return [own(value) for value in found if own(value) is not None]


def own(value):
    """The function or class behind a value, where it is one of the package; behind caches and properties too."""
    value = inspect.unwrap(value) if callable(value) else value
    value = value.fget if isinstance(value, property) else value
    kind = isinstance(value, types.FunctionType | type) and value is not Unavailable
    return value if kind and value.__module__.startswith("sf2f_bench") else None


def codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)
