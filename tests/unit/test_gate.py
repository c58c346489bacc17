"""The gate's judgement: what is a regression, what passes, what cannot be told; the test against the margin itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import record_factory as factory
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from sf2f_bench.gate import Rules, check
from sf2f_bench.gate.instrument import check_instrument
from sf2f_bench.gate.judgement import JudgedMetric, judge_metrics, judged_metric, with_q
from sf2f_bench.gate.rules import rules_of
from sf2f_bench.results.records import Cost, RunRecord, ScoreRecord, load, save
from sf2f_bench.results.seed_runs import SeedRuns
from sf2f_bench.statistics.paired import Measured
from sf2f_bench.types import BenchError, Margin, MetricCard

JUDGE = factory.JUDGE
N = 60
DECIDING = ("judge", "training-loss")
CARDS = {
    "cosine": MetricCard(family="identity", chance=0.0, margin=Margin(0.03), decides=DECIDING),
    "kernel-distance": MetricCard(
        family="distribution",
        chance=2.0,
        margin=Margin(0.2, relative=True),
        decides=("judge",),
        format="size",
    ),
    "recall@10/g100": MetricCard(family="identity", chance=0.1, decides=("judge",), smooth=False),
    "recall@5/g100": MetricCard(smooth=False),
}
TOLERANCES = {"chance": 1e-6, "gender-oracle": 1e-6, "real-photo-oracle": 1e-4}
EASY = np.random.default_rng(1).normal(0, 0.2, N)  # what identities have in common over seeds


@pytest.fixture(autouse=True)
def invented(monkeypatch):
    """Numbers of these records are invented; that the gate refuses such ones is asserted in tests/faults."""
    monkeypatch.setattr("sf2f_bench.gate.judgement.faults_of", lambda record, resampled: [])


def cosines(level: float, seed: int, luck: float = 0.01, n: int = N) -> np.ndarray:
    """Per-identity cosines of one training seed: its own luck, and noise of every identity."""
    random = np.random.default_rng(1000 + seed)
    return level + EASY[:n] + random.normal(0, luck) + random.normal(0, 0.05, n)


def made(
    folder: Path, seed: int, columns: dict, name: str = "sf2f-64", identities=None, **changes
) -> RunRecord:
    """A saved record; columns: metric -> per-identity values of a mean, higher is better unless a distance."""
    n = len(next(iter(columns.values())))
    scores = [
        ScoreRecord(
            metric=metric,
            version=changes.get("version", 1),
            extractor=JUDGE,
            extractor_role="judge",
            value=float(np.mean(values)),
            n=n,
            higher_is_better="distance" not in metric,
            basis="mean",
        )
        for metric, values in columns.items()
    ]
    kept = {key: value for key, value in changes.items() if key != "version"}
    record = factory.record(name, scores=scores, seed=seed, **{"metrics": CARDS} | kept)
    frame = pd.DataFrame({"identity": identities or [f"id{i:03d}" for i in range(n)]})
    for metric, values in columns.items():
        frame[f"{metric}|{JUDGE}"] = values
    return load(save(record, folder, frame))


def anchors(folder: Path, change: float = 0.0, **changes) -> None:
    """The three that must not move."""
    for name, tolerance in TOLERANCES.items():
        recall, how = factory.ANCHORS[name]
        moved = recall + change * (name == "gender-oracle")
        record = factory.record(name, moved, how, **changes)
        system = record.system.model_copy(update={"tolerance": tolerance})
        factory.saved(record.model_copy(update={"system": system}), folder)


def reference(folder: Path, level: float = 0.3, seeds=range(5), **changes) -> Path:
    for seed in seeds:
        made(folder, seed, {"cosine": cosines(level, seed, **changes)})
    anchors(folder)
    return folder


def judged(tmp_path: Path, level: float, seeds=(7,), rules: Rules | None = None, **changes):
    reference(tmp_path / "old")
    for seed in seeds:
        made(tmp_path / "new", seed, {"cosine": cosines(level, seed)}, **changes)
    anchors(tmp_path / "new")
    return check(tmp_path / "new", tmp_path / "old", rules)


def test_a_fall_beyond_the_margin_is_a_regression_and_another_seed_is_none(tmp_path):
    worse = judged(tmp_path / "worse", 0.1)
    (line,) = worse.deciding
    assert (worse.exit_code, line.verdict) == (1, "regressed")
    assert line.upper < -line.margin
    assert line.q < 0.05
    assert "cosine by the judge is worse by" in worse.regressions[0]
    honest = judged(tmp_path / "honest", 0.3, rules=Rules((("cosine", Margin(0.06)),)))
    assert (honest.exit_code, honest.deciding[0].verdict) == (0, "passed")
    assert judged(tmp_path / "better", 0.5).exit_code == 0


def test_what_seeds_move_further_than_the_floor_lies_below_cannot_be_told(tmp_path):
    reference(tmp_path / "old", luck=0.2)
    made(tmp_path / "new", 7, {"cosine": cosines(0.25, 7)})
    anchors(tmp_path / "new")
    found = check(tmp_path / "new", tmp_path / "old")
    (line,) = found.deciding
    assert (found.exit_code, line.verdict, line.tells) == (2, "inconclusive", False)
    assert line.noticeable > line.reference - line.floor
    assert "no metric of the family identity has room to fall: cosine by the judge lies" in found.unknowns[0]
    assert "Train the reference longer" in found.unknowns[0]


def test_a_reference_near_its_floor_passes_nothing_however_good_the_new_side_looks(tmp_path):
    reference(tmp_path / "old", level=0.05)
    made(tmp_path / "new", 7, {"cosine": cosines(0.06, 7)})
    anchors(tmp_path / "new")
    rules = Rules((("cosine", Margin(0.06)),))
    for mode in (False, True):
        found = check(tmp_path / "new", tmp_path / "old", rules, non_inferior=mode)
        assert (found.deciding[0].verdict, found.deciding[0].tells) == ("passed", False)
        assert (found.exit_code, found.verdict) == (2, "cannot tell")


def test_the_floor_is_the_best_of_chance_and_one_face_for_everybody_in_the_reference(tmp_path):
    reference(tmp_path / "old")
    made(tmp_path / "new", 7, {"cosine": cosines(0.3, 7)})
    anchors(tmp_path / "new")
    assert check(tmp_path / "new", tmp_path / "old").deciding[0].floor == 0.0
    system = factory.record("mean-face", kind="anchor").system.model_copy(update={"purpose": "one-face"})
    made(tmp_path / "old", 0, {"cosine": np.full(N, 0.26)}, name="mean-face", kind="anchor", system=system)
    found = check(tmp_path / "new", tmp_path / "old")
    assert (found.deciding[0].floor, found.exit_code) == (pytest.approx(0.26), 2)


def test_without_a_known_floor_nothing_can_be_told(tmp_path, monkeypatch):
    monkeypatch.setitem(CARDS, "cosine", MetricCard(family="identity", margin=Margin(0.03), decides=DECIDING))
    found = judged(tmp_path, 0.3)
    assert found.exit_code == 2
    assert "the floor of cosine (identity) is not known: keep the reference's record of" in found.unknowns[0]


def test_every_family_of_the_reference_must_tell(tmp_path):
    def distances(seed):
        return 0.5 + 0.1 * cosines(0, seed)

    for seed in range(5):
        made(tmp_path / "old", seed, {"cosine": cosines(0.3, seed), "kernel-distance": distances(seed)})
    made(tmp_path / "both", 7, {"cosine": cosines(0.3, 7), "kernel-distance": distances(7)})
    made(tmp_path / "one", 7, {"cosine": cosines(0.3, 7)})
    for folder in ("old", "both", "one"):
        anchors(tmp_path / folder)
    both = check(tmp_path / "both", tmp_path / "old")
    assert both.exit_code == 0
    assert {line.family for line in both.deciding} == {"identity", "quality"}
    assert "no metric decides of the family loss, so a fall there is not seen." in both.remarks[-1]
    one = check(tmp_path / "one", tmp_path / "old")
    assert one.exit_code == 2
    assert "no metric of the family quality could be judged" in one.unknowns[0]


def test_in_the_mode_of_non_inferiority_what_is_not_shown_fails(tmp_path):
    reference(tmp_path / "old")
    anchors(tmp_path / "new")
    made(tmp_path / "new", 7, {"cosine": cosines(0.27, 7)})
    assert check(tmp_path / "new", tmp_path / "old").exit_code == 0
    found = check(tmp_path / "new", tmp_path / "old", non_inferior=True)
    assert (found.exit_code, found.verdict) == (1, "not shown to be no worse")
    assert "cosine by the judge is not shown to be no worse than its margin 0.03 allows" in found.not_shown[0]
    wide = Rules((("cosine", Margin(0.1)),))
    shown = check(tmp_path / "new", tmp_path / "old", wide, non_inferior=True)
    assert (shown.exit_code, shown.verdict) == (0, "shown to be no worse")


def test_a_fall_about_the_margin_is_inconclusive_but_a_large_one_would_have_shown(tmp_path):
    found = judged(tmp_path, 0.27)
    (line,) = found.deciding
    assert (found.exit_code, line.verdict, line.tells) == (0, "inconclusive", True)
    fallen = judged(tmp_path / "further", 0.27 - line.noticeable)
    assert fallen.deciding[0].verdict == "regressed"


def test_a_larger_distance_is_worse_and_differences_are_turned(tmp_path):
    for seed in range(5):
        made(tmp_path / "old", seed, {"kernel-distance": 0.5 + 0.1 * cosines(0, seed)})
    made(tmp_path / "new", 9, {"kernel-distance": 0.8 + 0.1 * cosines(0, 9)})
    for folder in ("old", "new"):
        anchors(tmp_path / folder)
    found = check(tmp_path / "new", tmp_path / "old")
    (line,) = found.deciding
    assert line.difference == pytest.approx(-0.3, abs=0.02)
    assert line.margin == pytest.approx(0.2 * line.reference)
    assert (found.exit_code, line.verdict) == (1, "regressed")


def side(rows: np.ndarray, seeds, folder: Path) -> SeedRuns:
    """rows ``[S, N]`` of cosines."""
    pairs = zip(rows, seeds, strict=True)
    return SeedRuns(tuple(made(folder, seed, {"cosine": row}) for row, seed in pairs))


def test_the_test_is_students_against_the_margin_where_identities_add_no_noise(tmp_path):
    level = np.array([0.31, 0.28, 0.33, 0.30, 0.27])
    old = side(np.repeat(level[:, None], N, axis=1), range(5), tmp_path / "old")
    new = side(np.full((1, N), 0.22), (9,), tmp_path / "new")
    (line,) = judge_metrics(new, old, Rules())[0]
    error = level.std(ddof=1) * np.sqrt(1 + 1 / 5)  # the new seed is taken to vary as the five
    statistic = (0.22 - level.mean() + 0.03) / error
    assert line.p == pytest.approx(scipy_stats.t.cdf(statistic, 4), rel=1e-6)
    reach = scipy_stats.t.ppf(0.975, 4) * error
    assert (line.lower, line.upper) == pytest.approx((line.difference - reach, line.difference + reach))


def test_two_new_seeds_are_taken_to_vary_as_the_reference_and_three_speak_for_themselves(tmp_path):
    level = np.array([0.31, 0.28, 0.33, 0.30, 0.27])
    old = side(np.repeat(level[:, None], N, axis=1), range(5), tmp_path / "old")
    pair = side(np.repeat([[0.15], [0.21]], N, axis=1), (8, 9), tmp_path / "new")
    (two,) = judge_metrics(pair, old, Rules())[0]
    error = level.std(ddof=1) * np.sqrt(1 / 2 + 1 / 5)
    assert two.p == pytest.approx(scipy_stats.t.cdf((0.18 - level.mean() + 0.03) / error, 4), rel=1e-6)
    assert two.noticeable == pytest.approx(0.03 + scipy_stats.t.ppf(0.975, 4) * error)
    three = side(np.repeat([[0.15], [0.18], [0.21]], N, axis=1), (7, 8, 9), tmp_path / "three")
    apart = np.sqrt(0.03**2 / 3 + level.var(ddof=1) / 5)
    degrees = apart**4 / ((0.03**2 / 3) ** 2 / 2 + (level.var(ddof=1) / 5) ** 2 / 4)
    (welch,) = judge_metrics(three, old, Rules())[0]
    assert welch.p == pytest.approx(scipy_stats.t.cdf((welch.difference + 0.03) / apart, degrees), rel=1e-6)


def test_the_same_seeds_on_both_sides_are_compared_in_pairs(tmp_path):
    luck = np.random.default_rng(5).normal(0, 0.1, (5, 1))
    rows = 0.3 + luck + EASY
    noise = np.random.default_rng(6).normal(0, 0.002, (5, 1))
    old = side(rows, range(5), tmp_path / "old")
    paired = judge_metrics(side(rows - 0.06 + noise, range(5), tmp_path / "same"), old, Rules())[0][0]
    apart = judge_metrics(side(rows - 0.06 + noise, range(5, 10), tmp_path / "others"), old, Rules())[0][0]
    assert with_q([paired])[0].verdict == "regressed"
    assert with_q([apart])[0].verdict == "inconclusive"
    expected = scipy_stats.ttest_1samp(noise[:, 0] - 0.06, -0.03, alternative="less").pvalue
    assert paired.p == pytest.approx(expected, rel=1e-6)


def test_the_same_numbers_of_a_seed_are_no_change_whatever_the_spread_of_seeds(tmp_path):
    reference(tmp_path / "old", 3, luck=0.5)
    made(tmp_path / "new", 3, {"cosine": cosines(3, 3, luck=0.5) * (1 + 1e-9)})
    anchors(tmp_path / "new")
    found = check(tmp_path / "new", tmp_path / "old")
    (line,) = found.deciding
    assert (found.exit_code, line.unchanged, line.difference, line.verdict) == (0, True, 0.0, "passed")
    made(tmp_path / "other", 3, {"cosine": cosines(3, 4, luck=0.5)})
    anchors(tmp_path / "other")
    assert not check(tmp_path / "other", tmp_path / "old").deciding[0].unchanged


def simulated(fall: float, new_seeds: int, run: int) -> JudgedMetric:
    """A reference of ten seeds, and new ones that have truly fallen: other luck and other people each time."""
    random = np.random.default_rng([run, new_seeds])
    rows = 0.3 + random.normal(0, 0.2, N) + random.normal(0, 0.03, (10 + new_seeds, 1))
    rows = rows + random.normal(0, 0.05, (10 + new_seeds, N))
    rows[10:] -= fall
    score = FakeSide._record(rows[0], 0).scores[0]
    old, new = (
        Measured(part.mean(axis=1), part, "mean", N, tuple(seeds))
        for part, seeds in ((rows[:10], range(10)), (rows[10:], range(10, 10 + new_seeds)))
    )
    return with_q([judged_metric("acted", score, new, old, Rules(), 0.0)])[0]


@pytest.mark.parametrize("new_seeds", [1, 2, 3])
def test_the_rates_of_both_errors_are_at_most_one_in_forty(new_seeds):
    """At a fall of the margin itself: a regression called, and non-inferiority shown."""
    runs = 400
    verdicts = [simulated(0.03, new_seeds, run).verdict for run in range(runs)]
    # .025 of 400 is 10, with a standard deviation of 3
    assert verdicts.count("regressed") <= 19
    assert verdicts.count("passed") <= 19


@pytest.mark.parametrize("new_seeds", [1, 2])
def test_a_fall_of_the_noticeable_size_is_seen_in_half_of_all_checks(new_seeds):
    size = np.mean([simulated(0.0, new_seeds, run).noticeable for run in range(30)])
    seen = [simulated(size, new_seeds, run).verdict == "regressed" for run in range(120)]
    assert 0.35 < np.mean(seen) < 0.65
    assert np.mean([simulated(0.0, new_seeds, run).verdict == "regressed" for run in range(120)]) <= 0.02


class FakeSide(SeedRuns):
    """A side in memory."""

    def __init__(self, rows, seeds):
        object.__setattr__(
            self, "records", tuple(self._record(row, seed) for row, seed in zip(rows, seeds, strict=True))
        )
        names = [f"id{i:03d}" for i in range(rows.shape[1])]
        frames = [pd.DataFrame({f"cosine|{JUDGE}": row}, index=names) for row in rows]
        self.__dict__["values"] = frames

    @staticmethod
    def _record(row, seed):
        score = ScoreRecord(
            metric="cosine", version=1, extractor=JUDGE, extractor_role="judge", value=float(row.mean()),
            n=len(row), higher_is_better=True, basis="mean",
        )  # fmt: skip
        return factory.record(scores=[score], seed=seed, metrics=CARDS)


@settings(max_examples=15)
@given(st.permutations(range(40)), st.floats(-0.3, 0.1))
def test_the_order_of_identities_changes_nothing(order, change):
    rows = 0.3 + EASY[:40] + np.random.default_rng(3).normal(0, 0.03, (6, 1)) + np.zeros((6, 40))
    rows[0] += change
    here = judge_metrics(FakeSide(rows[:1], (9,)), FakeSide(rows[1:], range(5)), Rules())[0][0]
    there = judge_metrics(FakeSide(rows[:1, order], (9,)), FakeSide(rows[1:, order], range(5)), Rules())[0][0]
    assert (there.p, there.lower, there.upper) == pytest.approx((here.p, here.lower, here.upper), abs=1e-9)
    assert there.difference == pytest.approx(here.difference)


@settings(max_examples=15)
@given(st.floats(0.001, 0.2), st.floats(-0.3, 0.1))
def test_a_wider_margin_never_turns_into_a_regression(margin, change):
    rows = 0.3 + EASY + np.random.default_rng(3).normal(0, 0.03, (6, 1)) + np.zeros((6, N))
    rows[0] += change
    p = []
    for width in (margin, 2 * margin):
        rules = Rules((("cosine", Margin(width)),))
        (line,) = judge_metrics(FakeSide(rows[:1], (9,)), FakeSide(rows[1:], range(5)), rules)[0]
        p.append(line.p)
        assert line.difference == pytest.approx(rows[0].mean() - rows[1:].mean())
    assert p[1] >= p[0]


def test_q_is_over_all_metrics_that_decide(tmp_path):
    def columns(seed, change):
        return {f"recall@{k}/g100": cosines(0.5 - change * (k == 10), seed + k) for k in (5, 10)} | {
            "cosine": cosines(0.3, seed)
        }

    for seed in range(5):
        made(tmp_path / "old", seed, columns(seed, 0))
    made(tmp_path / "new", 8, columns(8, 0.3))
    for folder in ("old", "new"):
        anchors(tmp_path / folder)
    found = check(tmp_path / "new", tmp_path / "old")
    deciding = {line.metric: line for line in found.deciding}
    assert set(deciding) == {"recall@10/g100", "cosine"}  # recall@5 is neither decided by nor shown
    p = [line.p for line in deciding.values()]
    assert [line.q for line in deciding.values()] == pytest.approx(scipy_stats.false_discovery_control(p))
    assert deciding["recall@10/g100"].verdict == "regressed"


# ---------------------------------------------------------------- what cannot be judged


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benchmark": factory.benchmark(protocol="sf2f-paper/1")}, "protocol differs"),
        ({"benchmark": factory.benchmark(data_hash="0" * 16)}, "data_hash differs"),
        ({"benchmark": factory.benchmark(gallery_size=50)}, "gallery_size differs (50 here, 100 there)"),
        ({"version": 2}, "version of cosine differs (2 here, 1 there)"),
        (
            {"budget": "smoke"},
            "budget differs (smoke here, default there): the reference was run with `--budget default`",
        ),
        ({"identities": [f"other{i}" for i in range(N)]}, "other test identities"),
    ],
)
def test_records_that_are_not_comparable_are_refused_with_the_reason(tmp_path, changes, words):
    found = judged(tmp_path, 0.3, **changes)
    assert found.exit_code == 2
    assert words in found.refused["sf2f-64 (width 0.25)"]


def test_another_judge_is_refused(tmp_path, monkeypatch):
    reference(tmp_path / "old")
    monkeypatch.setattr(f"{__name__}.JUDGE", "facenet-1")
    made(tmp_path / "new", 7, {"cosine": cosines(0.1, 7)})
    anchors(tmp_path / "new")
    found = check(tmp_path / "new", tmp_path / "old")
    assert found.exit_code == 2
    assert "judge extractor differs" in next(iter(found.refused.values()))


def test_too_few_seeds_or_identities_cannot_be_judged(tmp_path):
    reference(tmp_path / "two", seeds=range(2))
    made(tmp_path / "new", 7, {"cosine": cosines(0.1, 7)})
    anchors(tmp_path / "new")
    found = check(tmp_path / "new", tmp_path / "two")
    assert found.exit_code == 2
    assert "2 training seed(s): at least 3" in next(iter(found.refused.values()))
    reference(tmp_path / "small", n=20)
    made(tmp_path / "few", 7, {"cosine": cosines(0.1, 7, n=20)})
    anchors(tmp_path / "few")
    found = check(tmp_path / "few", tmp_path / "small")
    assert "20 test identities are too few" in next(iter(found.refused.values()))


def test_a_system_on_one_side_alone_is_named_and_judges_nothing(tmp_path):
    reference(tmp_path / "old")
    made(tmp_path / "new", 7, {"cosine": cosines(0.1, 7)}, name="mine")
    anchors(tmp_path / "new")
    found = check(tmp_path / "new", tmp_path / "old")
    assert found.exit_code == 2
    assert "no system is in both folders, so nothing was judged" in found.unknowns[0]
    assert "sf2f-64 (width 0.25) is in the reference only: not judged." in found.remarks
    assert "mine has no reference: not judged." in found.remarks


# ---------------------------------------------------------------- the instrument and the cost


def test_an_anchor_that_moved_is_a_regression_of_the_instrument(tmp_path):
    reference(tmp_path / "old")
    made(tmp_path / "new", 0, {"cosine": cosines(0.3, 0)})
    anchors(tmp_path / "new", change=0.001)
    found = check(tmp_path / "new", tmp_path / "old")
    assert found.deciding[0].unchanged
    assert found.exit_code == 1
    assert "the instrument has changed" in found.regressions[0]
    assert "gender-oracle: recall@" in found.regressions[0]


def test_rounding_moves_no_anchor_and_a_missing_one_cannot_be_told(tmp_path):
    reference(tmp_path / "old")
    made(tmp_path / "new", 0, {"cosine": cosines(0.3, 0)})
    anchors(tmp_path / "new", change=1e-9)
    assert check(tmp_path / "new", tmp_path / "old").exit_code == 0
    for path in (tmp_path / "new").glob("gender-oracle*"):
        path.unlink()
    found = check(tmp_path / "new", tmp_path / "old")
    assert (found.exit_code, found.instrument.missing) == (2, ("gender-oracle",))
    assert "gender-oracle are missing" in found.unknowns[0]


def test_any_anchor_with_a_tolerance_is_an_instrument_check_and_counts_may_jump_by_two_identities(tmp_path):
    def anchor(folder, recall, tolerance):
        factory_card = factory.record("anchor-of-a-stranger", kind="anchor").system
        score = ScoreRecord(
            metric="recall@10/g100", version=1, extractor=JUDGE, extractor_role="judge", value=recall, n=N,
            higher_is_better=True, basis="mean",
        )  # fmt: skip
        system = factory_card.model_copy(update={"tolerance": tolerance})
        made = factory.record(system.name, kind="anchor", system=system, scores=[score], metrics=CARDS)
        return factory.saved(made, tmp_path / folder)

    old = anchor("old", 0.5, 1e-4)
    assert not check_instrument([anchor("jump", 0.5 + 1.9 / N, None)], [old]).deviations
    (deviation,) = check_instrument([anchor("moved", 0.5 + 2.1 / N, None)], [old]).deviations
    assert str(deviation) == "anchor-of-a-stranger: recall@10/g100 is 0.535, was 0.5"
    assert check_instrument([old], [anchor("untested", 0.1, None)]).anchors == ()


def test_records_of_two_states_of_a_systems_code_are_not_judged(tmp_path):
    reference(tmp_path / "old")
    anchors(tmp_path / "new")
    for source in ("Mine of source 1", "Mine of source 2"):
        system = factory.record("sf2f-64").system.model_copy(update={"source": source})
        made(
            tmp_path / "new",
            0,
            {"cosine": cosines(0.3, 0)},
            system=system,
            key=source[-1].ljust(16, "0"),
        )
    found = check(tmp_path / "new", tmp_path / "old")
    assert found.exit_code == 2
    assert "records of 2 states of its code: delete those that shall not be judged" in found.unknowns[0]


def test_cost_warns_and_counts_only_where_it_is_guarded(tmp_path):
    reference(tmp_path / "old")
    slow = Cost(wall_seconds=900, train_seconds=800, peak_memory_mb=800)
    made(tmp_path / "new", 0, {"cosine": cosines(0.3, 0)}, cost=slow)
    anchors(tmp_path / "new")
    warned = check(tmp_path / "new", tmp_path / "old")
    assert warned.exit_code == 0
    assert "training took 800 s, 3.3 times" in str(warned.cost[0])
    assert check(tmp_path / "new", tmp_path / "old", guard_cost=True).exit_code == 1
    heavy = Cost(wall_seconds=1, train_seconds=450, peak_memory_mb=5000)
    made(tmp_path / "heavy", 0, {"cosine": cosines(0.3, 0)}, cost=heavy)
    anchors(tmp_path / "heavy")
    (excess,) = check(tmp_path / "heavy", tmp_path / "old").cost
    assert excess.what == "peak_memory_mb"


# ---------------------------------------------------------------- rules


def test_margins_are_the_users_before_the_files_before_the_default(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text('decide = ["judge:cosine"]\n[margins]\n"recall@*" = 0.2\ncosine = "10%"\n')
    rules = rules_of(["recall@10/g100=0.1"], file)
    scores = made(tmp_path, 0, dict.fromkeys((*CARDS, "verification-auc"), EASY)).scores
    cosine, kernel, ten, five, without_card = scores
    assert rules.margin(ten).of(0.5) == 0.1
    assert rules.margin(five).of(0.5) == 0.2
    assert rules.margin(cosine).of(-0.5) == 0.05
    assert rules.margin(kernel) == Rules().margin(kernel) == CARDS["kernel-distance"].margin
    assert Rules().margin(without_card) == MetricCard().margin
    assert [score for score in scores if rules.decides(score)] == [cosine]
    assert [score for score in scores if Rules().decides(score)] == [cosine, kernel, ten]
    assert not Rules().shows(without_card)


@pytest.mark.parametrize(
    ("words", "text", "message"),
    [
        (["cosine"], None, "METRIC=VALUE"),
        (["cosine=-1"], None, "0 or more"),
        (["cosine=nan"], None, "0 or more"),
        ([], "margins = 3", r"\[margins\]"),
        ([], "other = 3", "other"),
        ([], 'decide = ["cosine"]', "ROLE:METRIC"),
        ([], "not toml", "is not a TOML file that can be read"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(tmp_path, words, text, message):
    file = None
    if text is not None:
        file = tmp_path / "rules.toml"
        file.write_text(text)
    with pytest.raises(BenchError, match=message):
        rules_of(words, file)
