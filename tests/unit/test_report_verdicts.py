"""The notes of the report: alarms that go off where they must and nowhere else, each thing said once."""

from __future__ import annotations

import numpy as np
import pytest
from record_factory import (
    JUDGE,
    LOSS,
    benchmark,
    full_bench,
    full_record,
    record,
    saved,
    with_cards,
    with_scores,
)
from test_report import said, shown

from sf2f_bench.report.notes import notes
from sf2f_bench.report.verdicts import share
from sf2f_bench.results.records import AbsentScore, Finding
from sf2f_bench.results.selection import groups
from sf2f_bench.statistics.paired import seeds_interval


def alarms(records):
    return [note.text for group in groups(records) for note in notes(group) if note.alarm]


def test_what_hearing_is_worth_with_what_other_people_would_reach():
    nothing = ": NOT shown to hear anything"
    for low, doubt in ((0.2, ""), (-0.01, nothing), (8e-19, nothing)):
        made = full_record()
        own = next(s for s in made.scores if s.metric == "recall@10/g100" and s.extractor == JUDGE)
        heard = own.model_copy(
            update={"metric": "heard@10/g100", "value": 0.266, "interval": (low, 0.32), "version": 1}
        )
        text = said([with_cards(made.model_copy(update={"scores": (*made.scores, heard)}))])
        assert (
            f"sf2f-64 (width 0.25): heard @10 g100 .266 ({share(low)} to .320){doubt}: recall@10 is .365, and .099 "
            "expected where each face is given to somebody else."
        ) in text
    assert "expected where each face" not in said([full_record()])


def test_collapse_is_an_alarm_for_systems_and_not_for_the_mean_face():
    few, photos = {"effective-faces": (7.0, 6.4, 7.6)}, full_record("real-photo-oracle", 1.0)
    true = photos.scores[[score.metric for score in photos.scores].index("effective-faces")].value
    assert true == 64
    (alarm,) = alarms(
        [with_scores(full_record(), few), with_scores(full_record("mean-face", 0.1), few), photos]
    )
    assert alarm.startswith(
        "sf2f-64 (width 0.25): effective faces 7.00 (6.40 to 7.60), below 12 % of the true photos' 64.0, distinct faces"
    )
    assert "has collapsed" in alarm
    assert not alarms([with_scores(full_record(), {"effective-faces": (7.5, 7.2, 7.8)}), photos])
    assert not alarms([with_scores(full_record(), few)])  # without true photos beside it nothing can be said


def test_networks_that_learned_from_synthetic_faces_are_an_alarm_with_real_photos_alone():
    real = benchmark(name="hq-voxceleb-64", dataset="hq-voxceleb", real=True)
    assert alarms([full_record(benchmark=real), full_record("mean-face", 0.1, benchmark=real)]) == [
        f"{network} was trained on synthetic faces: on real photos its numbers are no result."
        for network in (JUDGE, LOSS)
    ]
    photos = [
        score.model_copy(update={"extractor": (score.extractor or "").replace("embedded-", "facenet-")})
        for score in full_record().scores
    ]
    assert not alarms([with_cards(full_record(benchmark=real).model_copy(update={"scores": tuple(photos)}))])
    assert not alarms([full_record()])


def test_copying_is_an_alarm_for_systems_and_a_remark_for_anchors():
    many, unsure = {"copied-faces": (0.5, 0.44, 0.56)}, {"copied-faces": (0.09, 0.049, 0.14)}
    made = [
        with_scores(full_record(), many),
        with_scores(full_record("nearest-training-face", 0.39), many),
        with_scores(full_record("voice2face-64", 0.2), unsure),
    ]
    (alarm,) = alarms(made)
    assert alarm.startswith("sf2f-64 (width 0.25): copied faces .500 (.440 to .560), above .050: so many lie")
    assert "nearest-training-face: copied faces .500 (.440 to .560), above .050" in said(made)
    assert "expected here: this baseline shows training photos by design." in said(made)
    assert "voice2face-64: copied" not in said(made)


