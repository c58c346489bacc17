"""How many different faces, copies, takes: properties, anchors, the metrics as objects."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench.metrics import diversity
from sf2f_bench.metrics.diversity import (
    Consistency,
    ConsistencyAUC,
    CopiedFaces,
    DistinctFaces,
    Diversity,
    EffectiveFaces,
)
from sf2f_bench.metrics.suite import face_metrics
from sf2f_bench.types import BenchError, Features, Score

quick = settings(max_examples=30, deadline=None)
N, D = 60, 24
RANDOM = np.random.default_rng(12)
PEOPLE = RANDOM.standard_normal((N, D))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def near(rows: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return unit(rows + noise * np.random.default_rng(seed).standard_normal(rows.shape)).astype(np.float32)


@pytest.fixture
def real() -> Features:
    """Sixty people with three photos each, forty others with three photos each to train on."""
    others = np.repeat(np.random.default_rng(5).standard_normal((40, D)), 3, axis=0)
    photos = near(np.repeat(PEOPLE, 3, axis=0), 0.15, 1)
    return Features(
        tuple(f"id{i}" for i in range(N)),
        photos.reshape(N, 3, D).mean(axis=1),
        photos[::3],
        photos=photos,
        owners=np.repeat(np.arange(N), 3),
        training_photos=near(others, 0.15, 2),
        training_likeness=np.random.default_rng(6).uniform(0.5, 0.9, 3 * N),
    )


def drawn(faces: np.ndarray, takes: np.ndarray | None = None) -> Features:
    likeness = np.random.default_rng(7).uniform(0.6, 1.0, len(faces))
    return Features(
        tuple(f"id{i}" for i in range(len(faces))),
        faces,
        faces,
        repeat_faces=takes,
        training_likeness=likeness,
    )


def measure(metric, real: Features, fake: Features) -> Score:
    return metric(real, fake, np.random.default_rng(0))


# ---------------------------------------------------------------- functions


def test_mean_distance_on_paper():
    assert diversity.mean_distance(np.eye(5)) == pytest.approx(1)
    assert diversity.mean_distance(np.ones((7, 3))) == pytest.approx(0, abs=1e-12)
    assert diversity.mean_distance([[1.0, 0], [-3, 0]]) == pytest.approx(2)
    assert diversity.mean_distance([[1.0, 0], [2, 0], [0, 5], [0, 0]]) == pytest.approx(1 - 1 / 6)


@quick
@given(seed=st.integers(0, 10_000), n=st.integers(3, 15), d=st.integers(1, 6))
def test_leaving_out_order_and_length(seed, n, d):
    random = np.random.default_rng(seed)
    rows = random.integers(-2, 3, (n, d)).astype(float)  # zero rows, copies and opposites among them
    without = diversity.mean_distance_leave_one_out(rows)
    for i in range(n):
        assert without[i] == pytest.approx(diversity.mean_distance(np.delete(rows, i, axis=0)), abs=1e-12)
    changed = rows[random.permutation(n)] * random.uniform(0.1, 9, (n, 1))
    assert diversity.mean_distance(changed) == pytest.approx(diversity.mean_distance(rows), abs=1e-12)
    assert 1 - 1e-9 <= diversity.effective_number(rows) <= min(n, d) * (1 + 1e-9)
    assert diversity.effective_number(changed) == pytest.approx(diversity.effective_number(rows))


def test_effective_number_on_paper():
    assert diversity.effective_number(np.eye(6)) == pytest.approx(6)
    assert diversity.effective_number(np.ones((9, 4))) == pytest.approx(1)
    assert diversity.effective_number(np.repeat(np.eye(3), 5, axis=0)) == pytest.approx(3)
    shares = np.array([0.5, 0.25, 0.25])
    assert diversity.effective_number(np.eye(3)[[0, 0, 1, 2]]) == pytest.approx(
        np.exp(-np.sum(shares * np.log(shares)))
    )
    assert diversity.effective_number(np.zeros((3, 2))) == 1


def test_same_person_similarity_gives_everybody_one_vote():
    photos = np.array([[1.0, 0], [1, 0], [0, 2], [0, 1], [1, 1], [5, 5], [3, 3], [1, 0], [0, 1]])
    owners = [0, 0, 1, 1, 2, 2, 2, 3, 3]  # cosines 1, 1, 1, 0: the median person is 1
    assert diversity.same_person_similarity(photos, owners) == pytest.approx(1)
    assert diversity.same_person_similarity(photos[4:], owners[4:]) == pytest.approx(0.5)
    assert diversity.same_person_similarity(photos[:3], [0, 1, 2]) is None
    with pytest.raises(BenchError, match="one of each of 9 photos, got \\[8\\]"):
        diversity.same_person_similarity(photos, owners[:-1])


def test_distinct_in_sets_and_in_blocks(monkeypatch):
    monkeypatch.setattr(diversity, "BLOCK", 7)
    rows = unit(np.random.default_rng(3).standard_normal((40, 4)))
    members = np.random.default_rng(4).random((5, 40)) < np.array([1.1, 0.8, 0.5, 0.3, 0.1])[:, None]
    cosine = rows @ rows.T - 9 * np.eye(40)
    got = diversity.is_distinct(rows, 0.8, members)
    for s, kept in enumerate(members):
        largest = np.where(kept, cosine, -9).max(axis=1)
        np.testing.assert_array_equal(got[s], (largest < 0.8) & kept)
    assert 0.1 < got[0].mean() < 0.9


def test_nearest_similarity_in_blocks(monkeypatch):
    monkeypatch.setattr(diversity, "BLOCK", 9)
    a, b = np.random.default_rng(6).standard_normal((2, 31, 5))
    np.testing.assert_allclose(
        diversity.nearest_similarity(a, 7 * b[:20]), (unit(a) @ unit(b[:20]).T).max(axis=1), atol=1e-12
    )
    with pytest.raises(BenchError, match="5 and references of 4"):
        diversity.nearest_similarity(a, b[:, :4])


# ---------------------------------------------------------------- metrics


def test_the_factory_gives_every_metric_once():
    names = [metric.name for metric in face_metrics(100, [1, 10], 300)]
    assert names == [
        "frechet-distance/extrapolated",
        "precision/k5",
        "manifold-recall/k5",
        "density/k5",
        "coverage/k5",
        "diversity",
        "effective-faces",
        "distinct-faces",
        "copied-faces",
        "copied-pictures",
        "consistency",
        "consistency-auc",
        "capped-precision/k5",
    ]
    lower = {metric.name for metric in face_metrics(100, [1], 300) if not metric.higher_is_better}
    assert lower == {"frechet-distance/extrapolated", "copied-faces", "copied-pictures"}


@pytest.mark.parametrize("metric", face_metrics(10, [1], N), ids=lambda metric: metric.name)
def test_a_metric_works_with_the_fewest_identities_it_names_and_not_with_fewer(metric, real):
    with pytest.raises(FrozenInstanceError):
        metric.version = 2
    for n in (metric.min_n, metric.min_n - 1):
        faces = near(PEOPLE[:n], 0.3, 7)
        side = replace(
            real,
            identities=real.identities[:n],
            embeddings=real.embeddings[:n],
            samples=real.samples[:n],
            photos=real.photos[: 3 * n],
            owners=real.owners[: 3 * n],
        )
        fake = drawn(faces, np.stack([faces, faces[::-1]]))
        if n == metric.min_n:
            score = measure(metric, side, fake)
            assert np.isfinite(score.value)
            assert score.n == n
        else:
            with pytest.raises(BenchError, match=f"at least {metric.min_n} identities, got {n}"):
                measure(metric, side, fake)


@pytest.mark.parametrize("metric", face_metrics(10, [1], N), ids=lambda metric: metric.name)
def test_identities_in_another_order_have_the_same_value(metric, real):
    faces, order = near(PEOPLE, 0.6, 8), np.random.default_rng(9).permutation(N)
    fake = drawn(faces, np.stack([faces, near(faces, 0.1, 9)]))
    other_real = replace(real, samples=real.samples[order], embeddings=real.embeddings[order])
    other = drawn(faces[order], fake.repeat_faces[:, order])
    # The line's subsamples are of places in the list, so another order is another choice of them.
    loose = 0.05 if metric.name == "frechet-distance/extrapolated" else 1e-9
    assert measure(metric, other_real, other).value == pytest.approx(
        measure(metric, real, fake).value, abs=loose
    )


def test_one_face_for_all(real):
    one = np.repeat(unit(np.ones((1, D))), N, axis=0).astype(np.float32)
    fake = drawn(one, np.stack([one, one]))
    assert measure(Diversity(), real, fake).value == pytest.approx(0, abs=1e-6)
    assert measure(EffectiveFaces(), real, fake).value == pytest.approx(1, abs=1e-6)
    distinct = measure(DistinctFaces(), real, fake)
    assert distinct.value == 0
    assert distinct.interval == pytest.approx((0, 0.0596), abs=1e-3)  # none of sixty is not none of all
    assert measure(Consistency(), real, fake).value == pytest.approx(1, abs=1e-6)
    assert measure(ConsistencyAUC(), real, fake).value == 0.5


def test_real_photos_are_distinct_and_no_copies(real):
    fake = drawn(near(PEOPLE, 0.15, 11))
    assert measure(DistinctFaces(), real, fake).value == 1
    assert measure(CopiedFaces(), real, fake).value < 0.06
    assert measure(EffectiveFaces(), real, fake).value > 15
    assert measure(Diversity(), real, fake).value == pytest.approx(1, abs=0.03)


def test_a_system_that_shows_training_photos_copies(real):
    shown = real.training_photos[np.random.default_rng(0).permutation(120)[:N]]
    score = measure(CopiedFaces(), real, drawn(shown))
    assert score.value == 1
    assert score.interval == pytest.approx((0.9404, 1), abs=1e-3)
    assert score.per_identity.shape == (N,)
    assert 0 < measure(DistinctFaces(), real, drawn(shown)).value < 1  # some people are shown twice


def test_half_the_people_share_one_face(real):
    faces = near(PEOPLE, 0.15, 12)
    faces[: N // 2] = faces[0]
    score = measure(DistinctFaces(), real, drawn(faces))
    assert score.value == 0.5
    assert score.interval[0] < 0.5 < score.interval[1]
    assert score.per_identity is None
    assert score.replicates.mean() == pytest.approx(0.5, abs=0.03)


def test_takes_that_agree_and_takes_that_do_not(real):
    faces = near(PEOPLE, 0, 0)
    alike = drawn(faces, np.stack([faces, near(faces, 0.05, 13)]))
    unlike = drawn(faces, np.stack([faces, near(PEOPLE[::-1], 0, 14)]))
    assert measure(ConsistencyAUC(), real, alike).value == 1
    assert measure(Consistency(), real, alike).value > 0.95
    assert abs(measure(Consistency(), real, unlike).value) < 0.2
    assert measure(ConsistencyAUC(), real, unlike).value == pytest.approx(0.5, abs=0.15)
    assert measure(ConsistencyAUC(), real, unlike).basis == "pseudo-values"
    for shape in ((2, N - 1, D), (3, N, D)):
        with pytest.raises(BenchError, match=f"takes: expected \\[2, {N}, D\\]"):
            measure(Consistency(), real, drawn(faces, np.ones(shape)))


def test_nobody_with_two_photos_has_no_distinct_faces(real):
    single = replace(real, photos=real.photos[::3], owners=real.owners[::3])
    assert np.isnan(measure(DistinctFaces(), single, drawn(near(PEOPLE, 0.1, 1))).value)
    with pytest.raises(BenchError, match="distinct-faces needs photos"):
        measure(DistinctFaces(), replace(real, photos=None), drawn(near(PEOPLE, 0.1, 1)))
    with pytest.raises(BenchError, match="copied-faces needs training_photos"):
        measure(CopiedFaces(), replace(real, training_photos=None), drawn(near(PEOPLE, 0.1, 1)))


@pytest.mark.parametrize("spectrum", [0.0, 1.0])
def test_intervals_hold_what_so_many_faces_give_on_average(spectrum):
    random, deviation = np.random.default_rng(14), np.arange(1, 13.0) ** (-spectrum / 2)
    people = np.repeat(random.standard_normal((20, 12)) * deviation, 2, axis=0)
    photos = near(people, 0.15, 15)
    found: dict[str, list[Score]] = {}
    for _ in range(50):
        faces = random.standard_normal((80, 12)) * deviation
        fake = drawn(faces)
        owners = np.repeat(np.arange(20), 2)
        true = Features(fake.identities, faces, faces, photos=photos, owners=owners)
        for metric in (Diversity(), EffectiveFaces(), DistinctFaces()):
            found.setdefault(metric.name, []).append(measure(metric, true, fake))
    for name, scores in found.items():
        truth = np.mean([score.value for score in scores])
        held = np.mean([score.interval[0] <= truth <= score.interval[1] for score in scores])
        assert held >= 0.88, name
        if name != "distinct-faces":  # whose interval is too wide where doubles are many
            widths = [score.interval[1] - score.interval[0] for score in scores]
            assert np.mean(widths) < 2 * 4 * np.std([score.value for score in scores]), name
