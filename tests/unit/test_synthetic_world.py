"""The synthetic world: the same everywhere, disjoint, recognisable, and under the law it states."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from sf2f_bench.data.synthetic import dataset, world
from sf2f_bench.data.synthetic.dataset import SPLIT_SIZES, SPLIT_STARTS, SyntheticWorld, stream_photos
from sf2f_bench.data.synthetic.faces import FaceParameters, PhotoNuisance, render
from sf2f_bench.types import BenchError, Dataset, DatasetSource, KnownLaw, Photo, Utterance

CONTENT_HASH = "af31b16d6aa26e3e37df96939181a28a562fe109f9b7a781a8a9afea189e87ae"


@pytest.fixture(scope="module")
def synthetic() -> SyntheticWorld:
    return SyntheticWorld(DatasetSource())


@pytest.fixture(scope="module")
def people() -> list[world.SyntheticPerson]:
    return [world.person_of(0, "benchmark", index) for index in range(1400)]


@pytest.fixture(scope="module")
def album(synthetic: SyntheticWorld) -> np.ndarray:
    """All photos of sixty test identities: uint8 [60, 3, 3, 64, 64]."""
    ids = [identity.id for identity in synthetic.identities("test")[:60]]
    return np.stack([[photo.image(64) for photo in synthetic.photos(i)] for i in ids])


# ---------------------------------------------------------------- what it offers


def test_it_is_a_data_set_with_a_known_law(synthetic):
    assert isinstance(synthetic, Dataset)
    assert isinstance(synthetic, KnownLaw)
    assert isinstance(synthetic.utterances("val-0000")[0], Utterance)
    assert isinstance(synthetic.photos("val-0000")[0], Photo)
    assert not synthetic.card.real
    assert synthetic.card.paired


def test_splits_have_their_sizes_and_share_nobody(synthetic, people):
    ids = {split: [identity.id for identity in synthetic.identities(split)] for split in SPLIT_SIZES}
    assert {split: len(names) for split, names in ids.items()} == {"train": 1000, "val": 100, "test": 300}
    assert len({name for names in ids.values() for name in names}) == 1400
    indices = [SPLIT_STARTS[split] + number for split in ids for number in range(len(ids[split]))]
    assert sorted(indices) == list(range(1400))
    assert len({tuple(person.shared.values()) for person in people}) == 1400
    judges = {tuple(world.person_of(0, "judge", index).shared.values()) for index in range(200)}
    assert not judges & {tuple(person.shared.values()) for person in people}


def test_limits_keep_the_first_identities(synthetic):
    small = SyntheticWorld(DatasetSource(limits={"train": 5, "test": 2}))
    assert small.identities("train") == synthetic.identities("train")[:5]
    assert len(small.identities("val")) == 100
    assert small.fingerprint() != synthetic.fingerprint()
    with pytest.raises(BenchError, match="train-0005"):
        small.photos("train-0005")


def test_identities_carry_gender_and_age(synthetic):
    identities = synthetic.identities("train")
    assert 0.45 < np.mean([identity.gender == "m" for identity in identities]) < 0.55
    assert all(18 <= identity.age <= 80 for identity in identities)
    assert np.std([identity.age for identity in identities]) > 8


@pytest.mark.parametrize("what", ["root", "voices", "faces"])
def test_a_folder_is_refused(what):
    with pytest.raises(BenchError, match=f"{what} was given"):
        SyntheticWorld(DatasetSource(**{what: Path("somewhere")}))


@pytest.mark.parametrize("limits", [{"dev": 10}, {"train": 0}])
def test_a_wrong_limit_is_refused(limits):
    with pytest.raises(BenchError, match="limit"):
        SyntheticWorld(DatasetSource(limits=limits))


@pytest.mark.parametrize("name", ["train-1000", "dev-0001", "0007", "train-seven", ""])
def test_an_unknown_identity_is_refused(synthetic, name):
    with pytest.raises(BenchError, match="unknown identity"):
        synthetic.utterances(name)


def test_an_unknown_split_and_size_are_refused(synthetic):
    with pytest.raises(BenchError, match="train, val, test"):
        synthetic.identities("dev")
    with pytest.raises(BenchError, match="multiple of 16"):
        synthetic.photos("val-0000")[0].image(50)


# ---------------------------------------------------------------- the same everywhere


def content_hash(data: SyntheticWorld, per_split: int = 2) -> str:
    """SHA-256 over 16-bit audio and 64-pixel photos of the first identities of every split."""
    digest = hashlib.sha256()
    for split in SPLIT_SIZES:
        for identity in data.identities(split)[:per_split]:
            for utterance in data.utterances(identity.id):
                digest.update((utterance.waveform() * 32768).astype("<i2").tobytes())
            for photo in data.photos(identity.id):
                digest.update(photo.image(64).tobytes())
    return digest.hexdigest()


def test_the_content_is_the_recorded_one(synthetic):
    assert content_hash(synthetic) == CONTENT_HASH == dataset.CONTENT_HASH


def test_a_second_world_of_the_same_seed_is_the_same_and_of_another_seed_is_not(synthetic):
    again, other = SyntheticWorld(DatasetSource()), SyntheticWorld(DatasetSource(seed=1))
    assert again.fingerprint() == synthetic.fingerprint() != other.fingerprint()
    first, second, third = (made.photos("test-0003")[1].image(64) for made in (synthetic, again, other))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any()


def test_items_survive_pickling(synthetic):
    utterance, photo = synthetic.utterances("val-0001")[2], synthetic.photos("val-0001")[2]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(photo)).image(64), photo.image(64))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(utterance)).waveform(), utterance.waveform())
    assert pickle.loads(pickle.dumps(synthetic)).fingerprint() == synthetic.fingerprint()


def test_the_embedded_networks_see_the_same_photos_at_any_count(album):
    photos = stream_photos("judge", 7, 3, 64)
    assert photos.shape == (3, 3, 64, 64)
    assert photos.dtype == np.uint8
    np.testing.assert_array_equal(stream_photos("judge", 7, 1, 64), photos[:1])
    assert (stream_photos("perceptual", 7, 1, 64) != photos[:1]).any()


# ---------------------------------------------------------------- voices


def test_utterances_are_16_bit_and_differ(synthetic):
    utterances = synthetic.utterances("test-0000")
    assert [utterance.key for utterance in utterances] == [f"utterance-{number}" for number in range(4)]
    first, second = (utterance.waveform() for utterance in utterances[:2])
    assert first.dtype == np.float32
    assert first.shape == (120_000,)
    assert np.array_equal(first * 32768, np.rint(first * 32768))
    assert np.abs(first).max() <= 1
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def test_four_utterances_give_twenty_windows(synthetic):
    """Of 125 frames, cut within each utterance, after voice activity detection."""
    from sf2f_bench.audio.filterbank import LogFilterbank

    frontend = LogFilterbank()
    for identity in ("test-0001", "train-0002"):
        frames = [u.log_filterbank(frontend).shape[1] for u in synthetic.utterances(identity)]
        assert sum(count // 125 for count in frames) >= 20


# ---------------------------------------------------------------- faces


def test_the_background_is_white(album):
    assert album.shape == (60, 3, 3, 64, 64)
    assert (album[..., :4, :4] == 255).all()
    assert (album[..., :4, -4:] == 255).all()
    assert (album[..., 24:40, 24:40] < 255).any(axis=(2, 3, 4)).all()


def test_128_is_the_same_picture_as_64(synthetic):
    face, nuisance = FaceParameters("m", glasses=True, beard=0.5), PhotoNuisance(yaw=0.5, roll=3.0)
    large = render(face, nuisance, 128).reshape(3, 64, 2, 64, 2).mean(axis=(2, 4))
    assert np.abs(large - render(face, nuisance, 64)).mean() < 4


def test_a_person_is_found_by_another_photo(album):
    """Plain colours of 16 x 16 pixels do far better than the chance of 1 in 60."""
    small = album.reshape(60, 3, 3, 16, 4, 16, 4).mean(axis=(4, 6)).reshape(60, 3, -1)
    distance = np.linalg.norm(small[:, None, 0] - small[None, :, 1], axis=-1)
    assert (distance.argmin(axis=1) == np.arange(60)).mean() > 0.6
    assert np.diag(distance).mean() < 0.6 * distance[~np.eye(60, dtype=bool)].mean()


@pytest.mark.parametrize(
    "trait",
    [f.name for f in dataclasses.fields(FaceParameters) if f.name not in ("gender", "glasses", "beard")],
)
def test_every_trait_is_visible_at_64_pixels(trait):
    short_haired = FaceParameters("f", hair_length=-1.2)  # so that the ears show
    low, high = (
        render(dataclasses.replace(short_haired, **{trait: z}), PhotoNuisance(), 64).astype(int)
        for z in (-1.5, 1.5)
    )
    assert (np.abs(low - high).max(axis=0) > 20).sum() >= 6  # pixels


def test_photos_of_a_person_differ_and_the_neutral_one_has_no_noise(album):
    assert (album[:, 0] != album[:, 1]).any(axis=(1, 2, 3)).all()
    neutral = [render(FaceParameters("f"), PhotoNuisance(), 64) for _ in range(2)]
    np.testing.assert_array_equal(*neutral)


# ---------------------------------------------------------------- the law


@pytest.mark.parametrize(("factor", "trait"), world.SHARED_TRAITS.items())
def test_a_face_trait_follows_its_shared_factor(people, factor, trait):
    for gender in "fm":
        same = [person for person in people if person.gender == gender]
        x = [person.shared[factor] for person in same]
        y = [getattr(world.face_of(person), trait) for person in same]
        # Standard error of a correlation of .894 with n = 700: .0075
        assert np.corrcoef(x, y)[0, 1] == pytest.approx(sqrt(0.8), abs=0.03)
        assert np.std(y) == pytest.approx(1, abs=0.12)


def test_shared_factors_reach_the_voice_and_face_only_ones_do_not(people):
    person = people[0]
    before = world.voice_of(person)
    changed = set()
    for factor in world.SHARED_TRAITS:
        other = dataclasses.replace(person, shared={**person.shared, factor: person.shared[factor] + 1})
        after = world.voice_of(other)
        differing = {
            field.name
            for field in dataclasses.fields(before)
            if getattr(before, field.name) != getattr(after, field.name)
        }
        assert len(differing) == 1
        changed |= differing
        assert (
            render(world.face_of(other), PhotoNuisance(), 64)
            != render(world.face_of(person), PhotoNuisance(), 64)
        ).any()
    assert len(changed) == len(world.SHARED_TRAITS)
    stranger = world.someone_like(person, np.random.RandomState(5))
    assert world.voice_of(stranger) == before
    assert world.face_of(stranger) != world.face_of(person)


def test_factors_are_independent_and_standard_normal(people):
    latents = np.array([[*p.shared.values(), *p.face_only.values(), *p.voice_only.values()] for p in people])
    assert np.abs(latents.mean(axis=0)).max() < 4 / sqrt(1400)
    assert np.abs(latents.std(axis=0) - 1).max() < 4 / sqrt(2 * 1400)
    correlations = np.corrcoef(latents.T) - np.eye(latents.shape[1])
    assert np.abs(correlations).max() < 4.5 / sqrt(1400)


def test_gender_is_heard_and_seen(people):
    men, women = ([p for p in people if p.gender == g] for g in "mf")
    assert min(np.median([world.voice_of(p).f0 for p in women]), 200) > 190
    assert np.median([world.voice_of(p).f0 for p in men]) < 130
    for trait, shift in world.GENDER_SHIFT.items():
        gap = np.mean([getattr(world.face_of(p), trait) for p in men])
        gap -= np.mean([getattr(world.face_of(p), trait) for p in women])
        assert gap == pytest.approx(shift, abs=0.25)
    assert not any(world.face_of(p).beard for p in women)


def test_the_oracle_face_has_the_true_shared_factors_and_nothing_else(synthetic, people):
    person = people[SPLIT_STARTS["test"]]
    expected = world.expected_face_of(person)
    other = world.expected_face_of(world.someone_like(person, np.random.RandomState(1)))
    assert expected == other
    np.testing.assert_array_equal(
        synthetic.oracle_face("test-0000", 64), render(expected, PhotoNuisance(), 64)
    )
    side = 0.5 if person.gender == "m" else -0.5
    for factor, trait in world.SHARED_TRAITS.items():
        shift = side * world.GENDER_SHIFT.get(trait, 0.0)
        assert getattr(expected, trait) == pytest.approx(sqrt(0.8) * person.shared[factor] + shift)


def test_faces_given_shared_vary_around_the_oracle_face(synthetic):
    faces = synthetic.faces_given_shared("test-0000", 24, seed=0, size=64)
    assert faces.shape == (24, 3, 64, 64)
    assert faces.dtype == np.uint8
    np.testing.assert_array_equal(faces[:3], synthetic.faces_given_shared("test-0000", 3, seed=0, size=64))
    assert (faces[:3] != synthetic.faces_given_shared("test-0000", 3, seed=1, size=64)).any()
    own = np.abs(faces.mean(axis=0) - synthetic.oracle_face("test-0000", 64)).mean()
    others = [
        np.abs(faces.mean(axis=0) - synthetic.oracle_face(f"test-{n:04d}", 64)).mean() for n in range(1, 30)
    ]
    assert own < np.median(others)
