"""`sf2f-bench judge-traits`, for a network of the package and for a stranger's that sees one trait alone."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from sf2f_bench.commands.main import main

BLIND = """
import torch

class Brightness:
    recognises = True
    id, sha256 = "brightness/1", "0" * 64

    def __init__(self, name=""):
        pass

    def __call__(self, images):
        means = images.float().mean(dim=(2, 3)) / 255
        return torch.cat([means, torch.ones(len(images), 1)], dim=1), None
"""


def shown(*words):
    return CliRunner().invoke(main, ["judge-traits", *map(str, words)])


def test_a_network_of_colour_means_sees_colours_and_no_shapes(tmp_path):
    (tmp_path / "blind.py").write_text(BLIND)
    result = shown(f"{tmp_path / 'blind.py'}:Brightness", "--people", 150, "--json", tmp_path / "seen.json")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "seen.json").read_text())
    seen = {row["trait"]: row for row in facts["traits"]}
    assert (facts["extractor"], facts["people"], len(seen)) == ("brightness/1", 150, 20)
    assert seen["skin_tone"]["r2"] > 0.3
    assert seen["eye_spacing"]["r2"] < 0.1
    for row in seen.values():
        assert row["interval"][0] <= row["r2"] <= row["interval"][1]
    assert "skin tone" in result.output


def test_the_judge_sees_skin_better_than_the_distance_of_the_eyes(tmp_path):
    result = shown("embedded-judge", "--people", 200, "--json", tmp_path / "seen.json")
    assert result.exit_code == 0, result.output
    seen = {row["trait"]: row["r2"] for row in json.loads((tmp_path / "seen.json").read_text())["traits"]}
    assert seen["skin_tone"] > 0.5 > seen["eye_spacing"]


@pytest.mark.parametrize(
    ("words", "said"), [(["embeded-judge"], "did you mean"), (["embedded-judge", "--people", 9], "50")]
)
def test_what_cannot_be_probed_is_refused(words, said):
    result = shown(*words)
    assert result.exit_code != 0
    assert said in result.output
    assert "Traceback" not in result.output
