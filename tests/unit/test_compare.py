"""Comparing records: who is meant, what pairs with what, what is refused, and what the numbers are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import record_factory as factory
from click.testing import CliRunner
from scipy import stats as scipy_stats

from sf2f_bench.commands.compare import compare as compare_command
from sf2f_bench.results.compare import compare
from sf2f_bench.results.records import ScoreRecord, save
from sf2f_bench.statistics.intervals import half_samples, paired_difference
from sf2f_bench.statistics.paired import Measured, compare_scores
from sf2f_bench.types import BenchError

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference" / "synthetic-64"
JUDGE, LOSS = factory.JUDGE, factory.LOSS
N = 40
IDENTITIES = [f"id{i:02d}" for i in range(N)]


def made(folder: Path, name: str, values: dict, seed: int = 0, **changes):
    """A saved record: values by ``(metric, extractor)`` -> (basis, value, parts)."""
    scores, columns, replicates = [], {}, {}
    basis_known = changes.pop("basis_known", True)
    identities = changes.pop("identities", IDENTITIES)
    for (metric, extractor), (basis, value, parts) in values.items():
        known = basis if basis_known or basis == "replicates" else None
        role = {None: "none", JUDGE: "judge", LOSS: "training-loss"}[extractor]
        (replicates if basis == "replicates" else columns)[f"{metric}|{extractor or 'none'}"] = parts
        scores.append(
            ScoreRecord(
                metric=metric,
                version=changes.get("version", 1),
                extractor=extractor,
                extractor_role=role,
                value=value,
                n=changes.get("n") or int(np.isfinite(parts).sum() if basis != "replicates" else N),
                higher_is_better=metric.startswith(("recall", "cosine", "verification")),
                basis=known if parts is not None else None,
            )
        )
    fields = {key: value for key, value in changes.items() if key not in ("n", "version")}
    record = factory.record(name, scores=scores, seed=seed, **fields)
    frame = pd.DataFrame({"identity": identities, **columns})
    halves = pd.DataFrame(replicates) if replicates else None
    return save(record, folder, frame, replicates=halves)


def recall(shift: float, seed: int = 0, extractor: str | None = JUDGE) -> dict:
    """Recall of the same identities, easy and hard ones, with a system's shift."""
    easy = np.random.default_rng(1).random(N)
    parts = (0.6 * easy + shift + 0.1 * np.random.default_rng(seed + 100).random(N)).clip(0, 1)
    return {("recall@10/g100", extractor): ("mean", parts.mean(), parts)}


def distance(level: float, seed: int) -> dict:
    values = np.random.default_rng(seed).random(N) + level
    return {("frechet-distance", JUDGE): ("replicates", values.mean(), values[half_samples(N)].mean(axis=1))}


def test_a_line_holds_the_paired_difference_of_the_identities(tmp_path):
    first, second = recall(0.2, 1), recall(0.1, 2)
    made(tmp_path, "sf2f-64", first)
    made(tmp_path, "voice2face-64", second)
    (comparison,) = compare("sf2f-64", "voice2face-64", tmp_path)
    (line,) = comparison.metrics
    a, b = (next(iter(values.values()))[2] for values in (first, second))
    effect, interval, _ = paired_difference(a, b, np.random.default_rng(0))
    assert line.difference == pytest.approx(effect)
    assert (line.lower, line.upper) == pytest.approx(interval, abs=0.005)
    assert (line.a, line.b, line.n, line.basis) == (a.mean(), b.mean(), N, "mean")
    assert (line.extractor, line.extractor_role, line.verdict) == (JUDGE, "judge", "too few seeds")
    assert comparison.a.label == "sf2f-64 (width 0.25), seed 0"
    (back,) = compare("voice2face-64", "sf2f-64", tmp_path)
    assert back.metrics[0].difference == -line.difference


def three(folder: Path, name: str, values, **changes) -> None:
    """Three seeds of a system; values: of a seed."""
    for seed in range(3):
        made(folder, name, values(seed), seed, **changes)


