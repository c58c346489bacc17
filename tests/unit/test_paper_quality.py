"""Protocol sf2f-paper/1: FID, inception score and the ten runs, on people that can be worked out by hand."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import entropy

from baselines import anchors
from sf2f_bench.data.prepared import prepare
from sf2f_bench.files import seed_of
from sf2f_bench.metrics.quality import mutual_information_score
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.names import RUNS
from sf2f_bench.protocols.paper import metrics as paper
from sf2f_bench.protocols.paper.runs import Predictions
from sf2f_bench.protocols.paper.scoring import paper_scores, random_photos
from sf2f_bench.types import BenchError
from tests.tiny import TinyDataset, TinyFrontend
from tests.unit.paper_world import BENCHMARK, PEOPLE, Painter, Pictures, draw, values
from tests.unit.test_evaluation import make_evaluation


@pytest.fixture
def evaluation(tmp_path):
    return make_evaluation(tmp_path, PEOPLE, BENCHMARK)


# ---------------------------------------------------------------- quality


def test_fid_is_a_mean_over_runs_each_with_its_own_photos(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    system = Painter(fuses=False)
    found = paper_scores(evaluation, draw(evaluation, system))
    photos = random_photos(evaluation, "inception-2015", RUNS)
    assert photos.shape == (RUNS, 14, 12)
    of_person = [evaluation.embed("inception-2015", faces)[0] for faces in evaluation.test_faces]
    which = [
        [int(np.abs(every - run[i]).sum(axis=1).argmin()) for i, every in enumerate(of_person)]
        for run in photos
    ]
    picked = [[every[j] for every, j in zip(of_person, run, strict=True)] for run in which]
    np.testing.assert_array_equal(photos, picked)
    assert {j for run in which for j in run} == {0, 1, 2}
    assert len({tuple(run) for run in which}) == RUNS
    drawn = draw(evaluation, system).pools[""]
    by_hand = [frechet_distance_of(run, faces) for run, faces in zip(photos, drawn, strict=True)]
    assert values(found)["frechet-distance"] == pytest.approx(np.mean(by_hand), rel=1e-3)
    assert values(found, "spread")["frechet-distance"] == pytest.approx(np.std(by_hand), rel=1e-2)
    assert values(found, "n")["frechet-distance"] == 14
    assert values(found, "interval")["frechet-distance"] is None


def frechet_distance_of(a, b):
    """By the eigenvalues of the product of the covariances, whose roots sum to the trace of its root."""
    left, right = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(left @ right).astype(complex)).real.sum()
    return np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + np.trace(left + right) - 2 * roots


def test_the_inception_score_has_three_parts_in_the_order_of_the_list(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    for suffix in ("", "/fused"):
        runs = predictions.classes[suffix]
        by_hand = []
        for run in runs.astype(np.float64):
            parts = [run[:4], run[4:9], run[9:]]  # 14 faces cut at 14 / 3 and 28 / 3
            by_hand.append([inception_score_of(part) for part in parts])
        name = f"mutual-information/3-parts{suffix}"
        assert values(found)[name] == pytest.approx(np.mean(by_hand), rel=1e-5)
        assert values(found)[f"{name}/deviation"] == pytest.approx(np.std(by_hand, axis=1).mean(), rel=1e-4)
        assert values(found, "spread")[name] == pytest.approx(np.mean(by_hand, axis=1).std(), rel=1e-3)
    assert {score.extractor for score in found.scores if "3-parts" in score.metric} == {"pictures/1"}
    assert {score.extractor_role for score in found.scores if "3-parts" in score.metric} == {"further"}
    assert "frechet-distance/fused" in values(found)


def inception_score_of(part):
    return np.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part]))


@given(st.integers(0, 2**32 - 1))
def test_fid_ignores_the_order_of_people_and_is_zero_for_the_photos_themselves(seed):
    random = np.random.default_rng(seed)
    photos, faces = random.standard_normal((2, 9, 4))
    metric, order = paper.PublishedFrechetDistance(), random.permutation(9)
    assert metric(photos[order], faces) == pytest.approx(metric(photos, faces))
    assert metric(photos, photos[order]) == pytest.approx(0, abs=1e-9)
    assert metric(3 * photos, 3 * faces) == pytest.approx(9 * metric(photos, faces))


@given(st.integers(0, 2**32 - 1))
def test_the_inception_score_is_between_one_and_the_size_of_a_part(seed):
    random = np.random.default_rng(seed)
    score, deviation = paper.inception_score()(random.dirichlet(np.full(8, 0.2), 12), random)
    assert 1 <= score <= 4
    assert deviation >= 0
    sure = np.eye(4)[np.arange(12) % 4]
    assert paper.inception_score()(sure, random) == (pytest.approx(4), pytest.approx(0))
    same = np.repeat(random.dirichlet(np.ones(8), 1), 12, axis=0)
    assert paper.inception_score()(same, random) == (pytest.approx(1), pytest.approx(0))


def test_inception_that_is_not_here_leaves_its_reason(evaluation):
    evaluation.missing["inception-2015"] = "Inception: the file is not there. Put it into /home/somebody."
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["frechet-distance"] == reasons["mutual-information/3-parts/fused"]
    assert "needs inception-2015, which is not installed" in reasons["frechet-distance"]
    assert "/home" not in reasons["frechet-distance"]
    del evaluation.missing["inception-2015"]
    found = paper_scores(evaluation, anchors.MeanFace().answer(evaluation))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["frechet-distance"] == "needs inception-2015, which this benchmark does not use"


def test_an_anchor_that_draws_has_fid_of_one_run_and_one_that_asks_has_none(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    found = paper_scores(evaluation, anchors.MeanFace().answer(evaluation))
    assert values(found)["frechet-distance"] > 0
    assert values(found, "spread")["frechet-distance"] is None
    assert values(found)["mutual-information/3-parts"] == pytest.approx(1)
    asked = paper_scores(evaluation, anchors.LinearListener().answer(evaluation))
    reasons = {gone.metric: gone.reason for gone in asked.absent}
    assert reasons["frechet-distance"] == "needs faces, which this row does not give"


def test_the_papers_classifier_scores_where_the_benchmark_names_one(evaluation):
    evaluation.benchmark = replace(BENCHMARK, paper_classifier="wrong-colours")
    evaluation.missing["wrong-colours"] = "its file is not there"
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert "needs wrong-colours" in reasons["mutual-information/5-parts"]  # and the judge does not stand in
    evaluation.extractors["paper-classifier"] = Pictures()
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    (score,) = [score for score in found.scores if score.metric == "mutual-information/5-parts"]
    assert (score.extractor, score.extractor_role) == ("pictures/1", "further")


def test_too_few_people_for_three_parts_are_named(tmp_path):
    few = TinyDataset(counts={"train": 6, "val": 2, "test": 5})
    evaluation = make_evaluation(tmp_path, few, BENCHMARK)
    evaluation.extractors["inception-2015"] = Pictures()
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["mutual-information/3-parts"] == "needs 6 identities, there are 5"
    assert "frechet-distance" in values(found)


# ---------------------------------------------------------------- ten runs


def test_numbers_are_means_over_runs_with_their_spread(evaluation):
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    truth = evaluation.templates_of_all_photos("training-loss")
    singles = [
        values(paper_scores(evaluation, replace(predictions, embeddings={"": run[None]}, mode="anchor")))
        for run in predictions.embeddings[""]
    ]
    for metric in ("recall@1/g4x3", "cosine", "l1", "l2"):
        runs = [single[metric] for single in singles]
        assert values(found)[metric] == pytest.approx(np.mean(runs))
        assert values(found, "spread")[metric] == pytest.approx(np.std(runs))
        assert np.std(runs) > 0
    assert found.columns["cosine|pixels/1"] == pytest.approx(
        np.mean(
            [paper.PublishedSimilarity("cosine")(run, truth) for run in predictions.embeddings[""]], axis=0
        )
    )
    low, high = values(found, "interval")["cosine"]
    assert low < values(found)["cosine"] < high


def test_quality_is_a_mean_over_runs_with_its_deviation_over_parts(evaluation):
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    random = np.random.default_rng(seed_of("mutual-information/5-parts", "pixels/1"))
    by_hand = [
        mutual_information_score(run, 5, random.permutation(14)) for run in predictions.probabilities[""]
    ]
    scores, deviations = np.transpose(by_hand)
    assert values(found)["mutual-information/5-parts"] == pytest.approx(scores.mean())
    assert values(found, "spread")["mutual-information/5-parts"] == pytest.approx(scores.std())
    assert values(found)["mutual-information/5-parts/deviation"] == pytest.approx(deviations.mean())
    assert "mutual-information/5-parts/fused" in values(found)
    roles = {score.metric.split("/")[0]: score.extractor_role for score in found.scores}
    assert roles == {
        "recall@1": "training-loss",
        "recall@2": "training-loss",
        "cosine": "training-loss",
        "l1": "training-loss",
        "l2": "training-loss",
        "mutual-information": "judge",
    }


def test_the_same_seed_gives_the_same_numbers_and_noise_another(evaluation):
    first, again, other = (
        paper_scores(evaluation, draw(evaluation, Painter(noise=0.5, fuses=False), seed))
        for seed in (3, 3, 4)
    )
    assert first.scores == again.scores
    assert values(first)["cosine"] != values(other)["cosine"]


def test_kept_predictions_give_the_same_scores(evaluation, tmp_path):
    evaluation.extractors["inception-2015"] = Pictures()
    for fuses in (True, False):
        predictions = draw(evaluation, Painter(fuses=fuses))
        predictions.save(tmp_path / "x.safetensors")
        kept = Predictions.load(tmp_path / "x.safetensors")
        assert {"frechet-distance", "mutual-information/3-parts"} <= set(
            values(paper_scores(evaluation, kept))
        )
        assert paper_scores(evaluation, kept).scores == paper_scores(evaluation, predictions).scores
        np.testing.assert_array_equal(kept.faces, predictions.faces)


def test_a_store_of_other_people_is_refused(evaluation, tmp_path):
    broken = frozenset({("test-3", "u0"), ("test-3", "u1")})
    data = replace(PEOPLE, broken=broken)
    store = prepare(data, TinyFrontend(), 16, tmp_path / "other", make_reporter(), jobs=1)
    with pytest.raises(BenchError, match="13 test identities that are not the benchmark's 14"):
        draw(evaluation, Painter(), store=store)


def test_a_front_end_with_longer_windows_has_its_own_store(evaluation, tmp_path):
    frontend = TinyFrontend(id="long", filters=7, segment_frames=200)
    store = prepare(PEOPLE, frontend, 16, tmp_path / "long", make_reporter(), jobs=1)
    system = Painter(frontend=frontend)
    predictions = draw(evaluation, system, store=store)
    assert set(system.shapes) == {(14, 1, 7, 200)}  # of 300 and 140 frames one window of 200
    assert len(paper_scores(evaluation, predictions).scores) == 14  # recall@1, @2, three distances; twice; MI


def make_reporter():
    return Reporter(Console(file=io.StringIO()))
