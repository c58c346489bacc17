"""Several faces for one voice: chance, intervals, diversity, and what is generated, kept and shown."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from itertools import combinations, pairwise, product
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from record_factory import FACES, benchmark, record, saved

from baselines.anchors import Chance
from sf2f_bench.config import RunConfig, load_config
from sf2f_bench.evaluation.test_people import take
from sf2f_bench.files import load_tensors
from sf2f_bench.metrics.draws import (
    BestOf,
    DrawDiversity,
    MeanOf,
    RelativeDrawDiversity,
    best_recalls,
    counts_up_to,
    distance_of_draws,
    draw_metrics,
    mean_of_draws,
    relative_distance,
    relative_distance_leave_one_out,
)
from sf2f_bench.metrics.relations import Stated, contradictions
from sf2f_bench.metrics.retrieval import (
    Recall,
    best_of_pseudo_values,
    chance_of_best,
    expected_recall,
    ranking,
    recall_pseudo_values,
)
from sf2f_bench.metrics.suite import identity_metrics
from sf2f_bench.metrics.verification import VerificationAUC
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.catalogue import protocol_named
from sf2f_bench.protocols.names import BENCH, PAPER
from sf2f_bench.protocols.protocol import TrainedSystem
from sf2f_bench.report.gallery import gallery
from sf2f_bench.report.html import html_page
from sf2f_bench.results.records import SideFiles, check_side_files, load, save
from sf2f_bench.results.selection import groups
from sf2f_bench.results.validation import _own_cards, faults_of
from sf2f_bench.runs.stages import draws_of
from sf2f_bench.testing import check_model
from sf2f_bench.testing.world import tiny_store
from sf2f_bench.types import BenchError, Features, ModelSettings, OneToMany
from tests.unit.drawing import Drawing, Plain, SaysSoAlone

quick = settings(max_examples=25, deadline=None)


def world(seed: int, n: int = 30, draws: int = 4, d: int = 6, whole: bool = False):
    """Truth ``[N, D]`` and draws ``[K, N, D]``; whole: of small whole numbers, with many ties."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal((n, d))
    drawn = 0.5 * truth + random.standard_normal((draws, n, d))
    return (np.rint(truth), np.rint(drawn)) if whole else (truth, drawn)


def features(truth: np.ndarray, drawn: np.ndarray) -> tuple[Features, Features]:
    names = tuple(map(str, range(len(truth))))
    return Features(names, truth, truth), Features(names, drawn[0], drawn[0], draws=drawn)


# ---------------------------------------------------------------- the chance of the best


@pytest.mark.parametrize(
    ("n", "size", "k", "draws"), [(4, 3, 1, 2), (5, 3, 2, 2), (5, 5, 2, 3), (4, 2, 1, 3)]
)
def test_the_chance_of_the_best_is_that_of_every_case_counted(n, size, k, draws):
    """Each gallery that holds the answer, and each way in which the draws' ranks can fall."""

    def recall(ahead: int) -> float:
        galleries = list(combinations(range(n - 1), size - 1))  # of the others, of whom the first are ahead
        return float(np.mean([sum(other < ahead for other in chosen) < k for chosen in galleries]))

    recalls = [recall(ahead) for ahead in range(n)]
    every = [max(ranks) for ranks in product(recalls, repeat=draws)]
    assert chance_of_best(n, size, k, draws) == pytest.approx(np.mean(every), abs=1e-12)


@pytest.mark.parametrize(
    ("n", "size", "k", "draws"), [(300, 100, 10, 8), (100, 100, 10, 4), (300, None, 10, 64)]
)
def test_the_chance_of_the_best_is_what_random_ranks_reach(n, size, k, draws):
    random = np.random.default_rng(0)
    ahead = random.integers(0, n, (draws, 200_000))
    best = expected_recall(ahead.min(axis=0), np.zeros(200_000, int), n, size, k)
    error = best.std() / np.sqrt(len(best))
    assert abs(chance_of_best(n, size, k, draws) - best.mean()) < 5 * error + 1e-9


