"""A sample of the fault campaign over all kinds; ``python -m tests.faults.campaign`` runs all of it."""

from __future__ import annotations

import sys

import pytest

from tests.faults.campaign import BAD, campaign
from tests.faults.cases import catalogue

if sys.platform != "linux":
    pytest.skip("the campaign copies its process, and writes to devices", allow_module_level=True)

FEWEST = 588  # of the campaign that found the faults of which this one grew
EACH = 2  # cases of a kind
SLOW = (
    *("plug-ins", "caches", "sf2f-paper/1", "Dask", "faces to score", "controls", "options: values"),
    *("records: files", "metadata tables", "recordings"),
)  # kinds whose cases take seconds


def sample():
    """A few of each kind, spread evenly over it, and of kinds whose cases take seconds one."""
    kinds: dict[str, list] = {}
    for case in catalogue():
        if not case.apart:
            kinds.setdefault(case.kind, []).append(case)
    for kind, cases in kinds.items():
        count = 1 if kind in SLOW else EACH
        yield from (cases[(2 * number + 1) * len(cases) // (2 * count)] for number in range(count))


def test_the_catalogue_is_whole_and_says_why_anything_is_taken():
    cases = catalogue()
    assert len(cases) >= FEWEST
    for case in cases:
        assert not (case.justified and case.named)
        assert not case.justified or len(case.justified.split()) > 3, case
        assert not case.named or case.says, case


def test_a_sample_of_every_kind():
    with campaign() as run:
        outcomes = [run(case) for case in sample()]
    assert len(outcomes) >= 35
    assert not [(outcome.case.name, outcome.fault) for outcome in outcomes if outcome.found in BAD]
