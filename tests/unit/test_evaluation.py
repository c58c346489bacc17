"""What scoring knows of the test identities, and the anchors' answers from it."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from baselines import anchors
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import prepare
from sf2f_bench.evaluation.segments import evaluation_segments
from sf2f_bench.evaluation.test_people import Evaluation, generate_faces, take
from sf2f_bench.progress import Reporter
from sf2f_bench.types import Answer, BenchError, Features, Identity
from tests.tiny import TinyDataset, TinyFrontend

BENCHMARK = Benchmark("tiny", "tiny", 16, gallery_size=4, ks=(1, 2))


class PixelExtractor:
    """Sees a face as its pixels' means: an extractor whose answers can be worked out by hand."""

    id, sha256, recognises = "pixels/1", "0" * 64, True

    def __init__(self, key):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)
        return pooled / pooled.norm(dim=1, keepdim=True), torch.softmax(pooled[:, :5] / 50, dim=1)


def make_evaluation(folder, dataset=None, benchmark=BENCHMARK):
    dataset = dataset or TinyDataset()
    reporter = Reporter(Console(file=io.StringIO()))
    store = prepare(dataset, TinyFrontend(), 16, folder / "store", reporter, jobs=1)
    extractors = {role: PixelExtractor(role) for role in ("judge", "training-loss")}
    return Evaluation(benchmark, store, dataset, TinyFrontend(), extractors, folder / "features")


@pytest.fixture
def evaluation(tmp_path):
    return make_evaluation(tmp_path)


def test_segments_are_the_first_20_windows_in_file_order():
    recordings = [np.arange(frames)[:, None] + 1000 * row for row, frames in enumerate((124, 300, 250, 3000))]
    segments = evaluation_segments(recordings)
    assert segments.shape == (20, 1, 125)
    starts = segments[:, 0, 0].tolist()
    assert starts[:5] == [1000, 1125, 2000, 2125, 3000]
    assert starts[-1] == 3000 + 15 * 125


def test_longer_windows_are_fewer_so_that_the_speech_is_equally_long():
    segments = evaluation_segments([np.arange(frames)[:, None] for frames in (499, 1200, 3000)], 500)
    assert segments.shape == (5, 1, 500)
    assert segments[:, 0, 0].tolist() == [0, 500, 0, 500, 1000]
    np.testing.assert_array_equal(segments[1, 0], np.arange(500, 1000))


def test_short_recordings_are_repeated_only_where_none_is_long_enough():
    short = [np.arange(120)[:, None], np.arange(300)[:, None] + 1000]
    segments = evaluation_segments(short, 500)
    assert segments.shape == (2, 1, 500)
    np.testing.assert_array_equal(segments[0, 0], np.arange(500) % 120)
    np.testing.assert_array_equal(segments[1, 0], 1000 + np.arange(500) % 300)
    with_long = evaluation_segments([*short, np.arange(500)[:, None] + 2000], 500)
    assert with_long[:, 0, 0].tolist() == [2000]


def test_short_recordings_fill_no_more_windows_than_long_ones():
    assert evaluation_segments([np.zeros((130, 2))] * 9, 500).shape == (5, 2, 500)
    assert evaluation_segments([np.zeros((100, 2))] * 30).shape == (20, 2, 125)
    assert evaluation_segments([np.zeros((100, 2))] * 3, 5000).shape == (1, 2, 5000)


def test_no_recording_at_all_is_refused():
    with pytest.raises(BenchError, match="no recording"):
        evaluation_segments([])


def test_templates_of_all_photos_hold_the_first_one_too(evaluation):
    faces = evaluation.store.faces("test-2")
    unit = evaluation.embed("judge", faces)[0]
    np.testing.assert_allclose(evaluation.templates_of_all_photos("judge")[2], unit.mean(axis=0), rtol=1e-6)
    assert not np.allclose(evaluation.real("judge").embeddings[2], unit.mean(axis=0))