def test_the_chance_of_one_draw_is_that_of_recall_and_grows():
    chances = [chance_of_best(300, 100, 10, draws) for draws in (1, 2, 4, 8, 64)]
    assert chances[0] == pytest.approx(0.1)
    assert chances == sorted(chances)
    assert chances[-1] < 1
    with pytest.raises(BenchError, match="best of 0 draws"):
        chance_of_best(300, 100, 10, 0)


def test_faces_that_hear_nothing_are_at_the_chance_of_the_best():
    random = np.random.default_rng(3)
    values = []
    for _ in range(60):
        truth, drawn = random.standard_normal((60, 20)), random.standard_normal((4, 60, 20))
        metric = BestOf(Recall(5, 30, headline_k=5), 4, 60)
        values.append(metric(*features(truth, drawn), random).value)
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - metric.card.chance) < 4 * error


# ---------------------------------------------------------------- the best of the draws


@quick
@given(seed=st.integers(0, 10**6), whole=st.booleans())
def test_the_best_grows_with_the_draws_and_begins_with_recall(seed, whole):
    truth, drawn = world(seed, whole=whole)
    real, fake = features(truth, drawn)
    orders = [ranking(faces, truth) for faces in drawn]
    values = [best_recalls(orders[:count], 10, 3) for count in (1, 2, 3, 4)]
    recall = Recall(3, 10)(real, fake, np.random.default_rng(0))
    np.testing.assert_allclose(values[0], recall.own)
    assert all((more >= fewer - 1e-12).all() for fewer, more in pairwise(values))
    score = BestOf(Recall(3, 10, headline_k=3), 4, 30)(real, fake, np.random.default_rng(0))
    np.testing.assert_allclose(score.own, values[3])
    assert score.interval[0] <= score.value <= score.interval[1]
    turned = replace(fake, draws=drawn[::-1])
    again = BestOf(Recall(3, 10, headline_k=3), 4, 30)(real, turned, np.random.default_rng(0))
    assert again.value == pytest.approx(score.value)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_pseudo_values_are_those_of_leaving_each_person_out(seed, whole):
    """Of probes and of the gallery: computed again without each, up to the constant that keeps their mean."""
    truth, drawn = world(seed, n=14, draws=3, d=3, whole=whole)
    n, size, k = len(truth), 6, 2
    found = best_of_pseudo_values([ranking(faces, truth) for faces in drawn], size, k)

    def value(rows: np.ndarray) -> float:
        orders = [ranking(faces[rows], truth[rows]) for faces in drawn]
        return float(best_recalls(orders, size, k).mean())

    whole_value = value(np.arange(n))
    expected = [n * whole_value - (n - 1) * value(np.delete(np.arange(n), left)) for left in range(n)]
    np.testing.assert_allclose(found - found.mean(), expected - np.mean(expected), atol=1e-9)
    assert found.mean() == pytest.approx(whole_value)


@pytest.mark.parametrize("size", [10, 30, None])
def test_one_draw_again_and_again_is_recall_with_its_pseudo_values(size):
    truth, drawn = world(5)
    order = ranking(drawn[0], truth)
    several = best_of_pseudo_values([order, order, order], size, 3)
    np.testing.assert_allclose(several, recall_pseudo_values(order, size, 3), atol=1e-9)


# ---------------------------------------------------------------- the mean of the draws


def test_the_mean_is_of_draws_at_length_1_and_scores_as_one_query():
    truth, drawn = world(7)
    unit = drawn / np.linalg.norm(drawn, axis=2, keepdims=True)
    np.testing.assert_allclose(mean_of_draws(drawn * np.arange(1, 5)[:, None, None]), unit.mean(axis=0))
    real, fake = features(truth, drawn)
    for metric in (Recall(3, 10, headline_k=3), VerificationAUC()):
        direct = metric(real, replace(fake, embeddings=unit.mean(axis=0)), np.random.default_rng(0))
        through = MeanOf(metric, 4)(real, fake, np.random.default_rng(0))
        assert (direct.value, direct.interval) == (through.value, through.interval)


# ---------------------------------------------------------------- diversity


