"""1:N matching, strata, mean average precision and the equal error rate: exact anchors, and what must always hold."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sf2f_bench.metrics.matching import STRATA, Matching, rankings_within
from sf2f_bench.metrics.precision import average_precisions
from sf2f_bench.metrics.retrieval import ranks, reciprocal_ranks
from sf2f_bench.metrics.suite import matching_metrics
from sf2f_bench.metrics.verification import (
    EqualErrorRates,
    TrialRates,
    VerificationEqualErrorRate,
    equal_error_rate,
    verification_auc,
)
from sf2f_bench.statistics.intervals import half_samples
from sf2f_bench.types import BenchError, Features, Score

N, D, GALLERY, KS = 60, 6, 20, (1, 5, 10, 20)
quick = settings(max_examples=30)


@st.composite
def people(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
    """Probes and gallery [N, D] of small whole numbers, full of ties and duplicates, and a stratum each."""
    n, d = draw(st.integers(4, 10)), draw(st.integers(1, 3))
    sides = [draw(arrays(np.float64, (n, d), elements=st.integers(-2, 2).map(float))) for _ in range(2)]
    return *sides, draw(st.lists(st.sampled_from(["a", "b", None]), min_size=n, max_size=n))


def features(embeddings: np.ndarray, **changes) -> Features:
    return Features(tuple(f"id{i}" for i in range(len(embeddings))), embeddings, **changes)


def strata_of(n: int) -> dict[str, tuple[str | None, ...]]:
    """Two genders, two nationalities and some unknown, three ages of which one is rare, and all together."""
    gender = ["fm"[i % 2] for i in range(n)]
    nation = [None if i % 7 == 0 else ["India", "USA"][i % 3 > 0] for i in range(n)]
    age = ["young" if i == 1 else ["adult", "old"][i % 5 > 1] for i in range(n)]
    all_three = [None if b is None else f"{a} {b} {c}" for a, b, c in zip(gender, nation, age, strict=True)]
    columns = zip(("G", "N", "A", "GNA"), (gender, nation, age, all_three), strict=True)
    return {letter: tuple(column) for letter, column in columns}


def true_side(embeddings: np.ndarray, photos_each: int = 3) -> Features:
    n = len(embeddings)
    owners = np.repeat(np.arange(n), photos_each)
    return features(embeddings, photos=embeddings[owners], owners=owners, strata=strata_of(n))


@pytest.fixture
def real() -> Features:
    return true_side(np.random.default_rng(1).standard_normal((N, D)))


@pytest.fixture
def fake(real: Features) -> Features:
    return features(real.embeddings + 0.8 * np.random.default_rng(2).standard_normal((N, D)))


def scores(real: Features, fake: Features) -> dict[str, Score]:
    metrics = matching_metrics(GALLERY, KS, len(real.identities))
    return {metric.name: metric(real, fake, np.random.default_rng(0)) for metric in metrics}


def own_space(known: np.ndarray) -> tuple[Features, Features]:
    """Both sides of an anchor that answers with an order of its own, photos standing where their owners do."""
    real = true_side(known)
    return replace(real, own_space=True), features(known, own_space=True)


def test_every_metric_has_the_fields_name_once():
    metrics = matching_metrics(100, [1, 2, 5, 10, 20, 50], 300)
    names = [metric.name for metric in metrics]
    assert names[:9] == [f"matching/1:{n}" for n in range(2, 11)]
    assert names[9:12] == ["matching/1:2/G", "matching/1:10/G", "recall@10/g100/G"]
    rates = ["verification-tar/far.01", "verification-tar/far.10"]
    assert names[-4:] == ["map/photos", "verification-eer", *rates]
    assert len(set(names)) == len(names) == 9 + 3 * len(STRATA) + 4
    assert [metric.name for metric in metrics if not metric.higher_is_better] == ["verification-eer"]
    assert matching_metrics(100, [20, 50], 300)[11].name == "recall@20/g100/G"
    with pytest.raises(BenchError, match="no k"):
        matching_metrics(100, [], 300)


def test_every_score_rests_on_those_who_take_part(real, fake):
    found = scores(real, fake)
    for name, score in found.items():
        if score.n == 0:
            assert np.isnan(score.value)
            continue
        low, high = score.interval
        assert low <= score.value <= high, name
        if not name.startswith("verification-"):
            assert score.per_identity.shape == (N,)
            assert np.isfinite(score.per_identity).sum() == score.n
            assert np.nanmean(score.per_identity) == pytest.approx(score.value)
    assert found["verification-eer"].replicates.shape == (100,)
    strata = real.strata
    for letter in STRATA:
        for size, name in ((2, f"matching/1:2/{letter}"), (GALLERY, f"recall@10/g{GALLERY}/{letter}")):
            counts = {label: strata[letter].count(label) for label in strata[letter] if label}
            assert found[name].n == sum(count for count in counts.values() if count >= size), name
    assert found["matching/1:2/A"].n == N - 1  # one person alone in a stratum
    assert found[f"recall@10/g{GALLERY}/GNA"].n == 0


def test_chance_is_exact_everywhere():
    real, fake = own_space(np.ones((N, 1)))
    found = scores(real, fake)
    for candidates in range(2, 11):
        assert found[f"matching/1:{candidates}"].value == pytest.approx(1 / candidates, rel=1e-12)
    for letter in STRATA:
        assert found[f"matching/1:2/{letter}"].value == pytest.approx(1 / 2, rel=1e-12)
    assert found[f"recall@10/g{GALLERY}/G"].value == pytest.approx(10 / GALLERY, rel=1e-12)
    assert found["verification-eer"].value == pytest.approx(0.5, rel=1e-12)
    places = np.random.default_rng(5).random((20_000, 3 * N)).argsort(axis=1)[:, :3]
    precision = (np.sort(places) + 1)[:, ::-1].T  # ranks of the three photos, the last first
    simulated = np.mean([(3 - i) / precision[i] for i in range(3)])
    assert found["map/photos"].value == pytest.approx(simulated, rel=0.02)


def test_knowing_the_gender_helps_among_all_and_is_chance_within():
    genders = np.eye(2)[np.arange(N) % 2]
    found = scores(*own_space(genders))
    same = (N / 2 - 1) / (N - 1)
    assert found["matching/1:2"].value == pytest.approx(same / 2 + (1 - same), rel=1e-12)
    for name in ("matching/1:2/G", "matching/1:2/GNA"):
        assert found[name].value == pytest.approx(1 / 2, rel=1e-12)
    assert found["matching/1:10/G"].value == pytest.approx(1 / 10, rel=1e-12)
    assert found[f"recall@10/g{GALLERY}/G"].value == pytest.approx(10 / GALLERY, rel=1e-12)
    assert found["matching/1:2/N"].value > 0.7


def test_the_truth_is_the_ceiling(real):
    found = scores(real, real)
    for name, score in found.items():
        if score.n:
            assert score.value == pytest.approx(0.0 if name == "verification-eer" else 1.0), name


def test_nobody_in_a_large_enough_stratum_is_no_number_with_n_0(real, fake):
    alone = replace(real, strata={letter: tuple(map(str, range(N))) for letter in STRATA})
    unknown = replace(real, strata=dict.fromkeys(STRATA, (None,) * N))
    for side in (alone, unknown):
        for name, score in scores(side, fake).items():
            if name[-1] in "GNA":
                assert score.n == 0
                assert np.isnan(score.value)
                assert score.interval is None


def test_a_person_without_a_photo_takes_no_part(real, fake):
    with_photo = real.owners != 7
    score = scores(replace(real, photos=real.photos[with_photo], owners=real.owners[with_photo]), fake)[
        "map/photos"
    ]
    assert score.n == N - 1
    assert np.flatnonzero(np.isnan(score.per_identity)).tolist() == [7]


def test_what_is_missing_is_refused(real, fake):
    by_name = {metric.name: metric for metric in matching_metrics(GALLERY, KS, N)}
    rng = np.random.default_rng(0)
    with pytest.raises(BenchError, match="needs G, missing"):
        by_name["matching/1:2/G"](replace(real, strata={}), fake, rng)
    with pytest.raises(BenchError, match="needs photos"):
        by_name["map/photos"](replace(real, photos=None), fake, rng)
    with pytest.raises(BenchError, match=f"0 to {N - 1}"):
        by_name["map/photos"](replace(real, owners=real.owners + 1), fake, rng)
    with pytest.raises(BenchError, match="needs at least 10 identities"):
        by_name["matching/1:10"](true_side(real.embeddings[:9]), features(fake.embeddings[:9]), rng)
    with pytest.raises(BenchError, match="a stratum"):
        next(rankings_within(real.embeddings, real.embeddings, ["a"]))


@pytest.mark.parametrize("name", [m.name for m in matching_metrics(5, [1, 5], N) if m.name[-1] not in "NA"])
def test_the_smallest_n_is_enough(name):
    (metric,) = (metric for metric in matching_metrics(5, [1, 5], N) if metric.name == name)
    random = np.random.default_rng(3)
    real, fake = (random.standard_normal((metric.min_n, D)) for _ in range(2))
    one = true_side(real)
    score = metric(
        replace(one, strata={"G": ("f",) * metric.min_n}), features(fake), np.random.default_rng(0)
    )
    assert score.n == metric.min_n
    assert 0 <= score.value <= 1


def test_matching_is_the_mean_over_all_choices_of_the_others(real, fake):
    few, drawn = true_side(real.embeddings[:9].round()), features(fake.embeddings[:9].round())
    few = replace(few, strata={"G": tuple("ffmmfmmff")})
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (drawn.embeddings, few.embeddings)]
    cosines = unit[0] @ unit[1].T
    metrics = {metric.name: metric for metric in matching_metrics(4, [2], 9)}
    for name, n, k, within in (
        ("matching/1:3", 3, 1, None),
        ("matching/1:2/G", 2, 1, "G"),
        ("recall@2/g4/G", 4, 2, "G"),
    ):
        values = []
        for probe in range(9):
            label = few.strata["G"]
            others = [i for i in range(9) if i != probe and (not within or label[i] == label[probe])]
            values.append([_hit(cosines[probe], probe, choice, k) for choice in combinations(others, n - 1)])
        got = metrics[name](few, drawn, np.random.default_rng(0))
        np.testing.assert_allclose(got.own, [np.mean(row) for row in values], rtol=1e-12)


def _hit(cosines: np.ndarray, probe: int, others: tuple[int, ...], k: int) -> float:
    """Is the right one among the k nearest, over a random order of the tied?"""
    rivals = cosines[list(others)] - cosines[probe]
    better, ties = np.sum(rivals > 1e-9), np.sum(np.abs(rivals) <= 1e-9)
    return float(np.clip((k - better) / (ties + 1), 0, 1))


def matched(probes: np.ndarray, gallery: np.ndarray, strata: list[str]) -> np.ndarray:
    """Each identity's own share of 1:2 matching within its stratum, NaN where nobody else is in it."""
    names = tuple(map(str, range(len(probes))))
    real = Features(names, gallery, strata={"G": tuple(strata)})
    score = Matching(2, "G")(real, Features(names, probes), np.random.default_rng(0))
    return np.full(len(names), np.nan) if score.own is None else score.own


