"""Every metric with float16, huge, tiny and constant features: a right number, or a clear error, never a wrong one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sf2f_bench.metrics import distribution
from sf2f_bench.metrics.draws import draw_metrics
from sf2f_bench.metrics.suite import face_metrics, identity_metrics, matching_metrics
from sf2f_bench.types import BenchError, Features, Score

N, WIDTH = 40, 6
PEOPLE = tuple(map(str, range(N)))
METRICS = {
    metric.name: metric
    for factory in (identity_metrics, face_metrics, matching_metrics)
    for metric in factory(10, [1, 5, 10], N)
}
METRICS |= {metric.name: metric for metric in draw_metrics(identity_metrics(10, [1, 5], N), N, 4)}
OF_SCALE = (
    "l1",
    "l2",
    "frechet-distance",
    "frechet-distance/extrapolated",
    "kernel-distance",
)  # not scale-free
FIELDS = ("embeddings", "samples", "repeat_faces", "draws", "photos", "training_photos")
quick = settings(max_examples=6, deadline=None)
every_metric = pytest.mark.parametrize("name", METRICS)


def pair(seed: int, d: int = WIDTH) -> tuple[Features, Features]:
    """Features that float16 can hold, of people with two photos each."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal((N, d))
    drawn = 0.6 * truth + 0.8 * random.standard_normal((N, d))
    photos = np.repeat(truth, 2, axis=0) + 0.3 * random.standard_normal((2 * N, d))
    strata = {word: tuple(["f", "m"] * (N // 2)) for word in ("G", "N", "A", "GNA")}
    classes = np.exp(random.standard_normal((N, 8)))
    real = Features(
        PEOPLE, truth, photos[::2], photos=photos, owners=np.repeat(np.arange(N), 2), strata=strata
    )
    real = replace(
        real,
        training_photos=random.standard_normal((50, d)),
        training_likeness=random.uniform(0.5, 0.9, 2 * N),
    )
    takes = drawn + 0.3 * random.standard_normal((2, N, d))
    fake = Features(
        PEOPLE,
        drawn,
        drawn,
        classes / classes.sum(axis=1, keepdims=True),
        repeat_faces=takes,
        draws=np.concatenate([drawn[None], drawn + random.standard_normal((3, N, d))]),
        training_likeness=random.uniform(0.6, 1.0, N),
    )
    halved = [_each(side, lambda rows: rows.astype(np.float16).astype(np.float64)) for side in (real, fake)]
    return halved[0], halved[1]


def _each(side: Features, change) -> Features:
    """Every array of features changed; class probabilities are none."""
    given_arrays = {name: getattr(side, name) for name in FIELDS}
    return replace(side, **{name: change(rows) for name, rows in given_arrays.items() if rows is not None})


def score_of(name: str, real: Features, fake: Features) -> Score | None:
    """The score; None for a clear error, or for a number that is no number and thus absent from the table."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        try:
            score = METRICS[name](real, fake, np.random.default_rng(0))
        except BenchError as error:
            assert any(word in str(error) for word in ("NaN", "expected", "finite"))  # noqa: PT017
            return None
    return score if np.isfinite(score.value) else None


@every_metric
@quick
@given(seed=st.integers(0, 10**6))
def test_the_type_of_numbers_does_not_matter(name, seed):
    real, fake = pair(seed)
    expected = score_of(name, real, fake)
    for kind in (np.float16, np.float32):
        got = score_of(name, *(_each(side, lambda rows, to=kind: rows.astype(to)) for side in (real, fake)))
        assert (got is None) == (expected is None)
        assert got is None or got.value == expected.value


@every_metric
@quick
@given(seed=st.integers(0, 10**6), exponent=st.sampled_from([-600, -300, -40, 40, 300, 600]))
def test_neither_huge_nor_tiny_features_give_a_wrong_number(name, seed, exponent):
    """Both sides times 2^exponent: the same number where the metric knows no scale, else its own or an error."""
    real, fake = pair(seed)
    expected = score_of(name, real, fake)
    got = score_of(name, *(_each(side, lambda rows: np.ldexp(rows, exponent)) for side in (real, fake)))
    if name not in OF_SCALE:
        assert got is not None
        assert got.value == pytest.approx(expected.value, rel=1e-9)
    elif got is None:
        assert exponent > 66  # beyond 1e20
    elif name.startswith("frechet"):
        assert got.value == pytest.approx(np.ldexp(expected.value, 2 * exponent), rel=1e-6)
    elif exponent > 0 and name in ("l1", "l2"):
        assert got.value == pytest.approx(np.ldexp(expected.value, exponent), rel=1e-5)
    else:
        assert np.isfinite(got.value)
    if got is not None and got.interval is not None:
        assert got.interval[0] - 1e-9 <= got.value <= got.interval[1] + 1e-9 or name in OF_SCALE


@every_metric
@pytest.mark.parametrize("constant", [0.0, 1.0, 6e4, 1e-300])
def test_one_face_for_all_is_no_better_than_chance(name, constant):
    real, fake = pair(3)
    score = score_of(name, real, _each(fake, lambda rows: np.full_like(rows, constant)))
    metric = METRICS[name]
    if score is None:
        return
    floor = metric.card.chance
    if "best-of" in name:  # draws that are all alike have none of the luck
        assert score.value == pytest.approx(metric.recall.card.chance, abs=1e-9)
    elif floor is not None:
        assert score.value == pytest.approx(floor, abs=1e-9)
    if name.startswith(("diversity", "distinct-faces", "manifold-recall")):
        assert score.value == pytest.approx(
            1.0 if name == "diversity" and not constant else 0.0, abs=1e-9
        ) or (constant == 0.0)


@pytest.mark.parametrize(
    "function",
    [
        distribution.frechet_distance,
        distribution.kernel_distance,
        distribution.kernel_distance_leave_one_out,
        lambda a, b: distribution.frechet_extrapolated(a, b, np.random.default_rng(0)),
    ],
)
@pytest.mark.parametrize("size", [1e30, 1e160, 1e300])
def test_features_that_overflow_are_refused_and_not_the_best_score(function, size):
    a, b = size * np.random.default_rng(0).standard_normal((2, 30, 4))
    with pytest.raises(BenchError, match="expected numbers up to 1e"):
        function(a, b)


def test_features_beyond_float16_are_refused():
    with np.errstate(over="ignore"):
        rows = (1e6 * np.random.default_rng(0).standard_normal((N, WIDTH))).astype(np.float16)
    for name in METRICS:
        fake = _each(pair(0)[1], lambda _: rows)
        if {"probabilities", "training_likeness"} & set(METRICS[name].needs):
            continue  # it reads no features
        assert (
            score_of(
                name,
                pair(0)[0],
                replace(fake, repeat_faces=np.stack([rows, rows]), draws=np.stack(4 * [rows])),
            )
            is None
        )
