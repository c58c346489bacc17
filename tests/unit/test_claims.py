"""The claims of the SF2F paper: invented records whose truth is known, and how often an answer is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sf2f_bench.report.claims import CLAIMS, answered_claims
from sf2f_bench.report.html import html_page
from sf2f_bench.report.markdown import claims_file
from sf2f_bench.results.records import ScoreRecord, load, load_all, save
from sf2f_bench.results.selection import groups
from tests.unit.record_factory import JUDGE, benchmark, record

N = 60
RECALL, SHORT, QUALITY, COPIED = (
    "recall@10/g100", "recall@10/g100/1.25s", "mutual-information-score/parts5", "copied-faces",
)  # fmt: skip
TWICE, HIGHER, BETTER, FUSER, SPEECH, GENDER, LINE, OWN = (claim.text for claim in CLAIMS)


def trained(folder, name, recall, seed=0, short=None, quality=3.0, copied=0.0, luck=0.01, **changes):
    """A saved record of a system whose people are as easy and hard as everybody's, and whose training had some luck."""
    easy = 0.1 * np.random.default_rng(1).standard_normal(N)
    random = np.random.default_rng([seed, *name.encode()])
    chance = luck * random.standard_normal()
    levels = {RECALL: recall + chance, SHORT: (recall if short is None else short) + chance, QUALITY: quality}
    columns = {
        f"{metric}|{JUDGE}": level + easy + 0.05 * random.standard_normal(N)
        for metric, level in levels.items()
    }
    columns[f"{COPIED}|{JUDGE}"] = np.full(N, copied)
    scores = [
        ScoreRecord(
            metric=column.split("|")[0],
            version=1,
            extractor=JUDGE,
            extractor_role="judge",
            value=float(values.mean()),
            n=N,
            interval=(max(0.0, float(values.mean()) - 0.04), float(values.mean()) + 0.04),
            higher_is_better=True,
            basis="mean",
        )
        for column, values in columns.items()
    ]
    made = record(name, scores=scores, seed=seed, **{"width": None if luck == 0.0 else 0.25, **changes})
    frame = pd.DataFrame({"identity": [f"id{i:02d}" for i in range(N)], **columns})
    return load(save(made, folder, frame))


def field(folder, seeds=(0, 1, 2), fused=0.5, plain=0.4, rival=0.2, **more):
    """SF2F with and without fuser, voice2face, and the anchors that the claims name."""
    made = []
    for seed in seeds:
        made += [
            trained(folder, "sf2f-64-fuser", fused, seed, short=0.3, quality=3.5, **more),
            trained(folder, "sf2f-64", plain, seed, **more),
            trained(folder, "voice2face-64", rival, seed, quality=2.0, **more),
        ]
    anchors = {"gender-oracle": 0.2, "gender-age-oracle": 0.3, "linear-listener": 0.7}
    return made + [trained(folder, name, recall, luck=0.0, how="own") for name, recall in anchors.items()]


def answers(made):
    """Claim -> finding, of the only group and budget."""
    (group,) = groups(made)
    (found,) = answered_claims(group).values()
    return {one.text: one for one in found}


def test_each_claim_is_answered_by_what_is_true_of_the_records(tmp_path):
    found = answers(field(tmp_path))
    assert {text: one.verdict for text, one in found.items()} == {
        TWICE: "supported",  # .5 against .2
        HIGHER: "supported",
        BETTER: "supported",
        FUSER: "supported",
        SPEECH: "supported",
        GENDER: "supported",  # the gender alone, not the gender with the age
        LINE: "contradicted",
        OWN: "supported",
    }
    assert found[HIGHER].effect.value == pytest.approx(0.3, abs=0.05)
    assert found[TWICE].effect.value == pytest.approx(0.1, abs=0.05)
    assert found[LINE].effect.value < 0
    assert found[GENDER].compared.endswith("of gender-oracle; n = 60, 3 seeds")
    assert "2 x .1" in found[TWICE].compared


def test_less_than_twice_is_contradicted_though_it_is_higher(tmp_path):
    found = answers(field(tmp_path, fused=0.3))
    assert (found[TWICE].verdict, found[HIGHER].verdict) == ("contradicted", "supported")


def test_copies_are_held_against_the_alarm_of_the_metric(tmp_path):
    assert answers(field(tmp_path, copied=0.5))[OWN].verdict == "contradicted"
    assert answers(field(tmp_path / "b", copied=0.04))[OWN].verdict == "cannot be told"