def test_better_and_worse_need_three_seeds_a_side_and_below_there_is_no_p(tmp_path):
    three(tmp_path, "sf2f-64", lambda seed: recall(0.3, seed))
    three(tmp_path, "voice2face-64", lambda seed: recall(0.1, seed + 10))
    (whole,) = compare("sf2f-64", "voice2face-64", tmp_path)
    assert (whole.metrics[0].verdict, whole.missing_seeds) == ("better", None)
    assert compare("voice2face-64", "sf2f-64", tmp_path)[0].metrics[0].verdict == "worse"
    (alone,) = compare("sf2f-64 (width 0.25), seed 0", "voice2face-64, seed 1", tmp_path)
    (line,) = alone.metrics
    assert (line.verdict, line.p, line.q, line.detectable) == ("too few seeds", None, None, None)
    assert line.lower > 0
    assert alone.missing_seeds == "needs three training seeds a side; has 1 and 1"
    (path,) = tmp_path.glob("sf2f-64-*seed2-*.json")
    path.unlink()
    (few,) = compare("sf2f-64", "voice2face-64", tmp_path)
    assert few.missing_seeds == "needs three training seeds a side; has 2 and 3"
    assert few.metrics[0].upper - few.metrics[0].lower < 0.1  # people alone, with no Student's t of two seeds


def test_an_anchor_that_trains_nothing_needs_no_seeds(tmp_path):
    three(tmp_path, "sf2f-64", lambda seed: recall(0.3, seed))
    made(tmp_path, "chance", recall(0.0, 3), kind="anchor")
    made(tmp_path, "mean-face", recall(0.0, 4), kind="anchor")
    assert compare("sf2f-64", "chance", tmp_path)[0].metrics[0].verdict == "better"
    assert compare("mean-face", "chance", tmp_path)[0].metrics[0].q is not None
    one = compare("sf2f-64 (width 0.25), seed 1", "chance", tmp_path)[0]
    assert one.missing_seeds == "needs three training seeds; has 1"


def test_seeds_of_one_system_are_seldom_called_better_or_worse():
    """What a review found: one seed against one, p < .05 in 9 to 96 % of pairs, where seeds differ and people agree."""
    called = {1: 0, 3: 0}
    runs = 200
    for run in range(runs):
        random = np.random.default_rng(run)
        people = random.normal(0.3, 0.1, N)
        rows = people + random.normal(0, 0.05, (6, 1)) + random.normal(0, 0.05, (6, N))
        for seeds in called:
            a, b = (
                Measured(part.mean(axis=1), part, "mean", N, tuple(range(first, first + seeds)))
                for part, first in ((rows[:seeds], 0), (rows[3 : 3 + seeds], 3))
            )
            called[seeds] += compare_scores(a, b, random).p < 0.05
    assert called[1] > 0.5 * runs  # why it takes three
    assert called[3] <= 19  # .05 of 200 is 10, with a standard deviation of 3.1


def test_rows_are_paired_by_identity_whatever_their_order(tmp_path):
    values = recall(0.2, 1)
    ((key, (basis, value, parts)),) = values.items()
    order = np.random.default_rng(3).permutation(N)
    made(tmp_path, "sf2f-64", values)
    shuffled = {key: (basis, value - 0.05, parts[order] - 0.05)}
    made(tmp_path, "voice2face-64", shuffled, identities=[IDENTITIES[i] for i in order])
    line = compare("sf2f-64", "voice2face-64", tmp_path)[0].metrics[0]
    assert line.upper - line.lower < 1e-9  # every identity is .05 lower
    assert line.difference == pytest.approx(0.05)


def test_a_lower_distance_is_better_and_half_samples_are_paired(tmp_path):
    three(tmp_path, "sf2f-64", lambda seed: distance(0.0, seed))
    three(tmp_path, "voice2face-64", lambda seed: distance(0.5, seed))
    line = compare("sf2f-64", "voice2face-64", tmp_path)[0].metrics[0]
    assert (line.basis, line.verdict, line.n) == ("replicates", "better", N)
    assert line.upper - line.lower < 1e-9
    three(tmp_path / "apart", "sf2f-64", lambda seed: distance(0.0, seed))
    three(tmp_path / "apart", "voice2face-64", lambda seed: distance(0.05, seed + 3))
    assert (
        compare("sf2f-64", "voice2face-64", tmp_path / "apart")[0].metrics[0].verdict == "no difference shown"
    )


