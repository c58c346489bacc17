"""CLIP and CMMD: the network against transformers' own, the discrepancy against a plain computation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from weight_files import publish

from sf2f_bench.benchmarks import benchmark_named
from sf2f_bench.extractors import clip
from sf2f_bench.extractors.clip import ClipExtractor
from sf2f_bench.extractors.weights import FOLDER_VARIABLE
from sf2f_bench.metrics.distribution import (
    ClipDiscrepancy,
    clip_discrepancy,
    clip_discrepancy_leave_one_out,
)
from sf2f_bench.protocols.bench.scoring import all_metrics, metrics_for
from sf2f_bench.types import BenchError, Features, Unavailable

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
    "projection_dim": 16,
    "hidden_act": "quick_gelu",
}


def plain(a: np.ndarray, b: np.ndarray) -> float:
    """Entry by entry, without a shortcut."""
    a, b = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b))

    def kernel(x, y):
        return np.exp(-np.sum((x - y) ** 2) / (2 * 10.0**2))

    n, m = len(a), len(b)
    same_a = np.mean([kernel(a[i], a[j]) for i in range(n) for j in range(n) if i != j])
    same_b = np.mean([kernel(b[i], b[j]) for i in range(m) for j in range(m) if i != j])
    return same_a + same_b - 2 * np.mean([kernel(x, y) for x in a for y in b])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 9), d=st.integers(1, 6))
def test_the_discrepancy_and_leaving_out(seed, n, d):
    random = np.random.default_rng(seed)
    a, b = random.standard_normal((n, d)), random.standard_normal((n, d)) + 0.5
    assert clip_discrepancy(a, b) == pytest.approx(plain(a, b), abs=1e-12)
    assert clip_discrepancy(3 * a, b / 7) == pytest.approx(clip_discrepancy(a, b), abs=1e-14)
    without = clip_discrepancy_leave_one_out(a, b)
    for i in range(n):
        expected = clip_discrepancy(np.delete(a, i, axis=0), np.delete(b, i, axis=0))
        assert without[i] == pytest.approx(expected, abs=1e-12)


def test_it_is_unbiased_where_the_authors_estimate_is_not():
    random = np.random.default_rng(0)
    unbiased, biased = [], []
    for _ in range(200):
        a, b = random.standard_normal((2, 20, 4))
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (a, b)]
        kernels = {(i, j): np.exp((unit[i] @ unit[j].T - 1) / 100).mean() for i in (0, 1) for j in (0, 1)}
        biased.append(kernels[0, 0] + kernels[1, 1] - 2 * kernels[0, 1])
        unbiased.append(clip_discrepancy(a, b))
    error = np.std(unbiased) / np.sqrt(len(unbiased))
    assert abs(np.mean(unbiased)) < 3 * error
    assert np.mean(biased) > 10 * error


def test_a_shift_is_found():
    random = np.random.default_rng(1)
    names = tuple(map(str, range(60)))
    real = random.standard_normal((60, 8))
    for shift, found in ((0.0, False), (1.0, True)):
        drawn = random.standard_normal((60, 8)) + shift
        sides = (Features(names, rows, rows, recognises=False) for rows in (real, drawn))
        score = ClipDiscrepancy()(*sides, random)
        assert (score.interval[0] > 0) == found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a file of the published names; the network is small, for the real one has 304 million weights."""
    pytest.importorskip("transformers")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(clip, "SHAPE", SMALL)
    return tmp_path


def put_weights(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: torch.Tensor):
    """The network whose weights the file holds, beside some of the words' side."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    network = CLIPVisionModelWithProjection(CLIPVisionConfig(**SMALL)).eval()
    others = {
        "text_model.final_layer_norm.weight": torch.ones(3),
        "logit_scale": torch.tensor(4.6),
        "vision_model.embeddings.position_ids": torch.arange(17)[None],
    }
    torch.save(network.state_dict() | others | changes, folder / ClipExtractor.FILE)
    publish(folder / ClipExtractor.FILE, monkeypatch)
    return network


def test_the_network_is_that_of_transformers(folder, monkeypatch):
    network = put_weights(folder, monkeypatch)
    from transformers import CLIPImageProcessor

    pictures = torch.randint(0, 256, (3, 3, 56, 56), generator=torch.Generator().manual_seed(3)).byte()
    found, classes = ClipExtractor("clip-vitl14-336")(pictures)
    processor = CLIPImageProcessor(do_resize=False, do_center_crop=False)
    pixels = processor(images=list(pictures), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = network(pixel_values=pixels).image_embeds
    assert classes is None
    assert torch.allclose(found, expected / expected.norm(dim=1, keepdim=True), atol=1e-5)


def test_faces_of_any_size_are_enlarged(folder, monkeypatch):
    put_weights(folder, monkeypatch)
    found, _ = ClipExtractor()(torch.full((2, 3, 20, 31), 99).byte())
    assert torch.allclose(found.norm(dim=1), torch.ones(2))


def test_other_weights_are_refused(folder, monkeypatch):
    put_weights(folder, monkeypatch, **{"visual_projection.weight": torch.zeros(9, 32)})
    with pytest.raises(BenchError, match=r"visual_projection.weight \[9, 32\] instead of \[16, 32\]"):
        ClipExtractor()


def test_what_is_missing_is_named(folder, monkeypatch):
    with pytest.raises(Unavailable, match=ClipExtractor.FILE):
        ClipExtractor()
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(Unavailable, match=r"pip install 'sf2f-bench\[clip\]'"):
        ClipExtractor()


def test_the_published_size_is_stated():
    assert (clip.SHAPE["image_size"], clip.SHAPE["hidden_size"], clip.SHAPE["projection_dim"]) == (
        336,
        1024,
        768,
    )


def test_clip_alone_is_asked_for_it():
    benchmark = benchmark_named("synthetic-64")
    for key, asked in (("clip-vitl14-336", True), ("inception-2015", False), ("judge", False)):
        assert ("cmmd" in {metric.name for metric in metrics_for(benchmark, 300, key)}) == asked
    assert "cmmd" not in {
        metric.name for metric in all_metrics(benchmark, 300)
    }  # so no key of other runs knows it
    with_clip = replace(benchmark, further=("clip-vitl14-336",))
    assert "cmmd" in {metric.name for metric in all_metrics(with_clip, 300)}
