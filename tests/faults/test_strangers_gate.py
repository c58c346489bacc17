"""A stranger's metric that decides and anchor with a tolerance: one file each, judged and validated like our own."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from sf2f_bench.commands.check import check as check_command
from sf2f_bench.commands.validate import validate as validate_command
from sf2f_bench.gate import check
from sf2f_bench.gate.rules import rules_of
from sf2f_bench.runs.systems import build
from sf2f_bench.testing import check_anchor, check_metric
from sf2f_bench.types import Answer, ModelSettings
from tests.faults.planting import swapped
from tests.faults.test_planted_regressions import CARD, changed, evaluation, faces_of, fallen, record
from tests.plugins import install

__all__ = ["evaluation"]  # a fixture

METRIC = '''
"""How many others a generated face is nearer to its own person than to."""
from dataclasses import dataclass, field
import numpy as np
from sf2f_bench import BenchError, Score
from sf2f_bench.types import Margin, MetricCard


@dataclass(frozen=True)
class Nearer:
    """Mean share of others that are further from a generated face than its own person; 0..1."""

    name: str = "nearer"
    version: int = 1
    higher_is_better: bool = True
    needs: tuple[str, ...] = ("embeddings",)
    min_n: int = 2
    card: MetricCard = field(
        default_factory=lambda: MetricCard(
            "nearer",
            heading="nearer",
            bounds=(0.0, 1.0),
            margin=Margin(0.1, "a tenth"),
            decides=("judge",),
            smooth=False,
        )
    )

    def __call__(self, real, fake, rng):
        if len(real.identities) < 2:
            raise BenchError("nearer needs two identities.")
        squares = ((fake.embeddings[:, None] - real.embeddings[None]) ** 2).sum(axis=2)
        shares = (squares > np.diagonal(squares)[:, None] + 1e-9).sum(axis=1) / (len(squares) - 1)
        return Score(float(shares.mean()), len(shares), None, shares)


def metrics(gallery_size, ks, identities):
    return [Nearer()]
'''
ANCHOR = '''
"""One training photo for everybody."""
import numpy as np
from sf2f_bench import Answer, ModelCard


class OnePhoto:
    card = ModelCard(
        "one-photo", "1", "anchor", "the first training photo for everybody", place="floor", order=50, tolerance=1e-4
    )

    def applies(self, evaluation):
        return None

    def answer(self, evaluation):
        photo = next(iter(evaluation.train_faces))[0]
        return Answer(faces=np.repeat(photo[None], len(evaluation.identities), axis=0))
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder in which the stranger's package is installed."""
    folder = tmp_path_factory.mktemp("strangers")
    groups = {
        "sf2f_bench.metrics": {"nearer": "their_metric:metrics"},
        "sf2f_bench.models": {"one-photo": "their_anchor:OnePhoto"},
    }
    files = {"their_metric.py": METRIC, "their_anchor.py": ANCHOR}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(install(folder / "site", "strangers", files, groups))
        yield folder


@pytest.fixture(scope="module")
def reference(installed, evaluation):
    """Three seeds of the acted system, and the stranger's anchor."""
    folder = installed / "reference-runs"
    add_anchor(evaluation, folder)
    for seed in range(3):
        record(evaluation, folder, CARD, Answer(faces=faces_of(evaluation, seed)), seed)
    return folder


def add_anchor(evaluation, folder):
    anchor = build("one-photo", ModelSettings(64))
    record(evaluation, folder, anchor.card, anchor.answer(evaluation))


def test_they_keep_their_contracts(installed):
    from their_anchor import OnePhoto
    from their_metric import Nearer

    check_metric(Nearer())
    check_anchor(OnePhoto)


def test_the_metric_decides_by_its_own_margin(reference, evaluation, tmp_path):
    new, spoilt = tmp_path / "new", tmp_path / "spoilt"
    faces = faces_of(evaluation, 11)
    record(evaluation, new, CARD, Answer(faces=faces), 11)
    record(evaluation, spoilt, CARD, Answer(faces=np.roll(faces, 1, axis=0)), 11)
    for folder in (new, spoilt):
        add_anchor(evaluation, folder)
    honest = check(new, reference)
    (line,) = (line for line in honest.deciding if line.metric == "nearer")
    assert line.margin == 0.1
    assert not honest.regressions
    assert "nearer" in fallen(check(spoilt, reference))
    assert "nearer" not in fallen(check(spoilt, reference, rules_of(["nearer=1"])))
    printed = CliRunner().invoke(check_command, [str(spoilt), "--against", str(reference)]).output
    assert "nearer by the judge is worse" in " ".join(printed.split())


def test_the_anchor_checks_the_instrument(reference, evaluation, tmp_path):
    same = tmp_path / "same"
    add_anchor(evaluation, same)
    assert check(same, reference).instrument.anchors == ("one-photo",)
    assert not check(same, reference).instrument.deviations
    other = tmp_path / "other"
    add_anchor(changed(evaluation, tmp_path, eyes=swapped), other)
    found = check(other, reference)
    assert {deviation.anchor for deviation in found.instrument.deviations} == {"one-photo"}
    assert found.exit_code == 1
    again = shutil.copytree(other, tmp_path / "again")
    assert check(again, other).instrument.missing == ()


def test_both_are_validated_by_their_cards(reference, tmp_path):
    copy = shutil.copytree(reference, tmp_path / "copy")
    done = CliRunner().invoke(validate_command, [str(copy)])
    assert done.exit_code == 0, done.output
    assert "one-photo, seed 0" in done.output
    (path,) = copy.glob("acted-seed0-*.json")
    content = json.loads(path.read_text())
    for score in content["scores"]:
        if score["metric"] == "nearer":
            score["interval"] = [0.0, 1.5]
    path.write_text(json.dumps(content))
    done = CliRunner().invoke(validate_command, [str(copy)])
    assert done.exit_code == 1
    assert "1.5 is outside the metric's bounds, 0.0 to 1.0" in done.output