def fitted(judge=(0.19, 0.15, 0.23), loss=(0.45, 0.39, 0.51)):
    made = with_scores(full_record("voice2face-64", 0.2), {"recall@10/g100": judge})
    return with_scores(made, {"recall@10/g100": loss}, LOSS)


def honest(loss):
    """A linear listener with recall@10 of .5 by the judge."""
    made = with_scores(full_record("linear-listener", 0.5, "embeddings"), {"recall@10/g100": (0.5, 0.4, 0.6)})
    return with_scores(made, {"recall@10/g100": (loss, loss - 0.05, loss + 0.05)}, LOSS)


def test_a_system_that_fits_the_network_of_its_loss_sets_off_the_alarm():
    gender = full_record("gender-oracle", 0.2, "own")
    (alarm,) = alarms([gender, fitted(), honest(0.52)])
    assert alarm == (
        "voice2face-64 scores well only on the network it was trained with: recall@10 .450 (.390 to .510) by that "
        "network, .190 (.150 to .230) by the judge (linear-listener, fitted to neither: .520 and .500); knowing "
        "only the gender has .200."
    )
    assert alarms([gender, fitted()])  # no honest row to compare with
    unsure = [gender, fitted(loss=(0.27, 0.22, 0.32)), honest(0.52)]  # the two intervals overlap
    assert not alarms(unsure)
    assert "voice2face-64 may score well only on the network it was trained with: recall@10 .270" in said(
        unsure
    )
    assert alarms([fitted(judge=(0.1, 0.05, 0.14))])  # no gender oracle: chance is the bar


@pytest.mark.parametrize(
    ("system", "loss_of_honest_row"),
    [
        (fitted(judge=(0.4, 0.35, 0.45)), 0.52),  # both see about the same, more than the gender
        (fitted(loss=(0.24, 0.19, 0.29)), 0.52),  # neither does
        (fitted(), 0.85),  # that network tells everybody better apart, honest rows too
    ],
)
def test_honest_systems_do_not_set_off_the_alarm_of_the_loss(system, loss_of_honest_row):
    text = said([full_record("gender-oracle", 0.2, "own"), system, honest(loss_of_honest_row)])
    assert "on the network it was trained with" not in text


def test_gender_alone_is_said_unless_recall_or_matching_within_it_is_above_chance():
    nothing = {"recall@10/g100/G": (0.11, 0.08, 0.14), "matching/1:2/G": (0.51, 0.49, 0.53)}
    chance = full_record("chance", 0.1, "own")
    assert (
        "sf2f-64 (width 0.25): not above chance within one gender, so gender may be all that it hears (recall@10 g100 "
        "within G .110 (.080 to .140), chance .100; matching 1:2 within G .510 (.490 to .530), chance .500)."
    ) in said([chance, with_scores(full_record(), nothing)])
    for metric, value in (("recall@10/g100/G", (0.2, 0.15, 0.25)), ("matching/1:2/G", (0.6, 0.55, 0.65))):
        assert "within one gender" not in said(
            [chance, with_scores(full_record(), nothing | {metric: value})]
        )
    assert "within one gender" in said([with_scores(full_record(), nothing)])  # chance is k / gallery, 1 / 2
    assert "within one gender" not in said([record()])


def test_findings_of_the_audit_stand_once_alarms_first():
    audit = (
        Finding(check="balance", text="As many women as men."),
        Finding(check="overlap", text="Two people are in two splits.", alarm=True),
    )
    made = [
        one.model_copy(update={"audit": audit}) for one in (full_record(), full_record("chance", 0.1, "own"))
    ]
    found = [note.marked for note in notes(groups(made)[0])]
    assert found[0] == "WARNING: Audit, overlap: Two people are in two splits."
    assert found.count("Audit, balance: As many women as men.") == 1
    assert "- WARNING: Audit, overlap" in shown(made)


def absent_network(network, reason):
    return AbsentScore(metric="all", extractor=network, reason=reason)


