"""The metrics against what the official SF2F code gave on fixed inputs (tests/golden/README.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sf2f_bench.metrics.distribution import frechet_distance
from sf2f_bench.metrics.quality import mutual_information_score
from sf2f_bench.metrics.retrieval import inter_identity_similarity, recall_at_k
from sf2f_bench.metrics.similarity import cosine_similarity, l1_distance, l2_distance
from sf2f_bench.protocols.paper import metrics as paper

GOLDEN = Path(__file__).parent
COSINE_KS, L1_KS = (1, 2, 5, 10, 20, 50), (1, 5, 10, 50)


@pytest.fixture(scope="module")
def retrieval() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "retrieval.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("start", [0, 100, 200])
@pytest.mark.parametrize(("similarity", "key", "ks"), [("cosine", "cos", COSINE_KS), ("l1", "L1", L1_KS)])
def test_recall_in_each_gallery_of_100(retrieval, start, similarity, key, ks):
    rows = slice(start, start + 100)
    recall = recall_at_k(retrieval["pred"][rows], retrieval["data"][rows], ks, similarity)
    np.testing.assert_allclose(list(recall.values()), retrieval[f"{key}_query_{start}"], rtol=1e-12)


def test_mean_recall_of_the_three_galleries(retrieval):
    galleries = [slice(start, start + 100) for start in (0, 100, 200)]
    recalls = [recall_at_k(retrieval["pred"][g], retrieval["data"][g], COSINE_KS) for g in galleries]
    means = [np.mean([recall[k] for recall in recalls]) for k in COSINE_KS]
    np.testing.assert_allclose(means, retrieval["recall_mean"], rtol=1e-12)


@pytest.mark.parametrize(
    ("metric", "key"), [(l2_distance, "L2"), (l1_distance, "L1"), (cosine_similarity, "cos")]
)
def test_similarity_to_the_true_identity(retrieval, metric, key):
    assert metric(retrieval["pred"], retrieval["data"]).mean() == pytest.approx(retrieval[key], rel=1e-5)


@pytest.mark.parametrize("runs", [1, 3])
def test_paper_protocol_gives_the_published_codes_numbers(retrieval, runs):
    """All of `similarity_metrics` in one go; runs that are alike change nothing and have no spread."""
    metrics = paper.similarity_metrics(100, COSINE_KS, 300)
    names = [f"recall@{k}/g100x3" for k in COSINE_KS] + ["cosine", "l1", "l2"]
    assert [metric.name for metric in metrics] == names
    expected = [*retrieval["recall_mean"], retrieval["cos"], retrieval["L1"], retrieval["L2"]]
    predictions = np.repeat(retrieval["pred"][None], runs, axis=0)
    for metric, value in zip(metrics, expected, strict=True):
        score = paper.over_runs(metric, predictions, retrieval["data"], np.random.default_rng(0))
        assert score.value == pytest.approx(float(value), rel=1e-12 if "recall" in metric.name else 1e-5)
        assert score.n == 300
        assert score.spread == (None if runs == 1 else pytest.approx(0, abs=1e-9))


def test_paper_protocol_stops_after_the_third_gallery(retrieval):
    """378 test people, as in HQ-VoxCeleb: the 78 past row 300 change no recall."""
    more = np.random.default_rng(0).standard_normal((2, 78, 512))
    drawn, true = (
        np.concatenate([retrieval[key], rows]) for key, rows in zip(("pred", "data"), more, strict=True)
    )
    metrics = paper.similarity_metrics(100, COSINE_KS, 378)
    found = [metric(drawn, true).mean() for metric in metrics if "recall" in metric.name]
    np.testing.assert_allclose(found, retrieval["recall_mean"], rtol=1e-12)


def test_inter_identity_similarity(retrieval):
    value = inter_identity_similarity(retrieval["pred"], retrieval["data"])
    assert value == pytest.approx(float(retrieval["ih_sim"]), rel=1e-5)


def test_mutual_information_score():
    with np.load(GOLDEN / "vfs.npz") as vfs:
        mean, spread = mutual_information_score(vfs["probs"], 5, vfs["perm"])
        assert (mean, spread) == pytest.approx((float(vfs["mean"]), float(vfs["std"])), rel=1e-5)
        assert (mean, spread) == pytest.approx((float(vfs["mean64"]), float(vfs["std64"])), rel=1e-6)


def test_paper_protocols_quality_over_runs():
    """The golden order as the shuffle of each of two runs."""
    with np.load(GOLDEN / "vfs.npz") as vfs:

        class Order:
            def permutation(self, n):
                return vfs["perm"]

        found = paper.quality_over_runs(paper.MutualInformation(), np.stack([vfs["probs"]] * 2), Order())
        score, deviation = found
        assert (score.value, deviation.value) == pytest.approx(
            (float(vfs["mean"]), float(vfs["std"])), rel=1e-5
        )
        assert score.spread == pytest.approx(0, abs=1e-9)


def test_frechet_distance():
    with np.load(GOLDEN / "frechet.npz") as frechet:
        assert frechet_distance(frechet["a"], frechet["b"]) == pytest.approx(float(frechet["fd"]), rel=1e-7)
