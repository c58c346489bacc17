"""The anchors on small inputs made here; where voice and face share nothing, oracles know the gender alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from baselines import anchors
from sf2f_bench.benchmarks import SHARED_SHARE, WORLDS, benchmark_named
from sf2f_bench.config import RunConfig
from sf2f_bench.data.synthetic import SyntheticWorld, world
from sf2f_bench.metrics.retrieval import expected_recall, ranks
from sf2f_bench.registry import extractor_named
from sf2f_bench.runs.stages import dataset_of
from sf2f_bench.types import BenchError, DatasetSource, Identity


def recall(probes, gallery, k=10):
    better, ties = ranks(probes, gallery)
    return expected_recall(better, ties, len(better), None, k)


class People:
    """An evaluation as anchors see it: identities, and photos that are their own embeddings."""

    def __init__(self, test, train=(), dataset=None):
        splits = {"test": tuple(test), "train": tuple(train)}
        self.store = SimpleNamespace(identities=splits.__getitem__)
        self.identities, self.genders = splits["test"], [person.gender for person in test]
        self.recognisers, self.image_size, self.dataset = ["judge"], 4, dataset
        grey = [np.full((2, 3, 4, 4), number, np.uint8) for number in range(len(splits["train"]))]
        self.train_faces = grey


def people(count, age=lambda number: 20.0 + number):
    return [Identity(f"p{number}", "fm"[number % 2], age=age(number)) for number in range(count)]


def test_gender_and_age_third_are_tied_exactly():
    answer = anchors.GenderAgeOracle().answer(People(people(24)))
    # 24 people of 24 ages: four of each gender in each third, so one of four where one is chosen.
    np.testing.assert_allclose(recall(*answer.ranking, k=1), 1 / 4)
    np.testing.assert_allclose(recall(*answer.ranking, k=4), 1.0)


@pytest.mark.parametrize("anchor", [anchors.GenderAgeOracle, anchors.FourFaces])
def test_without_ages_an_anchor_of_age_says_so(anchor):
    unknown = People(people(6, age=lambda number: None), people(6))
    assert anchor().applies(unknown) == "6 test identities have no known age"
    assert anchor().applies(People(people(6), people(6))) is None


def test_training_identities_must_be_known_too():
    assert "4 training identities have no known age" in anchors.FourFaces().applies(
        People(people(6), people(4, age=lambda number: None))
    )
    men = [person for person in people(8) if person.gender == "m"]
    assert "no training identity has the gender f" in anchors.RandomPhoto().applies(People(people(6), men))
    assert "no training identity is of the kind f" in anchors.FourFaces().applies(People(people(6), men))


def test_four_faces_are_the_means_of_their_kinds():
    made = anchors.FourFaces().answer(People(people(8), people(8))).faces[:, 0, 0, 0]
    # Grey n of training person n, of whom 0, 2 are younger women, 1, 3 younger men, 4, 6 and 5, 7 older.
    assert made.tolist() == [1, 2, 1, 2, 5, 6, 5, 6]


def test_a_random_photo_is_of_the_right_gender_and_seldom_the_same():
    made = anchors.RandomPhoto().answer(People(people(6), people(10))).faces[:, 0, 0, 0]
    assert [number % 2 for number in made] == [0, 1, 0, 1, 0, 1]
    assert len(set(made.tolist())) == 6
    assert len(anchors.RandomPhoto().answer(People(people(9), people(4))).faces) == 9


class Noisy(People):
    """Embeddings with a weak shared part in directions that scatter little, and great scatter in all others."""

    SCATTER = np.array([0.1] * 4 + [3.0] * 8)

    def __init__(self, count=120):
        super().__init__(people(count, age=lambda number: 30.0))
        self.random = np.random.default_rng(0)
        self.shared = np.concatenate(
            [0.2 * self.random.standard_normal((count, 4)), np.zeros((count, 8))], axis=1
        )
        self.centre = 5 * np.ones(12)
        self.disturbed_voice_statistics = {}
        self.dataset = SimpleNamespace(faces_given_shared=self._faces)
        self.gallery = np.stack([self._faces(person.id, 1, 0, 4)[0] for person in self.identities])
        self.templates = self.gallery / np.linalg.norm(self.gallery, axis=1, keepdims=True)

    def _faces(self, name, count, seed, size):
        scatter = self.SCATTER * self.random.standard_normal((count, 12))
        return self.centre + self.shared[int(name[1:])] + scatter

    def embed(self, role, faces):
        return faces, None

    def train_templates(self, role):
        return self.templates


def test_the_whitened_oracle_finds_more_with_the_same_knowledge():
    noisy = Noisy()
    plain = recall(
        anchors.SharedFactorOracleEmbedding().answer(noisy).embeddings["judge"], noisy.gallery
    ).mean()
    whitened = recall(
        anchors.WhitenedSharedFactorOracle().answer(noisy).embeddings["judge"], noisy.gallery
    ).mean()
    assert whitened > plain + 0.15


def test_the_whitened_listener_finds_more_than_the_plain_one():
    noisy = Noisy(200)
    noisy.train_voice_statistics = noisy.voice_statistics = noisy.shared[:, :4]
    plain = recall(anchors.LinearListener().answer(noisy).embeddings["judge"], noisy.gallery).mean()
    whitened = recall(
        anchors.WhitenedLinearListener().answer(noisy).embeddings["judge"], noisy.gallery
    ).mean()
    assert whitened > plain + 0.05


def test_whitening_takes_more_dimensions_than_people():
    few = Noisy(8)
    few.train_voice_statistics = few.voice_statistics = few.shared[:, :4]
    assert np.isfinite(anchors.WhitenedLinearListener().answer(few).embeddings["judge"]).all()


# ---------------------------------------------------------------- the world as a range


class Rendered(People):
    """The first test people of a synthetic world, seen by the embedded judge; no voices."""

    def __init__(self, shared):
        data = SyntheticWorld(DatasetSource(seed=1, shared=shared, limits={"train": 2, "val": 2, "test": 60}))
        super().__init__(list(data.identities("test")), dataset=data)
        self.image_size, self.judge = 64, extractor_named("embedded-judge")
        photos = [data.photos(person.id)[0].image(64) for person in self.identities]
        self.templates = self.embed("judge", np.stack(photos))[0]

    def embed(self, role, faces):
        import torch

        return self.judge(torch.from_numpy(faces))[0].numpy(), None

    def train_templates(self, role):
        return self.templates


def test_where_nothing_is_shared_oracles_know_the_gender_alone(monkeypatch):
    monkeypatch.setattr(anchors, "ORACLE_FACES", 8)
    nothing, most = Rendered(0.0), Rendered(0.8)
    faces = anchors.SharedFactorOracleFace().answer(nothing).faces
    assert len(np.unique(faces.reshape(len(faces), -1), axis=0)) == 2  # a woman and a man
    gender = recall(*anchors.GenderOracle().answer(nothing).ranking, k=6).mean()
    for oracle in (anchors.SharedFactorOracleEmbedding, anchors.WhitenedSharedFactorOracle):
        here, there = (
            recall(oracle().answer(seen).embeddings["judge"], seen.templates, k=6).mean()
            for seen in (nothing, most)
        )
        assert here < gender + 0.12  # two standard errors of 60 people
        assert there > here + 0.15


def test_a_world_has_a_name_and_its_own_hash_and_the_usual_one_keeps_both():
    assert world.SHARED_SHARE == SHARED_SHARE
    assert len(WORLDS) == len(set(WORLDS)) == 12
    hashes = {
        dataset_of(RunConfig(), benchmark_named(name)).fingerprint(): benchmark_named(name).name
        for name in WORLDS
    }
    assert len(hashes) == 12
    usual = SyntheticWorld(DatasetSource()).fingerprint()
    assert hashes[usual] == "synthetic-64"
    assert benchmark_named("synthetic-64-shared0.8-world0") is benchmark_named("synthetic-64")
    assert benchmark_named("synthetic-128-shared0.20-world01").name == "synthetic-128-shared0.2-world1"


@pytest.mark.parametrize(
    "name", ["synthetic-64-shared1.5-world0", "synthetic-64-shared0.5", "null-pairs-shared0-world1"]
)
def test_a_world_that_cannot_be_is_unknown(name):
    with pytest.raises(BenchError, match="unknown benchmark"):
        benchmark_named(name)


def test_the_same_person_speaks_alike_whatever_the_face_shares():
    one, other = (SyntheticWorld(DatasetSource(shared=shared)) for shared in (0.0, 0.8))
    assert one.utterances("test-0000") == other.utterances("test-0000")
    assert one.photos("test-0000")[0].face != other.photos("test-0000")[0].face