def many_metrics(folder: Path, **changes) -> None:
    """Two systems that differ in some recalls and in a distance."""

    def values(seed: int, shift: float) -> dict:
        found = distance(shift, seed)
        for k in factory.KS:
            parts = np.random.default_rng([seed, k, int(shift * 10)]).random(N) + 0.02 * k * shift
            found[(f"recall@{k}/g100", JUDGE)] = ("mean", parts.mean(), parts)
        return found

    three(folder, "sf2f-64", lambda seed: values(seed, 1.0), **changes)
    three(folder, "voice2face-64", lambda seed: values(seed, 0.0), **changes)


def test_q_is_over_the_lines_of_a_family_whatever_is_shown_and_the_primary_metric_stands_alone(tmp_path):
    many_metrics(tmp_path)
    lines = {line.metric: line for line in compare("sf2f-64", "voice2face-64", tmp_path)[0].metrics}
    primary = lines["recall@10/g100"]
    assert (primary.family, primary.q) == ("primary", primary.p)
    others = [line for line in lines.values() if line.family == "identity"]
    assert len(others) == 5
    expected = scipy_stats.false_discovery_control([line.p for line in others])
    assert [line.q for line in others] == pytest.approx(expected)
    assert lines["frechet-distance"].q == lines["frechet-distance"].p  # a family of one line
    assert {line.verdict for line in others} == {"better", "no difference shown"}
    assert all((line.verdict == "better") == (line.q < 0.05) for line in others)
    for pattern in ("recall@[12]/*", "recall@10/*", "frechet*"):
        few = compare("sf2f-64", "voice2face-64", tmp_path, pattern)[0]
        assert few.lines == 7
        assert all(line == lines[line.metric] for line in few.metrics)


def test_with_three_seeds_it_gives_a_verdict(tmp_path):
    many_metrics(tmp_path)
    done = CliRunner(env={"COLUMNS": "120"}).invoke(
        compare_command, ["sf2f-64", "voice2face-64", str(tmp_path)], catch_exceptions=False
    )
    words = " ".join(done.output.split())
    assert (
        "sf2f-64 (width 0.25) is better than voice2face-64 on the primary metric, recall@10 g100: " in words
    )
    assert "3 seeds, in pairs." in words
    assert "a family of its own" in words
    assert "No difference shown does not mean equal: on recall@10 g100 a true difference of" in words


def test_the_primary_metric_is_the_benchmarks(tmp_path):
    many_metrics(tmp_path, benchmark=factory.benchmark(primary_metric="recall@5/g100"))
    (comparison,) = compare("sf2f-64", "voice2face-64", tmp_path)
    assert comparison.primary.metric == "recall@5/g100"
    assert comparison.primary.q == comparison.primary.p
    assert compare("sf2f-64", "voice2face-64", tmp_path, "recall@1/*")[0].primary is None


def test_seeds_of_one_label_are_one_system(tmp_path):
    for seed in range(3):
        made(tmp_path, "sf2f-64", recall(0.2 + 0.01 * seed, seed), seed)
        made(tmp_path, "voice2face-64", recall(0.1 + 0.01 * seed, seed + 10), seed)
    comparison = compare("sf2f-64", "voice2face-64", tmp_path)[0]
    assert comparison.a.label == "sf2f-64 (width 0.25), seeds 0, 1, 2"
    assert comparison.a.seeds == comparison.b.seeds == (0, 1, 2)
    line = comparison.metrics[0]
    means = [
        [next(iter(recall(s + 0.01 * i, i + j).values()))[1] for i in range(3)]
        for s, j in ((0.2, 0), (0.1, 10))
    ]
    by_seed = scipy_stats.ttest_rel(*means)
    assert line.difference == pytest.approx(np.mean(means[0]) - np.mean(means[1]))
    assert line.upper - line.lower >= np.diff(by_seed.confidence_interval())[0]
    one = compare("sf2f-64 (width 0.25), seed 1", "voice2face-64, seed 1", tmp_path)[0]
    assert (one.a.seeds, one.b.seeds) == ((1,), (1,))
    assert one.metrics[0].a == pytest.approx(means[0][1])