def test_too_few_seeds_give_an_interval_and_no_answer(tmp_path):
    found = answers(field(tmp_path, seeds=(0, 1)))
    assert found[HIGHER].answer == "cannot be told: needs three training seeds a side; has 2 and 2"
    assert found[GENDER].answer == "cannot be told: needs three training seeds; has 2"
    assert found[HIGHER].effect.p is None
    assert found[HIGHER].effect.interval[0] > 0


def test_what_was_not_run_is_said_with_the_command(tmp_path):
    found = answers([trained(tmp_path, "sf2f-64", 0.4, seed) for seed in range(3)])
    assert found[HIGHER].answer == (
        "not measured: needs sf2f-64-fuser and voice2face-64: `sf2f-bench run --budget default -m sf2f-64-fuser -m "
        "voice2face-64`"
    )
    assert found[GENDER].verdict == "not measured"
    assert found[OWN].verdict == "supported"


def test_budgets_are_answered_apart_and_ablations_each_by_itself(tmp_path):
    made = field(tmp_path)
    made += [trained(tmp_path, "sf2f-64-fuser", 0.5, seed, budget="long") for seed in range(3)]
    made += [
        trained(tmp_path, name, level, seed, ablation_of="sf2f-64-fuser", change=change)
        for seed in range(3)
        for name, level, change in (("a", 0.3, "without L1 loss"), ("b", 0.5, "with plain encoder"))
    ]
    (group,) = groups(made)
    found = answered_claims(group)
    assert list(found) == ["budget default, width 0.25", "budget long, width 0.25"]
    parts = {one.text: one.verdict for one in found["budget default, width 0.25"][len(CLAIMS) :]}
    assert parts == {
        "SF2F has a higher recall than SF2F without L1 loss": "supported",
        "SF2F has a higher recall than SF2F with plain encoder": "cannot be told",
    }
    assert len(found["budget long, width 0.25"]) == len(CLAIMS)


def test_nothing_is_claimed_of_unpaired_data_or_without_sf2f(tmp_path):
    unpaired = trained(tmp_path, "sf2f-64", 0.4, benchmark=benchmark(paired=False))
    other = trained(tmp_path / "b", "voice2face-64", 0.4)
    for made in (unpaired, other):
        (group,) = groups([made])
        assert answered_claims(group) == {}
        assert "no claim can be tested" in claims_file([group])
        assert "Claims of the SF2F paper" not in html_page([group], [{}])


def test_page_and_file_show_every_claim_with_its_numbers(tmp_path):
    found = groups(field(tmp_path))
    (claims,) = answered_claims(found[0]).values()
    page, text = html_page(found, [{}]), claims_file(found)
    for one in claims:
        assert one.text in page
        assert one.measured in page
        assert f"| {one.text} | **{one.verdict}" in text
    assert "hq-voxceleb-64" in text
    assert "`" not in text
    assert "invented" in text


def test_equal_systems_are_seldom_called_unlike(tmp_path):
    """Over worlds where the fuser does nothing: of new seeds and new people, at most one in twenty, and some luck."""
    wrong = 0
    for world in range(60):
        random = np.random.default_rng(world)
        made = [
            trained(tmp_path / f"{world}", name, 0.4 + 0.03 * random.standard_normal(), seed)
            for name in ("sf2f-64-fuser", "sf2f-64")
            for seed in range(3)
        ]
        wrong += answers(made)[FUSER].verdict != "cannot be told"
    assert wrong <= 7  # P(> 7 of 60 | .05) is .01


def test_a_verdict_needs_q_and_interval(tmp_path):
    """A difference that is shown by itself and no longer among many claims is not called shown."""
    from sf2f_bench.report.claims import _judged

    effect = answers(field(tmp_path))[HIGHER].effect
    assert _judged(CLAIMS[1], effect, 0.01).verdict == "supported"
    assert _judged(CLAIMS[1], effect, 0.06).verdict == "cannot be told"
    around = replace(effect, interval=(-0.01, 0.5))
    assert _judged(CLAIMS[1], around, 0.01).verdict == "cannot be told"


ROWS = ("synthetic-64", "synthetic-128", "long-64")  # folders of which the committed report is made


def test_the_committed_page_is_that_of_the_committed_records():
    reference = Path(__file__).parents[2] / "results" / "reference"
    records = [one for name in ROWS for one in load_all(reference / name)]
    kept = (reference / "claims.md").read_text(encoding="utf-8")
    assert kept == claims_file(groups(records)), "copy claims.md of sf2f-bench report"