def test_a_network_that_is_not_here_is_named_once_with_its_reason():
    lacking = absent_network("dinov2-vits14", "dinov2_vits14.pth is not there; fetch it")
    made = [
        one.model_copy(update={"absent": (*one.absent, lacking)})
        for one in (full_record(), full_record("voice2face-64"))
    ]
    text = said([*made, full_record("chance", 0.1, "own")])
    line = "dinov2-vits14 was not available: dinov2_vits14.pth is not there; fetch it"
    assert text.count("dinov2-vits14") == 1
    assert line in text.splitlines()
    assert "no all" not in text


def test_a_network_that_only_some_rows_lack_says_which():
    lacking = absent_network("inception-2015", "the weights are not there")
    older = record("voice2face-64", 0.2).model_copy(update={"absent": (lacking,)})
    assert "inception-2015 was not available (voice2face-64): the weights are not there" in said(
        [full_record(), older]
    )


def test_absences_of_one_kind_share_a_line():
    reason = "nationality is not known"
    missing = tuple(
        AbsentScore(metric=metric, extractor=JUDGE, reason=reason)
        for metric in ("matching/1:2/N", "matching/1:10/N", "recall@10/g100/N")
    )
    rows = (full_record(), full_record("voice2face-64"))
    made = [with_cards(one.model_copy(update={"absent": missing})) for one in rows]
    line = "Every row: no matching (stratum N), recall (gallery 100, stratum N): nationality is not known"
    assert line in said(made).splitlines()
    assert "voice2face-64: no matching (stratum N)" in said([*made[1:], full_record()])


def test_seeds_of_one_label_have_a_mean():
    text = said(full_bench())
    assert (
        "sf2f-64 (width 0.25): recall@10 .392 on average over 2 seeds: .365 (seed 0), .420 (seed 1)." in text
    )
    assert text.count("on average over") == 1
    budgets = [full_record(seed=seed, budget=budget) for budget in ("smoke", "default") for seed in (0, 1)]
    assert "sf2f-64 (width 0.25), budget smoke: recall@10 .365 on average over 2 seeds" in said(budgets)


def test_the_mean_over_seeds_has_an_interval_where_the_same_people_were_asked(tmp_path):
    random = np.random.default_rng(2)
    values = random.random((3, 300))
    made = [
        saved(full_record(recall=row.mean(), seed=i), tmp_path, recalls=row) for i, row in enumerate(values)
    ]
    low, high = seeds_interval(values, (0.0, 1.0))[1]
    assert (
        f"on average over 3 seeds ({share(low)} to {share(high)} for new seeds and new identities): "
        in said(made)
    )
    fewer = saved(full_record(seed=3), tmp_path, recalls=values[0, :200])
    first = share(values[0].mean())
    assert f"on average over 4 seeds: {first} (seed 0)" in said([*made, fewer])


def test_smallest_strata_are_said():
    assert "Smallest n within strata: G 300, A 281, GNA 112 identities;" in said(full_bench())
    assert "Smallest n" not in said([record()])


def test_the_caption_counts_the_people_of_the_tables_above_and_not_those_of_strata():
    assert "n = 300 test identities" in " ".join(shown(full_bench()).split())


@pytest.mark.parametrize("chance", [0.1, 0.09999999999999998])
def test_a_row_at_chance_is_not_above_it_for_its_rounding(chance):
    """Of a system that shows one face to everybody, whose recall is .1."""
    metric = "recall@10/g100"
    made = [
        with_scores(full_record("chance", 0.1, "own"), {metric: (chance, chance, chance)}, by=None),
        with_scores(full_record("sf2f-64", 0.1), {metric: (0.1, 0.1, 0.1)}),
    ]
    assert "sf2f-64 (width 0.25): recall@10 .100 (.100 to .100) is NOT above chance (.100)" in said(made)
    unpaired = [one.model_copy(update={"benchmark": benchmark(paired=False)}) for one in made]
    assert not alarms(unpaired)
