"""Trait and landmark errors: of known readings, and by the network of the package on faces of the synthetic world."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.traits import NO_TRAITS, notes, trait_scores
from sf2f_bench.extractors.build_embedded import r_squared
from sf2f_bench.extractors.embedded import TRAITS, TraitReader, network_from, path_of
from sf2f_bench.metrics.traits import LANDMARK_ERROR, READ, TRAIT_ERRORS, TraitError
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.protocols.names import BENCH
from sf2f_bench.types import Answer, BenchError, DatasetSource

RNG = np.random.default_rng
ONE = TraitError("trait-error-age", ("age",), 3)
PEOPLE = 60


class People:
    """As much of an evaluation as the traits need."""

    def __init__(self, cache):
        self.dataset = SyntheticWorld(DatasetSource())
        self.identities = self.dataset.identities("test")[:PEOPLE]
        photos = [self.dataset.photos(person.id) for person in self.identities]
        self.held_out_photos, self.true_photos = (
            np.stack([of[number].image(64) for of in photos]) for number in (0, 1)
        )
        self.has_held_out = np.ones(PEOPLE, bool)
        self.cache, self.say = cache, print


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return People(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def reader():
    return TraitReader()


def values(people, reader, faces, rows=None):
    found = trait_scores(people, reader, Answer(faces=faces, rows=rows))
    return {metric.name: result.value for metric, result in found}


def test_an_error_is_the_share_of_the_variance_that_is_not_read():
    true = RNG(0).normal(size=200)
    assert ONE({"age": true}, {"age": true}).value == 0
    assert ONE({"age": true}, {"age": np.full(200, true.mean())}).value == pytest.approx(1)
    assert ONE({"age": true}, {"age": true + 0.5}).value == pytest.approx(0.25 / true.var())


def test_the_interval_is_a_jackknife_in_which_the_mean_moves_too():
    true, read = RNG(1).normal(size=(2, 30))
    found = ONE({"age": true}, {"age": read})
    without = [ONE({"age": np.delete(true, i)}, {"age": np.delete(read, i)}).value for i in range(30)]
    expected = 30 * found.value - 29 * np.array(without)
    assert found.per_identity - found.value == pytest.approx(expected - expected.mean())
    assert found.per_identity.mean() == pytest.approx(found.value)  # as `validate` asks
    assert found.interval[0] < found.value < found.interval[1]


def test_a_trait_that_all_share_has_no_score_and_few_people_are_refused():
    assert np.isnan(ONE({"age": np.ones(9)}, {"age": np.zeros(9)}).value)
    with pytest.raises(BenchError, match="at least 4 people"):
        ONE({"age": np.ones(3)}, {"age": np.ones(3)})


def test_landmarks_are_measured_in_distances_of_the_true_eyes():
    true = np.zeros((5, 10, 2))
    true[:, 0, 0], true[:, 4, 0] = 0.25, -0.25
    assert LANDMARK_ERROR(true, true, RNG(0)).value == 0
    assert LANDMARK_ERROR(true, np.add(true, (0.0, 0.1)), RNG(0)).value == pytest.approx(0.2)


def test_photos_are_at_the_floor_the_gender_between_and_the_mean_face_at_about_one(people, reader):
    mean = np.repeat(people.true_photos.mean(axis=0, keepdims=True), PEOPLE, axis=0).astype(np.uint8)
    men = np.array([person.gender == "m" for person in people.identities])
    gender = np.stack([people.true_photos[men == man].mean(axis=0).astype(np.uint8) for man in men])
    floor, other = (values(people, reader, photos) for photos in (people.held_out_photos, people.true_photos))
    assert {name: value for name, value in floor.items() if value >= 0.5} == {}
    assert other["trait-error-heard"] == pytest.approx(floor["trait-error-heard"], abs=0.03)
    one_face, by_gender = values(people, reader, mean), values(people, reader, gender)
    for name in ("trait-error-heard", "trait-error-face-height", "trait-error-jaw-width"):
        assert floor[name] < 0.2 < by_gender[name] < one_face[name]
        assert 0.95 < one_face[name] < 1.4
    assert floor["landmark-error"] < 0.03 < by_gender["landmark-error"] < one_face["landmark-error"]


def test_the_order_of_people_does_not_matter_and_some_may_be_missing(people, reader):
    before = values(people, reader, people.held_out_photos)
    turned = People(people.cache)
    turned.identities = turned.identities[::-1]
    assert values(turned, reader, people.held_out_photos[::-1].copy()) == pytest.approx(before)
    rows = np.arange(PEOPLE) % 2 == 0
    assert values(people, reader, people.held_out_photos[rows], rows)["trait-error-heard"] < 0.2


def test_the_floor_is_said_beside_the_scores(people, reader):
    (note,) = notes(people, reader)
    floor = values(people, reader, people.held_out_photos)["trait-error"]
    assert f"On one true photo each of {PEOPLE} people" in note
    assert f"trait-error {floor:.3f}," in note


def test_a_data_set_without_parameters_gets_the_reason():
    empty = SimpleNamespace(
        benchmark=SimpleNamespace(protocol=BENCH), dataset=object(), identities=(),
        extractors={}, recognisers=(), attribute_judges=(), missing={},
    )  # fmt: skip
    found = score(empty, Answer())
    assert [(one.metric, one.reason) for one in found.absent] == [("trait-error", NO_TRAITS)]


def test_every_trait_with_a_score_is_read_and_the_file_is_the_one_of_the_release(people):
    assert set(READ) < set(TRAITS.traits)
    assert len({metric.name for metric in TRAIT_ERRORS}) == 2 + len(READ)
    import torch

    network = network_from(path_of(TRAITS).read_bytes(), TRAITS)
    true = np.array([list(people.dataset.traits(p.id).values()) for p in people.identities], np.float32)
    r2 = dict(
        zip(TRAITS.traits, r_squared(network, torch.from_numpy(people.held_out_photos), true), strict=True)
    )
    assert min(r2[name] for name in READ) > 0.5 > r2["ear_size"]