def naive_distance(draws: np.ndarray) -> float:
    pairs = combinations(draws, 2)
    return float(np.mean([1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]))


@quick
@given(seed=st.integers(0, 10**6), draws=st.integers(2, 7))
def test_diversity_is_the_mean_of_all_pairs_one_by_one(seed, draws):
    _, drawn = world(seed, n=9, draws=draws)
    within = [naive_distance(drawn[:, person]) for person in range(9)]
    np.testing.assert_allclose(distance_of_draws(drawn), within, atol=1e-12)
    between = np.mean([naive_distance(faces) for faces in drawn])
    assert relative_distance(drawn) == pytest.approx(np.mean(within) / between)
    others = [relative_distance(np.delete(drawn, left, axis=1)) for left in range(9)]
    np.testing.assert_allclose(relative_distance_leave_one_out(drawn), others)


@quick
@given(seed=st.integers(0, 10**6))
def test_neither_lengths_nor_order_nor_a_turn_of_the_space_matter(seed):
    random = np.random.default_rng(seed)
    _, drawn = world(seed, n=9)
    turn = np.linalg.qr(random.standard_normal((6, 6)))[0]
    for same in (
        drawn * random.uniform(0.1, 9, (4, 9, 1)),
        drawn[random.permutation(4)],
        drawn @ turn,
    ):
        np.testing.assert_allclose(distance_of_draws(same), distance_of_draws(drawn), atol=1e-12)
        assert relative_distance(same) == pytest.approx(relative_distance(drawn))


def test_identical_draws_have_no_diversity_and_faces_that_do_not_hear_have_that_of_people():
    truth, drawn = world(8, n=200)
    same = np.stack(4 * [drawn[0]])
    real, fake = features(truth, same)
    assert not distance_of_draws(same).any()
    for metric in (DrawDiversity(), RelativeDrawDiversity()):
        score = metric(real, fake, np.random.default_rng(0))
        assert (score.value, score.interval) == (0.0, (0.0, 0.0))
    deaf = np.random.default_rng(9).standard_normal((6, 200, 12))
    score = RelativeDrawDiversity()(*features(truth, deaf), np.random.default_rng(0))
    assert score.interval[0] < 1 < score.interval[1]
    assert score.interval[1] - score.interval[0] < 0.1


def test_one_face_for_all_has_no_relative_diversity():
    truth, drawn = world(8)
    one = np.broadcast_to(drawn[:, :1], drawn.shape)
    assert np.isnan(RelativeDrawDiversity()(*features(truth, one), np.random.default_rng(0)).value)


@pytest.mark.parametrize(
    "metric", draw_metrics(identity_metrics(10, [1, 5], 30), 30, 4), ids=lambda one: one.name
)
def test_too_few_draws_are_refused(metric):
    truth, drawn = world(1)
    real, fake = features(truth, drawn)
    for wrong in (drawn[:1], drawn[0], drawn[:, :5]):
        with pytest.raises(BenchError, match="draws: expected"):
            metric(real, replace(fake, draws=wrong), np.random.default_rng(0))
    with pytest.raises(BenchError, match="needs draws"):
        metric(real, replace(fake, draws=None), np.random.default_rng(0))
    if metric.name.endswith("of-4"):
        with pytest.raises(BenchError, match="4 faces or more"):
            metric(real, replace(fake, draws=drawn[:3]), np.random.default_rng(0))
    with pytest.raises(BenchError, match="K >= 2"):
        distance_of_draws(drawn[:1])


def test_draws_go_with_the_rows_of_their_people():
    truth, drawn = world(2)
    _, fake = features(truth, drawn)
    some = take(fake, np.array([3, 0, 7]))
    np.testing.assert_array_equal(some.draws, drawn[:, [3, 0, 7]])
    assert "draws" in some.offers


@pytest.mark.parametrize(
    ("draws", "counts"),
    [(2, [2]), (3, [2, 3]), (8, [2, 4, 8]), (10, [2, 4, 8, 10]), (64, [2, 4, 8, 16, 32, 64])],
)
def test_the_best_is_of_powers_of_two_and_of_all(draws, counts):
    assert counts_up_to(draws) == counts