def test_an_anchor_in_a_space_of_its_own_goes_with_every_extractor(tmp_path):
    made(tmp_path, "sf2f-64", recall(0.2, 1) | recall(0.3, 2, LOSS))
    made(tmp_path, "chance", {("recall@10/g100", None): ("mean", 0.1, np.full(N, 0.1))}, kind="anchor")
    comparison = compare("sf2f-64", "chance", tmp_path)[0]
    assert [line.extractor_role for line in comparison.metrics] == ["judge", "training-loss"]
    assert [line.b for line in comparison.metrics] == pytest.approx([0.1, 0.1])
    assert comparison.b.label == "chance"


def test_paths_name_records_and_the_folder_is_then_not_read(tmp_path):
    first = made(tmp_path / "x", "sf2f-64", recall(0.2, 1))
    second = made(tmp_path / "y", "voice2face-64", recall(0.1, 2))
    made(tmp_path / "x", "voice2face-64", recall(0.1, 3))
    assert compare(str(first), str(second), tmp_path / "nowhere")[0].metrics[0].lower > 0
    assert compare(str(first), "voice2face-64", tmp_path / "x")[0].metrics


def test_identities_that_take_no_part_are_left_out_of_both(tmp_path):
    first, second = recall(0.2, 1), recall(0.1, 2)
    ((key, (basis, _, parts)),) = second.items()
    parts = np.where(np.arange(N) < 10, np.nan, parts)
    made(tmp_path, "sf2f-64", first)
    made(tmp_path, "voice2face-64", {key: (basis, np.nanmean(parts), parts)})
    line = compare("sf2f-64", "voice2face-64", tmp_path)[0].metrics[0]
    assert line.n == N - 10
    assert line.a == pytest.approx(first[key][2][10:].mean())


def test_what_does_not_pair_is_left_out_with_its_reason(tmp_path):
    def with_others(name: str, seed: int, missing: bool, basis: str) -> None:
        parts = np.random.default_rng(seed).random(N)
        pseudo = np.where(np.arange(N) < 5 * missing, np.nan, parts)
        made(
            tmp_path,
            name,
            recall(0.2, seed)
            | {("verification-auc", JUDGE): ("pseudo-values", 0.7, pseudo)}
            | {("cosine", JUDGE): (basis, parts.mean(), parts)},
        )

    with_others("sf2f-64", 1, False, "mean")
    with_others("voice2face-64", 2, True, "median")
    comparison = compare("sf2f-64", "voice2face-64", tmp_path)[0]
    assert [line.metric for line in comparison.metrics] == ["recall@10/g100"]
    assert "other identities" in comparison.left_out["verification-auc"]
    assert comparison.left_out["cosine"] == "mean on one side, median on the other"


def test_records_from_before_the_basis_say_it_by_their_value(tmp_path):
    random = np.random.default_rng(4)
    ranks = random.integers(1, 100, (2, N)) ** 2.0
    for name, rank, seed in (("sf2f-64", ranks[0], 1), ("voice2face-64", ranks[1], 2)):
        values = recall(0.2, seed) | {("median-rank/full", JUDGE): ("median", np.median(rank), rank)}
        values[("cosine", JUDGE)] = ("mean", 0.123, random.random(N))  # neither their mean nor their median
        made(tmp_path, name, values, basis_known=False)
    comparison = compare("sf2f-64", "voice2face-64", tmp_path)[0]
    assert {line.metric: line.basis for line in comparison.metrics} == {
        "recall@10/g100": "mean",
        "median-rank/full": "median",
    }
    assert "do not say" in comparison.left_out["cosine"]


def refusal(a: str, b: str, folder: Path, metrics: str = "*") -> str:
    with pytest.raises(BenchError) as caught:
        compare(a, b, folder, metrics)
    return str(caught.value)


