"""Attribute agreement: against scikit-learn's scores, and by judges whose verdicts can be read off the picture."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import accuracy_score, mean_absolute_error

from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import prepare
from sf2f_bench.evaluation.attribute_judges import (
    AttributeProbe,
    attribute_scores,
    judge_error,
    notes,
)
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.metrics.attributes import METRICS, AgeDifference, WordAgreement
from sf2f_bench.progress import Reporter
from sf2f_bench.types import Answer, BenchError, Unavailable
from tests.tiny import TinyDataset, TinyFrontend

RNG = np.random.default_rng
BENCHMARK = Benchmark("tiny", "tiny", 16, gallery_size=4, ks=(1, 2))
PEOPLE = {"train": 24, "val": 2, "test": 8}
GENDER, ETHNICITY = WordAgreement("gender"), WordAgreement("ethnicity")

words = st.lists(st.tuples(st.sampled_from(["f", "m", None]), st.sampled_from("fm")), min_size=4, max_size=30)
years = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(1, 100)), st.integers(1, 100)), min_size=4, max_size=30
)


# ---------------------------------------------------------------- the metrics


@given(words)
def test_agreement_is_the_accuracy_over_the_people_of_whom_it_is_known(pairs):
    known = [(truth, verdict) for truth, verdict in pairs if truth is not None]
    if len(known) < GENDER.min_n:
        with pytest.raises(BenchError, match="gender-agreement needs at least 2 people"):
            GENDER(*zip(*pairs, strict=True), RNG(0))
        return
    score = GENDER(*zip(*pairs, strict=True), RNG(0))
    assert score.value == pytest.approx(accuracy_score(*zip(*known, strict=True)))
    assert score.n == len(known)
    assert len(score.per_identity) == len(pairs)
    assert np.nanmean(score.per_identity) == pytest.approx(score.value)
    low, high = score.interval
    assert 0 <= low <= score.value <= high <= 1


@pytest.mark.filterwarnings(
    "ignore:The BCa confidence interval"
)  # of two or three people; there is another rule
@pytest.mark.filterwarnings("ignore:invalid value encountered")
@given(years)
def test_the_age_difference_is_the_mean_absolute_error(pairs):
    known = [(truth, verdict) for truth, verdict in pairs if truth is not None]
    if len(known) < 2:
        return
    score = AgeDifference()(*zip(*pairs, strict=True), RNG(0))
    assert score.value == pytest.approx(mean_absolute_error(*zip(*known, strict=True)))
    assert score.n == len(known)
    np.testing.assert_array_equal(np.isnan(score.per_identity), [truth is None for truth, _ in pairs])


@given(words, st.randoms())
def test_the_order_of_the_people_and_a_second_copy_of_each_change_nothing(pairs, random):
    if sum(truth is not None for truth, _ in pairs) < 2:
        return
    value = GENDER(*zip(*pairs, strict=True), RNG(0)).value
    shuffled = random.sample(pairs, len(pairs))
    assert GENDER(*zip(*shuffled, strict=True), RNG(0)).value == pytest.approx(value)
    assert GENDER(*zip(*(2 * pairs), strict=True), RNG(0)).value == pytest.approx(value)


def test_all_right_or_all_wrong_still_has_an_interval():
    assert GENDER(["f", "m"], ["f", "m"], RNG(0)).interval == pytest.approx((0.1581, 1), abs=1e-4)
    assert GENDER(["f", "m"], ["m", "f"], RNG(0)).interval == pytest.approx((0, 0.8419), abs=1e-4)
    assert (
        AgeDifference()([30, 40], [35.0, 45.0], RNG(0)).interval is None
    )  # of two equal values without a bound


@pytest.mark.parametrize("metric", METRICS)
def test_verdicts_that_do_not_pair_are_refused(metric):
    with pytest.raises(BenchError, match=r"2 faces were judged for 3 people"):
        metric([None, None, None], [1, 2], RNG(0))


def test_an_age_that_is_no_number_is_refused():
    with pytest.raises(BenchError, match="no finite number"):
        AgeDifference()([30, 40, None], [31.0, np.nan, 50.0], RNG(0))
    assert AgeDifference()([30, 40, None], [31.0, 41.0, np.nan], RNG(0)).value == 1


# ---------------------------------------------------------------- over an evaluation


def face(gender, age, ethnicity="white", size=16):
    colour = [200 if gender == "f" else 50, age, 200 if ethnicity == "black" else 50]
    return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, size, size))


class Person:
    """A photo of a known face, a little of it noise that the judge below rounds away."""

    def __init__(self, key, picture, seed):
        self.key, self.picture, self.seed = key, picture, seed

    def image(self, size):
        noise = np.random.RandomState(self.seed).randint(-20, 21, (3, 1, 1)) * np.array([[[1]], [[0]], [[1]]])
        return np.clip(self.picture.astype(int) + noise, 0, 255).astype(np.uint8)


class People(TinyDataset):
    """Every second person is a woman; ages 20, 23, 26, ...; `wrong` photos show a man of 90."""

    def __init__(self, known=("gender", "age"), wrong=(), photos_each=3):
        super().__init__(counts=PEOPLE, photos_each=photos_each)
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "wrong", wrong)

    def identities(self, split):
        hidden = {name: None for name in ("gender", "age") if name not in self.known}
        return [
            replace(person, age=20.0 + 3 * row, **hidden)
            if "age" not in hidden
            else replace(person, **hidden)
            for row, person in enumerate(super().identities(split))
        ]

    def photos(self, identity):
        row = int(identity.split("-")[1])
        right = face("fm"[row % 2], 20 + 3 * row, "white" if row % 4 else "black")
        return [
            Person(f"p{i}", face("m", 90) if (identity, i) in self.wrong else right, self._seed(identity) + i)
            for i in range(self.photos_each)
        ]


class Reader:
    """An attribute judge that reads the colours of `face`; counts the faces it was shown."""

    id, sha256 = "reader/1", "0" * 64

    def __init__(self):
        self.shown = 0

    def __call__(self, images):
        self.shown += len(images)
        red, green, blue = images.float().mean(dim=(2, 3)).T.numpy()
        return {
            "gender": np.where(red > 125, "f", "m").tolist(),
            "age": green.astype(np.float64),
            "ethnicity": np.where(blue > 125, "black", "white").tolist(),
        }


class Colours:
    """An extractor whose embedding is the picture's mean colour, and a constant that keeps length 1 linear in it."""

    id, sha256, recognises = "colours/1", "1" * 64, True

    def __call__(self, images):
        return torch.nn.functional.pad(images.float().mean(dim=(2, 3)), (0, 1), value=1000), None


