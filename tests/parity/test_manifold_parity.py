"""Precision, recall, density and coverage against torch-fidelity, the prdc package and every pair by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sf2f_bench.metrics.diversity import effective_number, mean_distance
from sf2f_bench.metrics.manifold import neighbourhoods

K = 5


@pytest.fixture(params=["alike", "narrow", "apart"])
def pair(request) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    true, drawn = generator.standard_normal((2, 150, 12))
    if request.param == "narrow":
        drawn = 0.6 * drawn
    if request.param == "apart":
        drawn = drawn + 0.7
    return true, drawn


def shares(true: np.ndarray, drawn: np.ndarray, k: int = K) -> dict[str, float]:
    found = neighbourhoods(true, drawn, k)
    return {side: getattr(found, side)[0].mean() for side in ("precision", "recall", "density", "coverage")}


@pytest.mark.parametrize("k", [3, 5])
def test_precision_and_recall_are_torch_fidelitys(pair, k):
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    true, drawn = (torch.from_numpy(rows) for rows in pair)
    options = {"prc_neighborhood": k, "prc_batch_size": 64, "save_cpu_ram": False, "verbose": False}
    expected = prc.prc_features_to_metric(drawn, true, **options)
    got = shares(*pair, k)
    assert got["precision"] == pytest.approx(expected["precision"], abs=1e-6)
    assert got["recall"] == pytest.approx(expected["recall"], abs=1e-6)


def test_all_four_are_the_prdc_packages(pair):
    prdc = pytest.importorskip("prdc")
    assert shares(*pair) == pytest.approx(prdc.compute_prdc(*pair, nearest_k=K), rel=1e-12)


def test_all_four_are_their_definitions_pair_by_pair(pair):
    true, drawn = (rows[:60] for rows in pair)

    def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.array([[np.linalg.norm(u - v) for v in y] for u in x])

    def radii(x: np.ndarray) -> np.ndarray:
        return np.sort(distances(x, x), axis=1)[:, K]  # the face itself comes first

    across, of_true, of_drawn = distances(true, drawn), radii(true), radii(drawn)
    in_true = across <= of_true[:, None]
    expected = {
        "precision": in_true.any(axis=0).mean(),
        "recall": (across <= of_drawn).any(axis=1).mean(),
        "density": in_true.sum() / (K * 60),
        "coverage": in_true.any(axis=1).mean(),
    }
    assert shares(true, drawn) == pytest.approx(expected, rel=1e-12)


def test_effective_number_is_the_entropy_of_the_whole_kernels_spectrum(pair):
    rows = pair[0] / np.linalg.norm(pair[0], axis=1, keepdims=True)
    spectrum = np.linalg.eigvalsh(rows @ rows.T / len(rows))
    spectrum = spectrum[spectrum > 1e-12]
    assert effective_number(pair[0]) == pytest.approx(np.exp(-np.sum(spectrum * np.log(spectrum))), rel=1e-9)


def test_mean_distance_is_scikit_learns_over_all_pairs(pair):
    from sklearn.metrics.pairwise import cosine_distances

    expected = cosine_distances(pair[0])[~np.eye(150, dtype=bool)].mean()
    assert mean_distance(pair[0]) == pytest.approx(expected, rel=1e-10)