def test_unknown_names_and_metrics_are_answered_with_the_nearest(tmp_path):
    made(tmp_path, "sf2f-64", recall(0.2, 1))
    made(tmp_path, "voice2face-64", recall(0.1, 2))
    assert "did you mean 'sf2f-64'" in refusal("sf2f-46", "voice2face-64", tmp_path)
    assert "did you mean 'recall@10/g100'" in refusal("sf2f-64", "voice2face-64", tmp_path, "recal@10/g100")
    assert "nowhere" in refusal("sf2f-64", "voice2face-64", tmp_path / "nowhere")
    assert "a record in common" in refusal("sf2f-64", "sf2f-64", tmp_path)


def test_what_may_not_share_a_table_may_not_be_compared(tmp_path):
    made(tmp_path, "sf2f-64", recall(0.2, 1))
    other = factory.benchmark(data_hash="ffffffffffffffff")
    made(tmp_path, "voice2face-64", recall(0.1, 2), benchmark=other)
    assert "data_hash differs" in refusal("sf2f-64", "voice2face-64", tmp_path)
    made(tmp_path / "version", "sf2f-64", recall(0.2, 1))
    made(tmp_path / "version", "voice2face-64", recall(0.1, 2), version=2)
    assert "version of recall@10/g100 differs" in refusal("sf2f-64", "voice2face-64", tmp_path / "version")
    made(tmp_path / "people", "sf2f-64", recall(0.2, 1))
    others = [f"other{i}" for i in range(N)]
    made(tmp_path / "people", "voice2face-64", recall(0.1, 2), identities=others)
    assert "other test identities" in refusal("sf2f-64", "voice2face-64", tmp_path / "people")


def test_a_name_of_several_rows_asks_which(tmp_path):
    made(tmp_path, "sf2f-64", recall(0.2, 1))
    made(tmp_path, "sf2f-64", recall(0.2, 3), budget="smoke")
    made(tmp_path, "voice2face-64", recall(0.1, 2))
    asked = refusal("sf2f-64", "voice2face-64", tmp_path)
    assert "'sf2f-64 (width 0.25), budget default', 'sf2f-64 (width 0.25), budget smoke'" in asked
    comparison = compare("sf2f-64 (width 0.25), budget smoke", "voice2face-64", tmp_path)[0]
    assert comparison.a.records[0].budget == "smoke"


def test_nothing_in_common_is_said(tmp_path):
    made(tmp_path, "sf2f-64", recall(0.2, 1))
    made(tmp_path, "voice2face-64", distance(0.2, 1))
    assert "no metric by the same extractor" in refusal("sf2f-64", "voice2face-64", tmp_path)


def test_the_committed_records_can_be_compared():
    """Two tables hold both systems."""
    found = compare("linear-listener", "voice2face-64", REFERENCE, "m*/full")
    (comparison,) = found
    assert comparison.title == "synthetic-64/1, protocol sf2f-bench/1"
    bases = {line.metric: line.basis for line in comparison.metrics}
    assert bases == {"median-rank/full": "replicates", "mrr/full": "pseudo-values"}
    assert all(line.n == 300 for line in comparison.metrics)
    frame = comparison.frame()
    assert list(frame["system_a"].unique()) == ["linear-listener"]
    assert (frame["metrics"] > len(frame)).all()
    both = compare("linear-listener", "voice2face-64", REFERENCE, "cosine")
    assert [comparison.a.records[0].benchmark.protocol for comparison in both] == [
        "sf2f-bench/1",
        "sf2f-paper/1",
    ]


def test_rounding_is_no_difference():
    """A sum in another order: neither better nor worse, whatever its spread of nothing would make of it."""
    parts = np.full((1, 40), 0.1)
    exact = Measured(np.array([0.1]), parts, "pseudo-values", 40, ())
    dust = Measured(np.array([0.1 - 1.4e-17]), parts - 3e-16, "pseudo-values", 40, ())
    for a, b in ((exact, dust), (dust, exact)):
        found = compare_scores(a, b, np.random.default_rng(0))
        assert (found.effect, found.interval, found.p) == (0, (0, 0), 1)
    apart = Measured(np.array([0.1 + 1e-6]), parts + 1e-6, "pseudo-values", 40, ())
    assert compare_scores(apart, exact, np.random.default_rng(0)).p < 0.05