@pytest.fixture
def world(tmp_path):
    """Makes an evaluation of a data set of `People`."""

    def make(**people):
        dataset = People(**people)
        folder = tmp_path / f"world-{len(list(tmp_path.iterdir()))}"
        reporter = Reporter(Console(file=io.StringIO()))
        store = prepare(dataset, TinyFrontend(), 16, folder / "store", reporter, jobs=1)
        return Evaluation(
            BENCHMARK, store, dataset, TinyFrontend(), {"judge": Colours()}, folder / "features"
        )

    return make


def by_name(scores):
    return {metric.name: score for metric, score in scores}


def test_an_answer_of_true_photos_agrees_and_one_of_a_single_face_is_at_chance(world):
    evaluation = world()
    scores = by_name(attribute_scores(evaluation, Reader(), Answer(faces=evaluation.true_photos)))
    assert list(scores) == ["gender-agreement", "ethnicity-agreement", "age-difference"]
    assert [score.value for score in scores.values()] == [1, 1, 0]
    assert {score.n for score in scores.values()} == {8}
    same = np.stack([face("f", 29)] * 8)
    scores = by_name(attribute_scores(evaluation, Reader(), Answer(faces=same)))
    assert scores["gender-agreement"].value == 0.5
    assert scores["ethnicity-agreement"].value == 0.75  # six of eight people are "white"
    assert scores["age-difference"].value == pytest.approx(np.abs(20 + 3 * np.arange(8) - 29).mean())