def test_nobody_meets_their_own_held_out_picture(evaluation):
    faces = evaluation.store.faces("test-0")
    np.testing.assert_array_equal(evaluation.held_out_photos[0], faces[0])
    np.testing.assert_array_equal(evaluation.true_photos[0], faces[1])
    unit = evaluation.embed("judge", faces[1:])[0]
    np.testing.assert_allclose(evaluation.real("judge").embeddings[0], unit.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(evaluation.real("judge").samples[0], unit[0], rtol=1e-6)


def test_features_are_computed_once(evaluation):
    first = evaluation.real("judge")
    calls = evaluation.extractors["judge"].calls
    again = evaluation.real("judge")
    assert evaluation.extractors["judge"].calls == calls
    np.testing.assert_array_equal(first.embeddings, again.embeddings)


def test_too_few_test_identities_say_what_to_do(tmp_path):
    with pytest.raises(BenchError, match=r"galleries of 100 .* has 5: .*--gallery 5"):
        make_evaluation(tmp_path, benchmark=replace(BENCHMARK, gallery_size=100))


def test_generate_faces_keeps_the_order_whatever_the_number_of_segments():
    segments = [np.full((count, 2, 125), row, np.float32) for row, count in enumerate([3, 1, 3, 2, 1])]

    def generate(voices, *, generator):
        return voices[:, 0, 0, 0].to(torch.uint8)[:, None, None, None].expand(-1, 3, 4, 4)

    counted = []
    faces = generate_faces(
        generate, segments, lambda x: x, torch.device("cpu"), torch.Generator(), counted.append
    )
    assert faces[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert sum(counted) == 5


def test_generate_faces_refuses_what_is_no_picture():
    segments = [np.zeros((1, 2, 125), np.float32)]

    def generate(voices, *, generator):
        return torch.zeros(len(voices), 3, 4, 4)

    with pytest.raises(BenchError, match=r"must return uint8 \[1, 3, H, W\], it gave torch.float32"):
        generate_faces(
            generate, segments, lambda x: x, torch.device("cpu"), torch.Generator(), lambda _: None
        )


def test_take_cuts_every_part():
    features = Features(("a", "b", "c"), np.eye(3), np.eye(3) * 2, None)
    cut = take(features, np.array([True, False, True]))
    assert cut.identities == ("a", "c")
    np.testing.assert_array_equal(cut.embeddings, np.eye(3)[[0, 2]])
    np.testing.assert_array_equal(cut.samples, np.eye(3)[[0, 2]] * 2)
    assert cut.probabilities is None


def test_every_anchor_answers_for_everybody(evaluation):
    for anchor in (
        anchors.Chance(),
        anchors.GenderOracle(),
        anchors.MeanFace(),
        anchors.NearestTrainingFace(),
    ):
        assert anchor.applies(evaluation) is None
        answer = anchor.answer(evaluation)
        answered = answer.faces if answer.faces is not None else answer.ranking[0]
        assert len(answered) == 5


def test_the_mean_face_is_the_mean_over_people(evaluation):
    expected = np.mean([faces.mean(axis=0) for faces in evaluation.train_faces], axis=0)
    made = anchors.MeanFace().answer(evaluation).faces
    assert np.abs(made[0] - expected).max() <= 0.5
    assert (made == made[0]).all()


def test_the_nearest_training_face_is_a_training_photo(evaluation):
    photos = np.concatenate(evaluation.train_faces)
    for face in anchors.NearestTrainingFace().answer(evaluation).faces:
        assert (photos == face).all(axis=(1, 2, 3)).any()


def test_the_linear_listener_recovers_a_linear_law(evaluation, monkeypatch):
    random = np.random.default_rng(0)
    law = random.standard_normal((6, 4))
    heard = {name: random.standard_normal((rows, 6)) for name, rows in (("train", 200), ("test", 5))}
    monkeypatch.setattr(type(evaluation), "train_voice_statistics", heard["train"])
    monkeypatch.setattr(type(evaluation), "voice_statistics", heard["test"])
    monkeypatch.setattr(type(evaluation), "train_templates", lambda self, role: heard["train"] @ law)
    answered = anchors.LinearListener().answer(evaluation).embeddings
    assert set(answered) == {"judge", "training-loss"}
    np.testing.assert_allclose(answered["judge"], heard["test"] @ law, atol=0.05)


def test_oracles_say_why_they_do_not_apply(tmp_path):
    evaluation = make_evaluation(tmp_path, TinyDataset(photos_each=1))
    assert "0 test identities have two photos" in anchors.RealPhotoOracle().applies(evaluation)
    assert "law" in anchors.SharedFactorOracleFace().applies(evaluation)
    people = [Identity(person.id, None if person.id == "test-2" else "f") for person in evaluation.identities]
    evaluation.store = SimpleNamespace(identities=lambda split: people)
    assert anchors.GenderOracle().applies(evaluation).startswith("1 test identities")


def test_the_real_photo_oracle_answers_only_where_there_are_two_photos(tmp_path):
    broken = frozenset({("test-1", "p0"), ("test-1", "p1")})
    answer: Answer = anchors.RealPhotoOracle().answer(make_evaluation(tmp_path, TinyDataset(broken=broken)))
    assert answer.rows.tolist() == [True, False, True, True, True]
    assert len(answer.faces) == 4
