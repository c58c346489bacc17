"""The held-out likelihood of `tests.statistics.likelihood`, and what the committed page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.statistics.likelihood import WORSE, fld, law

PAGE = Path(__file__).parents[2] / "results/reference/likelihood.md"


def test_faces_far_from_all_photos_are_less_likely():
    random = np.random.default_rng(0)
    training, test, faces = law(random, 200), law(random, 60), law(random, 60)
    near = fld(training, test, faces)
    assert near < fld(training, test, faces + 1.0)
    assert near == pytest.approx(fld(training + 5, test + 5, faces + 5))


def test_a_gaussian_of_known_width_has_its_likelihood():
    random = np.random.default_rng(1)
    training, test = (random.standard_normal((4000, 1)) for _ in range(2))
    centre = np.zeros((2, 1))  # two equal Gaussians are one
    expected = 50 * (1 + np.log(2 * np.pi))
    scaled = np.log(training.std()) * 100  # the features were divided by their standard deviation
    assert fld(training, test, centre + training.mean()) + scaled == pytest.approx(expected, abs=8)


def test_the_page_shows_what_the_documentation_says():
    rows = dict(re.findall(r"^\| (.+?) \| (\d+) % \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(rows) == set(WORSE)
    assert int(rows["spread of .9"]) == 0
    assert int(rows["copies of training photos"]) == 100