def test_an_answer_for_some_people_is_held_against_those(world):
    evaluation = world()
    rows = np.arange(8) % 2 == 1  # the men
    faces = np.stack([face("m", 20 + 3 * row) for row in np.flatnonzero(rows)])
    scores = by_name(attribute_scores(evaluation, Reader(), Answer(faces=faces, rows=rows)))
    assert scores["gender-agreement"].value == 1
    assert scores["age-difference"].value == 0
    assert scores["gender-agreement"].n == 4


def test_an_answer_without_faces_has_no_scores(world):
    evaluation = world()
    ranking = (np.zeros((8, 1)), np.zeros((8, 1)))
    assert attribute_scores(evaluation, Reader(), Answer(ranking=ranking)) == []


def test_what_the_data_does_not_know_is_the_judges_verdict_on_the_other_photos(world):
    # The first photo is held out: its error does not reach the reference. Of the others one in two is a tie.
    evaluation = world(known=("age",), wrong={("test-0", 0), ("test-2", 1)})
    reader = Reader()
    faces = np.stack([face("fm"[row % 2], 20 + 3 * row) for row in range(8)])
    scores = by_name(attribute_scores(evaluation, reader, Answer(faces=faces)))
    assert scores["gender-agreement"].value == 1
    assert scores["gender-agreement"].n == 7
    assert np.flatnonzero(np.isnan(scores["gender-agreement"].per_identity)).tolist() == [2]
    assert scores["age-difference"].n == 8


def test_the_same_faces_are_judged_once_whoever_they_are_given_to(world):
    evaluation, reader = world(), Reader()
    answer = Answer(faces=evaluation.true_photos)
    first = attribute_scores(evaluation, reader, answer)
    shown = reader.shown
    assert shown == 8 + 8 * 2
    again = attribute_scores(evaluation, Reader(), answer)
    assert [score.value for _, score in first] == [score.value for _, score in again]
    assert [score.interval for _, score in first] == [score.interval for _, score in again]
    turned = attribute_scores(evaluation, reader, Answer(faces=np.roll(evaluation.true_photos, 1, axis=0)))
    assert reader.shown == shown
    assert by_name(turned)["gender-agreement"].value == 0
    assert by_name(turned)["age-difference"].value == pytest.approx((7 * 3 + 21) / 8)


def test_equal_faces_are_judged_as_one_and_another_judge_is_asked_again(world):
    evaluation, reader, other = world(known=()), Reader(), Reader()
    other.sha256 = "2" * 64
    same = Answer(faces=np.stack([face("f", 29)] * 8))
    attribute_scores(evaluation, reader, same)
    assert reader.shown == 1 + 8 * 2
    attribute_scores(evaluation, other, same)
    assert other.shown == 1 + 8 * 2


def test_with_everything_known_the_true_photos_are_not_judged(world):
    class Plain(Reader):
        def __call__(self, images):
            verdicts = super().__call__(images)
            return {"gender": verdicts["gender"], "age": verdicts["age"]}

    evaluation, judge = world(), Plain()
    attribute_scores(evaluation, judge, Answer(faces=evaluation.true_photos))
    assert judge.shown == 8


def test_the_judges_error_is_what_the_real_photo_oracle_lacks(world):
    evaluation = world(wrong={("test-0", 0), ("test-2", 0)})
    errors = judge_error(evaluation, Reader())
    oracle = Answer(faces=evaluation.held_out_photos, rows=evaluation.has_held_out)
    scores = by_name(attribute_scores(evaluation, Reader(), oracle))
    value, (low, high), n = errors["gender"]
    assert value == pytest.approx(0.25)
    assert (value, n) == (1 - scores["gender-agreement"].value, 8)
    assert low <= value <= high
    assert errors["age"][0] == scores["age-difference"].value == pytest.approx((70 + 64) / 8)
    said = notes(evaluation, Reader())
    assert "reader/1 is wrong on gender for 25.0%" in said[0]
    assert "own verdict" not in said[0]
    assert "for 8 of 8 people, of whom it is not known, the judge's own verdict" in said[1]
    assert "errs by 16.8" in said[2]