# ---------------------------------------------------------------- generated, kept


@pytest.fixture(scope="module")
def system():
    return Drawing(ModelSettings(64))


@pytest.fixture(scope="module")
def store(tmp_path_factory, system):
    return tiny_store(system.frontend, 64, tmp_path_factory.mktemp("draws") / "store")


def generated(system, store, path, draws: int, seed: int = 5):
    identities = store.identities("test")
    evaluation = SimpleNamespace(identities=identities)
    ready = TrainedSystem(system, store, torch.device("cpu"), seed, draws)
    protocol = protocol_named(BENCH)
    protocol.generate(evaluation, ready, Reporter(silent=True), path)
    return protocol.load(path)


def test_ordinary_faces_are_the_same_whatever_the_number_of_draws(system, store, tmp_path):
    one, few, many = (generated(system, store, tmp_path / f"{draws}", draws) for draws in (1, 3, 6))
    assert one.draws is None
    assert few.draws.shape == (3, len(one.faces), 3, 64, 64)
    assert few.draws.dtype == np.uint8
    for other in (few, many):
        np.testing.assert_array_equal(other.faces, one.faces)
        np.testing.assert_array_equal(other.draws[0], one.faces)
        np.testing.assert_array_equal(other.repeat_faces, one.repeat_faces)
        assert list(other.shorter) == list(one.shorter)
        for seconds, faces in other.shorter.items():
            np.testing.assert_array_equal(faces, one.shorter[seconds])
    np.testing.assert_array_equal(many.draws[:3], few.draws)
    assert len({faces.tobytes() for faces in many.draws}) == 6
    assert not np.array_equal(generated(system, store, tmp_path / "x", 3, seed=6).draws[1], few.draws[1])


def test_a_system_without_draws_keeps_what_it_kept(store, tmp_path):
    generated(Plain(ModelSettings(64)), store, tmp_path / "plain", 1)
    assert set(load_tensors(tmp_path / "plain")[0]) == {
        "faces",
        "takes",
        *(f"faces {seconds}" for seconds in ("1.25", "2.5", "5", "10")),
    }


def test_a_system_says_itself_whether_it_draws(system):
    plain = Plain(ModelSettings(64))
    assert isinstance(system, OneToMany)
    assert not isinstance(plain, OneToMany)

    def draws(row, protocol=BENCH):
        run = SimpleNamespace(protocol=protocol_named(protocol), config=RunConfig(draws=5))
        return draws_of(run, row)

    assert draws(system) == 5
    assert draws(system, PAPER) == draws(plain) == draws(Chance()) == 1
    plain.one_to_many = False
    assert draws(plain) == 1


@pytest.mark.parametrize("draws", [1, 0, 65])
def test_other_numbers_of_draws_are_refused(draws):
    with pytest.raises(BenchError, match=r"expected 2 or more, at most 64"):
        load_config(None, {"draws": draws})


def test_the_check_of_models_sees_whether_faces_differ():
    for kind in (Plain, Drawing):
        check_model(kind, steps=2)
    with pytest.raises(BenchError, match="the same face for 5 of 5 voices"):
        check_model(SaysSoAlone, steps=2)


# ---------------------------------------------------------------- records and page


def with_draws(folder, people: int = 3, count: int = 5, **changes):
    """A saved record with pictures of draws and the scores of one that draws."""
    images = np.random.default_rng(1).integers(0, 256, (people, count, 3, 64, 64)).astype(np.uint8)
    plain = saved(record("sf2f-64"), folder / "plain", faces=True)
    made = record("sf2f-64", files=SideFiles(face_identities=FACES), **changes)
    path = save(
        made, folder, plain.per_identity(), faces=plain.faces(), true_faces=plain.faces(), draws=images
    )
    return load(path), images


