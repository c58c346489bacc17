"""The first table's metrics as objects: names, needs, anchors at their exact values, refusals."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from sf2f_bench.metrics import retrieval
from sf2f_bench.metrics.distribution import FrechetDistance, KernelDistance
from sf2f_bench.metrics.quality import MutualInformationScore
from sf2f_bench.metrics.retrieval import Recall
from sf2f_bench.metrics.similarity import TrueIdentity
from sf2f_bench.metrics.suite import identity_metrics
from sf2f_bench.types import BenchError, Features, Score

N, D, GALLERY, KS = 30, 8, 10, (1, 2, 5, 10)


def features(embeddings: np.ndarray, seed: int = 0, **changes) -> Features:
    generator = np.random.default_rng(seed)
    n = len(embeddings)
    both = Features(
        identities=tuple(f"id{i}" for i in range(n)),
        embeddings=embeddings.astype(np.float32),
        samples=generator.standard_normal((n, 5)).astype(np.float32),
        probabilities=generator.dirichlet(np.ones(7), n).astype(np.float32),
    )
    return replace(both, **changes)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def real() -> Features:
    return features(0.8 * unit(np.random.default_rng(1).standard_normal((N, D))))


@pytest.fixture
def fake(real: Features) -> Features:
    noise = np.random.default_rng(2).standard_normal((N, D))
    return features(unit(real.embeddings + 0.4 * noise), seed=9)


def scores(real: Features, fake: Features, size: int = GALLERY) -> dict[str, Score]:
    metrics = identity_metrics(size, [k for k in KS if k <= size], len(real.identities))
    return {
        metric.name: metric(real, fake, np.random.default_rng(0))
        for metric in metrics
        if set(metric.needs) <= fake.offers
    }


def test_the_table_has_every_metric_once_in_the_fields_names():
    names = [metric.name for metric in identity_metrics(100, [1, 2, 5, 10, 20, 50], 300)]
    assert names[:6] == [f"recall@{k}/g100" for k in (1, 2, 5, 10, 20, 50)]
    assert names[6:12] == [f"recall@{k}-l1/g100" for k in (1, 2, 5, 10, 20, 50)]
    assert names[12:18] == [f"recall@{k}/full" for k in (1, 2, 5, 10, 20, 50)]
    assert names[18:] == [
        "median-rank/full",
        "mrr/full",
        "cosine",
        "l1",
        "l2",
        "inter-identity-similarity",
        "verification-auc",
        "mutual-information-score/parts5",
        "frechet-distance",
        "kernel-distance",
        "heard@10/g100",
        "cosine-heard",
    ]
    assert len(set(names)) == len(names)


def test_metrics_are_frozen_and_say_what_they_need():
    for metric in identity_metrics(GALLERY, KS, N):
        assert metric.version == 1
        assert set(metric.needs) <= {"ranking", "embeddings", "samples", "probabilities"}
        with pytest.raises(FrozenInstanceError):
            metric.version = 2
    better = {metric.name: metric.higher_is_better for metric in identity_metrics(GALLERY, KS, N)}
    assert [name for name, higher in better.items() if not higher] == [
        "median-rank/full",
        "l1",
        "l2",
        "inter-identity-similarity",
        "frechet-distance",
        "kernel-distance",
    ]


def test_every_score_holds_its_value_its_n_and_its_per_identity_mean(real, fake):
    for name, score in scores(real, fake).items():
        assert np.isfinite(score.value), name
        assert score.n == N
        if score.interval is not None:
            assert score.interval[0] <= score.value <= score.interval[1], name
        if score.per_identity is not None:
            assert score.per_identity.shape == (N,)
            assert name.startswith("median") == (score.basis == "median")
            if score.basis != "pseudo-values":  # their mean is the value less its bias
                mean = np.median if score.basis == "median" else np.mean
                assert score.value == pytest.approx(mean(score.per_identity)), name
    with_rows = {name for name, score in scores(real, fake).items() if score.per_identity is not None}
    assert {"recall@1/g10", "recall@5-l1/g10", "recall@2/full", "mrr/full", "cosine", "l1"} <= with_rows
    without = {name for name, score in scores(real, fake).items() if score.interval is None}
    assert without == set()


def test_drawn_faces_search_among_the_true_ones(real, fake):
    better, ties = retrieval.ranks(fake.embeddings, real.embeddings)
    assert (better != retrieval.ranks(real.embeddings, fake.embeddings)[0]).any()
    expected = retrieval.expected_recall(better, ties, N, GALLERY, 5)
    np.testing.assert_array_equal(scores(real, fake)["recall@5/g10"].own, expected)
    difference = fake.embeddings.astype(np.float64) - real.embeddings + 1e-6
    assert scores(real, fake)["l1"].value == pytest.approx(np.abs(difference).sum(axis=1).mean())


def test_chance_and_truth_stand_at_their_exact_values(real):
    chance = features(np.ones((N, 1)), own_space=True, samples=None, probabilities=None)
    got = scores(replace(real, embeddings=np.ones((N, 1), np.float32)), chance)
    assert set(got) == {m.name for m in identity_metrics(GALLERY, KS, N) if m.needs == ("ranking",)}
    for k in KS:
        assert got[f"recall@{k}/g10"].value == pytest.approx(k / GALLERY, rel=1e-12)
        assert got[f"recall@{k}/full"].interval == pytest.approx((k / N, k / N), rel=1e-9) if k < N else True
    assert got["median-rank/full"].value == (N + 1) / 2
    assert got["verification-auc"].value == 0.5

    truth = scores(real, replace(real, embeddings=unit(real.embeddings)))
    assert truth["recall@1/g10"].value == truth["mrr/full"].value == truth["verification-auc"].value == 1
    assert truth["median-rank/full"].value == 1
    assert truth["cosine"].value == pytest.approx(1, abs=1e-6)
    assert truth["l2"].value == pytest.approx(0.2, abs=1e-4)  # templates are not brought to length 1
    assert 0.8 < truth["recall@1/g10"].interval[0] < 1
    assert truth["frechet-distance"].value == pytest.approx(0, abs=1e-9)


def test_a_gender_oracle_in_its_own_space_is_twice_chance():
    gender = features(np.eye(2)[np.arange(100) % 2], own_space=True)
    got = scores(gender, gender, size=100)
    assert [got[f"recall@{k}/g100"].value for k in KS] == pytest.approx([0.02, 0.04, 0.1, 0.2], rel=1e-12)
    assert "cosine" not in got


def test_ranks_are_computed_once_for_all_metrics_of_a_pair(real, fake, monkeypatch):
    calls = []
    original = retrieval.ranking

    def counting(probes, gallery, similarity):
        calls.append(similarity)
        return original(probes, gallery, similarity)

    monkeypatch.setattr(retrieval, "ranking", counting)
    scores(real, fake)
    assert sorted(calls) == ["cosine", "l1"]
    scores(real, replace(fake, embeddings=fake.embeddings[::-1].copy()))
    assert len(calls) == 4


@pytest.mark.parametrize("metric", identity_metrics(GALLERY, KS, N), ids=lambda metric: metric.name)
def test_a_metric_works_with_the_fewest_identities_it_names_and_not_with_fewer(metric):
    for n in (metric.min_n, metric.min_n - 1):
        rows = unit(np.random.default_rng(n).standard_normal((n, D)))
        real, fake = features(rows), features(-rows, seed=1)
        if n == metric.min_n:
            score = metric(real, fake, np.random.default_rng(0))
            assert np.isfinite(score.value)
            assert score.n == n
        else:
            with pytest.raises(BenchError, match=f"at least {metric.min_n} identities, got {n}"):
                metric(real, fake, np.random.default_rng(0))


def test_the_parts_are_shuffled_by_the_generator(real, fake):
    metric = MutualInformationScore()
    first, second = (metric(real, fake, np.random.default_rng(seed)) for seed in (0, 1))
    assert first.value == metric(real, fake, np.random.default_rng(0)).value != second.value
    assert first.spread > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((5, [10], 30), "a gallery of 5 cannot give recall@10"),
        ((100, [10], 30), "galleries of 100 need as many test identities, there are 30"),
        ((10, [0], 30), "recall@0"),
        ((10, [], 30), "no k"),
    ],
)
def test_a_table_that_cannot_be_is_refused(settings, message):
    with pytest.raises(BenchError, match=message):
        identity_metrics(*settings)


def test_unlike_sides_and_missing_features_are_refused(real, fake):
    generator = np.random.default_rng(0)
    with pytest.raises(BenchError, match="same identities in the same order"):
        Recall(1)(real, replace(fake, identities=fake.identities[::-1]), generator)
    with pytest.raises(BenchError, match="kernel-distance needs samples"):
        KernelDistance()(real, replace(fake, samples=None), generator)
    with pytest.raises(BenchError, match="frechet-distance needs samples"):
        FrechetDistance()(replace(real, samples=None), fake, generator)
    with pytest.raises(BenchError, match="cosine needs embeddings"):
        TrueIdentity("cosine")(real, replace(fake, own_space=True), generator)
    with pytest.raises(BenchError, match="30 identities but 29 embeddings on the generated side"):
        Recall(1)(real, replace(fake, embeddings=fake.embeddings[1:]), generator)