def test_where_nobody_has_a_second_photo_the_judge_has_no_known_error(world):
    evaluation = world(photos_each=1)
    assert judge_error(evaluation, Reader()) == {}
    assert notes(evaluation, Reader()) == ()


def test_a_judge_that_does_not_answer_as_it_should_is_named(world):
    evaluation = world()
    answer = Answer(faces=evaluation.true_photos)

    class Strange(Reader):
        def __call__(self, images):
            return {"gender": ["Woman"] * len(images)}

    class Short(Reader):
        def __call__(self, images):
            return {"gender": ["f"]}

    class Lost(Reader):
        def __call__(self, images):
            return {"age": [np.nan] * len(images)}

    with pytest.raises(BenchError, match="reader/1: an age must be a finite number of years"):
        attribute_scores(evaluation, Lost(), answer)
    with pytest.raises(BenchError, match=r"reader/1: gender must be one of .*it says Woman"):
        attribute_scores(evaluation, Strange(), answer)
    with pytest.raises(BenchError, match="1 verdicts on gender for 8 faces"):
        attribute_scores(evaluation, Short(), answer)


# ---------------------------------------------------------------- the probe


def test_a_probe_learns_what_the_training_photos_show(world):
    evaluation = world()
    probe = AttributeProbe(evaluation)
    assert probe.id == "probe/1 on colours/1"
    scores = by_name(attribute_scores(evaluation, probe, Answer(faces=evaluation.held_out_photos)))
    assert list(scores) == ["gender-agreement", "age-difference"]
    assert scores["gender-agreement"].value == 1
    assert scores["age-difference"].value < 3  # one age for all would be off by 6 at best
    verdicts = probe(torch.from_numpy(evaluation.true_photos))
    assert set(verdicts["gender"]) == {"f", "m"}
    assert verdicts["age"].dtype == np.float64


def test_a_probe_looks_at_no_photo_before_it_is_first_asked(world, monkeypatch):
    evaluation = world()
    looked = []
    judge = evaluation.extractors["judge"]

    class Watched:
        id, recognises = judge.id, judge.recognises

        def __call__(self, images):
            looked.append(len(images))
            return judge(images)

    monkeypatch.setitem(evaluation.extractors, "judge", Watched())
    probe = AttributeProbe(evaluation)
    assert probe.id == "probe/1 on colours/1"
    assert probe.attributes == ("gender", "age")
    assert not looked
    assert probe.sha256
    assert looked


def test_a_probe_is_the_same_again_and_another_one_on_other_people(world):
    one, again = AttributeProbe(world()), AttributeProbe(world())
    other = AttributeProbe(world(wrong={("train-0", 0)}))
    assert one.sha256 == again.sha256 != other.sha256
    assert len(one.sha256) == 64


def test_a_probe_judges_only_what_the_data_knows(world):
    evaluation = world(known=("gender",))
    scores = by_name(
        attribute_scores(evaluation, AttributeProbe(evaluation), Answer(faces=evaluation.true_photos))
    )
    assert list(scores) == ["gender-agreement"]
    with pytest.raises(Unavailable, match="tiny knows gender or age of too few training people"):
        AttributeProbe(world(known=()))


def test_a_person_with_many_photos_weighs_no_more_than_one_with_few():
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    from sf2f_bench.evaluation.attribute_judges import _fitted

    random = np.random.RandomState(0)
    photos, ages, owners = random.standard_normal((12, 3)), random.uniform(20, 60, 12), np.arange(12)
    more = np.repeat(owners, [5, *[1] * 11])
    search, folds, score = {"alpha": [1.0]}, GroupKFold(3), "neg_mean_absolute_error"
    plain = _fitted(Ridge(), search, folds, score, photos, ages, owners)
    copied = _fitted(Ridge(), search, folds, score, photos[more], ages[more], owners[more])
    np.testing.assert_allclose(plain.coef_, copied.coef_, rtol=1e-10)
    np.testing.assert_allclose(plain.coef_, Ridge(1.0).fit(photos, ages).coef_, rtol=1e-10)