@quick
@given(world=people(), seed=st.integers(0, 1000))
def test_order_and_length_do_not_matter(world, seed):
    probes, gallery, strata = world
    random = np.random.default_rng(seed)
    order = random.permutation(len(probes))
    owners = random.integers(0, len(probes), 3 * len(probes))
    lengths = random.uniform(0.1, 10, (2, len(probes), 1))
    moved_probes, moved = lengths[0] * probes[order], lengths[1] * gallery[order]
    recall = matched(probes, gallery, strata)
    moved_strata = [strata[i] for i in order]
    np.testing.assert_allclose(matched(moved_probes, moved, moved_strata), recall[order])
    precision = average_precisions(probes, np.arange(len(probes)), gallery[owners], owners)
    shuffled = random.permutation(len(owners))
    again = average_precisions(moved_probes, order, 3 * gallery[owners][shuffled], owners[shuffled])
    np.testing.assert_allclose(again, precision[order], rtol=1e-9)
    assert equal_error_rate(moved_probes, moved) == pytest.approx(
        equal_error_rate(probes, gallery), abs=1e-12
    )


@quick
@given(world=people())
def test_one_stratum_of_all_is_no_stratum(world):
    probes, gallery, _ = world
    ((rows, within),) = rankings_within(probes, gallery, ["all"] * len(probes))
    better, ties = ranks(probes, gallery)
    np.testing.assert_array_equal(rows, np.arange(len(probes)))
    np.testing.assert_array_equal(within.better, better)
    np.testing.assert_array_equal(within.ties, ties)


