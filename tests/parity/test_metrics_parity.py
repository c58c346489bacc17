"""The metrics against other people's implementations: scikit-learn, pytorch-fid, torch-fidelity, torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.metrics.pairwise import cosine_similarity as all_cosines
from sklearn.metrics.pairwise import manhattan_distances

from sf2f_bench.metrics.distribution import frechet_distance, kernel_distance
from sf2f_bench.metrics.quality import mutual_information_score
from sf2f_bench.metrics.retrieval import ranks, recall_at_k
from sf2f_bench.metrics.similarity import cosine_similarity, l1_distance, l2_distance
from sf2f_bench.metrics.verification import equal_error_rate, verification_auc

N, D = 120, 32


@pytest.fixture(params=["float32", "float64", "whole numbers with ties"])
def pair(request) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(17)
    if request.param.startswith("whole"):
        gallery = generator.integers(-1, 2, (N, 4)).astype(np.float64)
        return gallery + (generator.random((N, 4)) < 0.2), gallery
    gallery = generator.standard_normal((N, D))
    probes = gallery + 2 * generator.standard_normal((N, D))
    return probes.astype(request.param), gallery.astype(request.param)


@pytest.mark.parametrize("similarity", ["cosine", "l1"])
def test_ranks_are_scikit_learns_by_brute_force(pair, similarity):
    probes, gallery = (rows.astype(np.float64) for rows in pair)
    nearness = (
        all_cosines(probes, gallery) if similarity == "cosine" else -manhattan_distances(probes, gallery)
    )
    own = np.diag(nearness)[:, None]
    better, ties = ranks(*pair, similarity)
    np.testing.assert_array_equal(better, (nearness > own + 1e-9).sum(axis=1))
    np.testing.assert_array_equal(ties, (np.abs(nearness - own) <= 1e-9).sum(axis=1) - 1)


@pytest.mark.parametrize("similarity", ["cosine", "l1"])
def test_recall_without_ties_is_that_of_a_sorted_gallery(similarity):
    generator = np.random.default_rng(4)
    gallery = generator.standard_normal((N, D))
    probes = gallery + 2 * generator.standard_normal((N, D))
    nearness = (
        all_cosines(probes, gallery) if similarity == "cosine" else -manhattan_distances(probes, gallery)
    )
    place = (-nearness).argsort(axis=1).argsort(axis=1).diagonal()
    recall = recall_at_k(probes, gallery, [1, 5, 20], similarity)
    assert recall == pytest.approx({k: (place < k).mean() for k in (1, 5, 20)})


def pairs_of(pair) -> tuple[np.ndarray, np.ndarray]:
    # Rounded, because scikit-learn takes two cosines that differ in the last bit for unlike.
    return np.eye(N).ravel(), all_cosines(*(rows.astype(np.float64) for rows in pair)).round(10).ravel()


def test_verification_auc_is_scikit_learns(pair):
    assert verification_auc(*pair) == pytest.approx(roc_auc_score(*pairs_of(pair)), rel=1e-9)


def test_equal_error_rate_is_where_scikit_learns_curve_crosses(pair):
    false_accepts, true_accepts, _ = roc_curve(*pairs_of(pair), drop_intermediate=False)
    crossing = np.interp(1.0, false_accepts + true_accepts, false_accepts)
    assert equal_error_rate(*pair) == pytest.approx(crossing, rel=1e-9)


def test_similarities_are_torchs(pair):
    drawn, true = (torch.from_numpy(rows).double() for rows in pair)
    expected = torch.nn.functional.cosine_similarity(drawn, true, eps=1e-300).numpy()
    np.testing.assert_allclose(cosine_similarity(drawn, true), expected, atol=1e-12)
    for ours, p in ((l1_distance, 1), (l2_distance, 2)):
        np.testing.assert_allclose(ours(drawn, true), torch.nn.PairwiseDistance(p)(drawn, true), rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(300, 16), (60, 24)])
def test_frechet_distance_is_pytorch_fids(n, d):
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    generator = np.random.default_rng(n)
    a = generator.standard_normal((n, d)) @ generator.standard_normal((d, d))
    b = 0.5 + generator.standard_normal((n - 7, d)) @ generator.standard_normal((d, d))
    moments = [m for x in (a, b) for m in (x.mean(axis=0), np.cov(x, rowvar=False))]
    try:
        expected = fid_score.calculate_frechet_distance(*moments)
    except TypeError as error:  # it asks scipy.linalg.sqrtm for an argument that SciPy 1.18 takes away
        pytest.skip(f"pytorch-fid does not run with this SciPy: {error}")
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-7)


def test_kernel_distance_is_torch_fidelitys():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    generator = np.random.default_rng(8)
    a, b = generator.standard_normal((50, D)), 0.3 + generator.standard_normal((50, D))
    # One subset of all rows is the distance itself; its polynomial kernel's defaults are ours.
    subsets = {"kid_subsets": 1, "kid_subset_size": 50, "verbose": False}
    expected = kid.kid_features_to_metric(torch.from_numpy(a), torch.from_numpy(b), **subsets)
    assert kernel_distance(a, b) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-9)


def test_kernel_distance_is_where_the_mean_over_torch_fidelitys_subsets_goes():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    generator = np.random.default_rng(10)
    a, b = generator.standard_normal((40, 6)), 0.5 + generator.standard_normal((40, 6))
    subsets = {"kid_subsets": 2000, "kid_subset_size": 10, "verbose": False}
    result = kid.kid_features_to_metric(torch.from_numpy(a), torch.from_numpy(b), **subsets)
    mean, deviation = (result[f"kernel_inception_distance_{what}"] for what in ("mean", "std"))
    assert kernel_distance(a, b) == pytest.approx(mean, abs=4 * deviation / np.sqrt(2000))


def test_kernel_distance_is_its_definition_pair_by_pair():
    generator = np.random.default_rng(9)
    a, b = generator.standard_normal((9, 5)), 0.5 * generator.standard_normal((7, 5))

    def mean_kernel(x: np.ndarray, y: np.ndarray, unlike: bool) -> float:
        kernels = [
            (sum(p * q for p, q in zip(u, v, strict=True)) / 5 + 1) ** 3
            for i, u in enumerate(x)
            for j, v in enumerate(y)
            if not (unlike and i == j)
        ]
        return float(np.mean(kernels))

    expected = mean_kernel(a, a, True) + mean_kernel(b, b, True) - 2 * mean_kernel(a, b, False)
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_mutual_information_score_is_torch_fidelitys_inception_score():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = 2 * torch.randn(103, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    result = isc.isc_features_to_metric(logits, splits=5, shuffle=False)
    expected = result["inception_score_mean"], result["inception_score_std"]
    assert mutual_information_score(logits.softmax(dim=1), 5) == pytest.approx(expected, rel=1e-9)