def test_draws_come_back_and_records_without_them_say_nothing_of_them(tmp_path):
    made, images = with_draws(tmp_path)
    np.testing.assert_array_equal(made.draws(), images)
    check_side_files(made)
    assert made.files.draws == f"{made.stem}.draws.png"
    assert set(made.files.sha256) >= {"faces", "draws"}
    plain = saved(record("sf2f-64", seed=1), tmp_path / "other", faces=True)
    assert plain.draws() is None
    content = (tmp_path / "other" / f"{plain.stem}.json").read_text(encoding="utf-8")
    assert "draws" not in content


@pytest.mark.parametrize("shape", [(5, 4, 3, 64, 64), (3, 1, 3, 64, 64), (3, 4, 3, 64, 32), (3, 3, 64, 64)])
def test_draws_that_do_not_fit_are_refused(tmp_path, shape):
    made = record("sf2f-64", files=SideFiles(face_identities=FACES))
    values = saved(record("sf2f-64"), tmp_path / "plain").per_identity()
    with pytest.raises(BenchError, match="expected draws uint8"):
        save(made, tmp_path, values, draws=np.zeros(shape, np.uint8))


def test_draws_of_media_that_may_not_be_shared_are_refused(tmp_path):
    private = record("sf2f-64", benchmark=benchmark(media_shareable=False))
    private = private.model_copy(update={"files": SideFiles(face_identities=FACES)})
    values = saved(record("sf2f-64"), tmp_path / "plain").per_identity()
    with pytest.raises(BenchError, match="may not be shared, so no face"):
        save(private, tmp_path, values, draws=np.zeros((3, 4, 3, 64, 64), np.uint8))


def test_a_file_of_draws_that_cannot_be_one_is_a_fault(tmp_path):
    made, _ = with_draws(tmp_path)
    Image.fromarray(np.zeros((100, 64 * 9, 3), np.uint8)).save(made.path_of("draws"))
    again = load(tmp_path / f"{made.stem}.json")
    with pytest.raises(BenchError, match="cannot be several faces of 64 pixels"):
        again.draws()
    assert any("checksum" in fault for fault in faults_of(again))
    made.path_of("draws").write_bytes(b"no picture")
    with pytest.raises(BenchError, match="expected a PNG of draws"):
        load(tmp_path / f"{made.stem}.json").draws()


def test_the_page_shows_draws_beside_voice_and_true_face(tmp_path):
    made, images = with_draws(tmp_path)
    (group,) = groups([made])
    people = gallery(group).people
    assert [len(person.several) for person in people] == [1, 1, 1, 0]
    (several,) = people[0].several
    assert several.label == "sf2f-64"
    source = several.draws[1].source.partition(",")[2]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB"))
    np.testing.assert_array_equal(pixels, images[0, 1].transpose(1, 2, 0))
    page = html_page([group], [{}])
    assert page.count("Several faces for this voice by") == 3
    for name in FACES[:3]:
        assert f'alt="draw 5 of 5 for the voice of {name} by sf2f-64"' in page
    assert page.count(f'alt="true face of {FACES[0]}"') == 2
    closed = made.model_copy(update={"benchmark": benchmark(media_shareable=False)})
    assert "Several faces for this voice" not in html_page(groups([closed]), [{}])


# ---------------------------------------------------------------- validation


def test_validation_knows_the_metrics_of_every_number_of_draws():
    known = _own_cards(record("sf2f-64").benchmark)
    assert {("recall@10/g100/best-of-7", 1), ("verification-auc/mean-of-64", 1)} <= set(known)
    assert known["recall@10/g100/best-of-64", 1].bounds == (0.0, 1.0)


def test_a_best_that_falls_with_more_draws_is_a_contradiction():
    cards = [BestOf(Recall(10, 100, headline_k=10), count, 300).card for count in (2, 8)]
    values = np.array([0.2, 0.3]), np.array([0.2, 0.1])
    stated = [
        Stated(f"best of {card.parameters['best of']}", card, 0.2, 2, of)
        for card, of in zip(cards, values, strict=True)
    ]
    assert list(contradictions(stated)) == [
        "best of 2: higher than best of 8 for some identity, which cannot be"
    ]
    assert not list(contradictions([replace(stated[0], per_identity=values[1] / 2), stated[1]]))