@quick
@given(world=people())
def test_one_photo_each_makes_average_precision_the_reciprocal_rank(world):
    probes, gallery, _ = world
    each = np.arange(len(probes))
    expected = reciprocal_ranks(*ranks(probes, gallery))
    np.testing.assert_allclose(average_precisions(probes, each, gallery, each), expected, rtol=1e-9)


@quick
@given(world=people(), seed=st.integers(0, 99))
def test_copies_of_an_identity_share_what_it_had(world, seed):
    """A second person with the same face and the same voice: neither gains from the order of the two."""
    probes, gallery, _ = world
    twins = np.append(np.arange(len(probes)), 0)
    values = matched(probes[twins], gallery[twins], ["all"] * len(twins))
    assert values[0] == pytest.approx(values[-1])
    owners = np.arange(len(twins))
    precision = average_precisions(probes[twins], owners, gallery[twins], owners)
    assert precision[0] == pytest.approx(precision[-1])
    assert precision[0] <= 0.75 + 1e-12  # first or second with the same chance, at best


@quick
@given(
    world=people(),
    seed=st.integers(0, 99),
    reach=st.sampled_from([0.0, 0.5, 6.0]),
    kept=st.sampled_from([0, 99]),
)
def test_error_rates_of_parts_are_those_of_the_parts_alone(world, seed, reach, kept):
    """With every pair kept, with the pairs of a window, and where the window was too small."""
    probes, gallery, _ = world
    random = np.random.default_rng(seed)

    class Windowed(EqualErrorRates):
        ALL_PAIRS, REACH = kept, reach

    rates = Windowed(probes, gallery)
    for size in {2, len(probes) // 2, len(probes)}:
        rows = np.sort(random.permutation(len(probes))[:size])
        assert rates(rows) == pytest.approx(equal_error_rate(probes[rows], gallery[rows]), abs=1e-12)


def test_a_window_of_pairs_gives_the_same_replicates(monkeypatch):
    random = np.random.default_rng(8)
    gallery = random.standard_normal((400, 12))
    probes = gallery + 2 * random.standard_normal(gallery.shape)
    whole = EqualErrorRates(probes, gallery)
    monkeypatch.setattr(EqualErrorRates, "ALL_PAIRS", 100)
    windowed = EqualErrorRates(probes, gallery)
    assert len(windowed.pairs.probes) < 0.7 * len(whole.pairs.probes)
    monkeypatch.setattr("sf2f_bench.metrics.verification.equal_error_rate", None)  # nothing is computed anew
    for rows in half_samples(400)[:20]:
        assert windowed(rows) == pytest.approx(whole(rows), rel=1e-12)


def test_the_error_rates_interval_covers_the_truth_about_as_often_as_it_says():
    """The rate of a large world, against the intervals of sixty small ones of the same law."""
    random = np.random.default_rng(4)
    large = random.standard_normal((1000, 3))
    truth = equal_error_rate(large + 0.7 * random.standard_normal(large.shape), large)
    covered = 0
    for _ in range(60):
        gallery = random.standard_normal((80, 3))
        score = VerificationEqualErrorRate()(
            features(gallery), features(gallery + 0.7 * random.standard_normal(gallery.shape)), random
        )
        covered += score.interval[0] <= truth <= score.interval[1]
    assert covered >= 51  # 85 % of 60


def test_weights_of_trials_are_repetitions():
    random = np.random.default_rng(6)
    values, same = random.integers(0, 6, 50).astype(float), random.random(50) < 0.4
    weights = random.integers(0, 4, 50)
    rates = TrialRates(values, same)
    repeated = TrialRates(values.repeat(weights), same.repeat(weights))
    assert rates.auc(weights) == pytest.approx(repeated.auc())
    assert rates.equal_error_rate(weights) == pytest.approx(repeated.equal_error_rate())
    assert np.isnan([rates.auc(same), rates.equal_error_rate(same), rates.equal_error_rate(~same)]).all()


def test_trials_of_all_pairs_are_verification():
    random = np.random.default_rng(6)
    gallery = random.integers(-1, 2, (30, 3)).astype(float)
    probes = random.integers(-1, 2, (30, 3)).astype(float)
    unit = [
        rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9) for rows in (probes, gallery)
    ]
    rates = TrialRates((unit[0] @ unit[1].T).ravel(), np.eye(30, dtype=bool).ravel())
    assert rates.auc() == pytest.approx(verification_auc(probes, gallery))
    assert rates.equal_error_rate() == pytest.approx(equal_error_rate(probes, gallery))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TrialRates([1.0, np.nan], [True, False]), "finite scores"),
        (lambda: TrialRates([1.0, 2.0], [True]), r"\[2\] and \[1\]"),
        (lambda: TrialRates([1.0, 2.0], [True, True]), "one kind only"),
        (lambda: average_precisions(np.ones((2, 3)), [0, 1], np.ones((2, 4)), [0, 1]), "one width"),
        (lambda: average_precisions(np.ones((2, 3)), [0.0, 1.0], np.ones((2, 3)), [0, 1]), "whole number"),
        (lambda: average_precisions(np.ones((2, 3)), [0], np.ones((2, 3)), [0, 1]), "each of 2 probes"),
        (lambda: average_precisions(np.full((2, 3), np.nan), [0, 1], np.ones((2, 3)), [0, 1]), "NaN"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(BenchError, match=message):
        call()
