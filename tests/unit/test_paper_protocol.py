"""Protocol sf2f-paper/1: galleries, modes and runs as published, on people that can be worked out by hand."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_fid.fid_score import calculate_frechet_distance
from rich.console import Console
from scipy.stats import entropy

from baselines import anchors
from sf2f_bench import paper_runs
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import prepare
from sf2f_bench.files import seed_of
from sf2f_bench.metrics import paper
from sf2f_bench.metrics.quality import mutual_information_score
from sf2f_bench.paper_protocol import Predictions, paper_scores, predict, random_photos
from sf2f_bench.paper_runs import random_segments
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols import BENCH, LEFT_OUT, PAPER, PROTOCOLS, RUNS
from sf2f_bench.recording import Provenance, save_record
from sf2f_bench.records import load
from sf2f_bench.scoring import metric_versions, score
from sf2f_bench.types import Answer, BenchError, ModelCard
from tests.tiny import TinyDataset, TinyFrontend
from tests.unit.test_evaluation import make_evaluation

BENCHMARK = Benchmark("tiny", "tiny", 16, protocol=PAPER, gallery_size=4, ks=(1, 2))
PEOPLE = TinyDataset(
    counts={"train": 6, "val": 2, "test": 14}
)  # three galleries of 4, and two people past them
CPU = torch.device("cpu")
CARD = ModelCard("painter", "1", "system", "a test")


@dataclass
class Painter:
    """Paints every face from the mean of its voices; remembers what it was given."""

    fuses: bool = True
    noise: float = 0.0
    frontend: TinyFrontend = field(default_factory=TinyFrontend)
    card: ModelCard = CARD

    def __post_init__(self):
        self.shapes = []
        self.heard = []

    def generate(self, voices, *, generator):
        self.shapes.append(tuple(voices.shape))
        self.heard.append(voices)
        ramp = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)
        tone = 20 * voices.mean(dim=(1, 3))[:, :3, None, None]  # [B, 3, 1, 1]
        grain = self.noise * torch.rand(len(voices), 1, 16, 16, generator=generator)
        return ((torch.sin(7 * ramp * (2 + tone)) + 1.2 + grain) * 90).clamp(0, 255).to(torch.uint8)


@pytest.fixture
def evaluation(tmp_path):
    return make_evaluation(tmp_path, PEOPLE, BENCHMARK)


def draw(evaluation, system, seed=0, store=None):
    counted = []
    predictions = predict(evaluation, system, CPU, seed, counted.append, store)
    assert sum(counted) == RUNS * len(evaluation.identities)
    return predictions


def values(found, what="value"):
    return {score.metric: getattr(score, what) for score in found.scores}


# ---------------------------------------------------------------- galleries


def test_people_past_the_third_gallery_enter_distances_only(evaluation):
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    counts = values(found, "n")
    assert counts["recall@1/g4x3"] == counts["recall@2/g4x3/one-segment"] == 12
    assert counts["cosine"] == counts["l1"] == counts["l2/one-segment"] == 14
    others = {name: value.copy() for name, value in predictions.embeddings.items()}
    others[""][:, 12:] = -1
    moved = values(paper_scores(evaluation, replace(predictions, embeddings=others)))
    before = values(found)
    assert moved["recall@1/g4x3"] == before["recall@1/g4x3"]
    assert moved["cosine"] != before["cosine"]


def test_recall_is_the_mean_of_three_fixed_galleries():
    random = np.random.default_rng(0)
    truth = random.standard_normal((13, 5))
    drawn = truth + random.standard_normal((13, 5))
    metric = paper.GalleryRecall(2, 4)
    by_hand = []
    for rows in (range(4), range(4, 8), range(8, 12)):
        for i in rows:
            cosines = [
                drawn[i] @ truth[j] / np.linalg.norm(drawn[i]) / np.linalg.norm(truth[j]) for j in rows
            ]
            by_hand.append(sorted(cosines, reverse=True).index(cosines[i - rows[0]]) < 2)
    np.testing.assert_array_equal(metric(drawn, truth), by_hand)
    assert 0 < np.mean(by_hand) < 1
    assert metric.name == "recall@2/g4x3"


@given(st.integers(0, 2**32 - 1))
def test_order_inside_a_gallery_and_order_of_galleries_change_nothing(seed):
    random = np.random.default_rng(seed)
    truth, drawn = random.standard_normal((2, 30, 6))
    drawn += truth
    order = np.concatenate([10 * g + random.permutation(10) for g in random.permutation(3)])
    metric = paper.GalleryRecall(3, 10)
    np.testing.assert_array_equal(metric(drawn[order], truth[order]), metric(drawn, truth)[order])


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_recall_rises_with_k_and_ignores_length(seed, scale):
    random = np.random.default_rng(seed)
    truth, drawn = random.standard_normal((2, 12, 4))
    recalls = [paper.GalleryRecall(k, 4)(drawn, truth) for k in (1, 2, 3, 4)]
    assert (np.diff(recalls, axis=0) >= 0).all()
    assert recalls[-1].mean() == 1
    np.testing.assert_array_equal(paper.GalleryRecall(2, 4)(scale * drawn, truth), recalls[1])


def test_a_rival_in_another_gallery_does_no_harm():
    truth = np.eye(4)[[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]]  # the same four faces in every gallery
    assert paper.GalleryRecall(1, 4)(truth, truth).mean() == 1
    assert paper.GalleryRecall(1, 12, 1)(truth, truth).mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize(("people", "galleries"), [(4, 1), (7, 1), (8, 2), (12, 3), (40, 3)])
def test_as_many_full_galleries_as_fit(people, galleries):
    assert paper.gallery_count(people, 4) == galleries
    names = [metric.name for metric in paper.similarity_metrics(4, (1, 2), people)]
    assert names == [f"recall@1/g4x{galleries}", f"recall@2/g4x{galleries}", "cosine", "l1", "l2"]


def test_impossible_galleries_are_refused():
    with pytest.raises(BenchError, match="gallery of 100 needs as many test identities, there are 99"):
        paper.similarity_metrics(100, (1,), 99)
    with pytest.raises(BenchError, match="cannot give recall@5"):
        paper.similarity_metrics(4, (5,), 12)
    with pytest.raises(BenchError, match="needs 12 identities, got 11"):
        paper.GalleryRecall(1, 4)(np.ones((11, 2)), np.ones((11, 2)))
    with pytest.raises(BenchError, match="did you mean 'sf2f-paper/1'"):
        replace(BENCHMARK, protocol="sf2f-paper/2").check()
    for protocol in PROTOCOLS:
        replace(BENCHMARK, protocol=protocol).check()


# ---------------------------------------------------------------- crops


def test_crops_are_windows_of_the_same_recordings():
    recordings = [np.arange(frames)[:, None] + 10_000 * row for row, frames in enumerate((124, 300, 4000))]
    crops = random_segments(recordings, 125, np.random.default_rng(0))
    assert crops.shape == (20, 1, 125)
    assert (np.diff(crops[:, 0], axis=1) == 1).all()
    assert (crops[:, 0, 0] // 10_000).tolist() == [1, 1] + [2] * 18
    assert len(set(crops[:, 0, 0].tolist())) > 15
    starts = np.concatenate(
        [random_segments(recordings[1:2], 125, np.random.default_rng(i))[:, 0, 0] for i in range(600)]
    )
    assert (starts.min(), starts.max()) == (10_000, 10_175)  # every start at which the window fits


def test_crops_of_short_recordings_go_round():
    crops = random_segments([np.arange(130)[:, None]] * 3, 500, np.random.default_rng(1))
    assert crops.shape == (3, 1, 500)
    for crop in crops[:, 0]:
        np.testing.assert_array_equal(crop, (crop[0] + np.arange(500)) % 130)
    assert len(set(crops[:, 0, 0].tolist())) > 1


def test_runs_hear_other_crops_and_systems_the_same(evaluation):
    one, other = Painter(), Painter(noise=0.3)
    draw(evaluation, one)
    draw(evaluation, other, seed=5)
    assert len(one.heard) == len(other.heard) == 2 * RUNS
    for mine, theirs in zip(one.heard, other.heard, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert not torch.equal(one.heard[0], one.heard[2])


# ---------------------------------------------------------------- modes


def test_a_fusing_system_gets_all_segments_at_once(evaluation):
    system = Painter()
    predictions = draw(evaluation, system)
    assert set(system.shapes) == {(14, 3, 40, 125), (14, 1, 40, 125)}  # 300 and 140 frames: three windows
    assert predictions.mode == "fused"
    assert {name: value.shape for name, value in predictions.embeddings.items()} == {
        "": (RUNS, 14, 48),
        "/one-segment": (RUNS, 14, 48),
    }
    assert predictions.probabilities["/fused"].shape == (RUNS, 14, 5)
    assert predictions.faces.shape == (14, 3, 16, 16)


def test_another_system_is_scored_by_the_mean_embedding_of_its_faces(evaluation):
    system = Painter(fuses=False)
    predictions = draw(evaluation, system)
    assert {shape[1:] for shape in system.shapes} == {(1, 40, 125), (3, 40, 125)}
    assert predictions.mode == "average"
    a_run = system.heard[: len(system.heard) // RUNS]
    voices = torch.cat([part for part in a_run if part.shape[1] == 1])
    faces = Painter().generate(voices, generator=None).numpy()  # three a person, in order
    each = evaluation.embed("training-loss", faces)[0].reshape(14, 3, -1)
    np.testing.assert_allclose(predictions.embeddings[""][0], each.mean(axis=1), atol=1e-4)
    assert (np.linalg.norm(predictions.embeddings[""], axis=2) < 1).all()  # not brought back to length 1
    alone = predictions.embeddings["/one-segment"][0]
    which = [int(np.abs(each[i] - alone[i]).sum(axis=1).argmin()) for i in range(14)]
    np.testing.assert_allclose(alone, each[np.arange(14), which], atol=1e-4)
    assert len(set(which)) > 1  # not always the first
    assert set(predictions.probabilities) == {""}


def test_a_system_that_does_not_say_fuses(evaluation):
    class Silent:
        frontend, card, generate = TinyFrontend(), CARD, Painter().generate

    assert draw(evaluation, Silent()).mode == "fused"


def test_the_truth_is_the_mean_over_all_photos(evaluation):
    unit = np.stack(
        [evaluation.embed("training-loss", evaluation.store.faces(i.id))[0] for i in evaluation.identities]
    )
    truth = unit.mean(axis=1)  # [14, D], three photos each
    predictions = Predictions("anchor", {"": truth[None]}, {})
    found = values(paper_scores(evaluation, predictions))
    assert found["cosine"] == pytest.approx(1)
    assert found["l1"] == pytest.approx(48e-6, rel=0.05)  # 1e-6 a dimension, the quirk of PairwiseDistance
    unlike = Predictions("anchor", {"": 2 * truth[None]}, {})
    assert values(paper_scores(evaluation, unlike))["l2"] == pytest.approx(
        np.linalg.norm(truth, axis=1).mean(), rel=1e-4
    )


def test_a_system_without_fuser_also_draws_the_mean_voice(evaluation):
    system = Painter(fuses=False, noise=0.3)
    predictions = draw(evaluation, system)
    found = paper_scores(evaluation, predictions)
    assert {"recall@1/g4x3/mean-voice", "cosine/mean-voice", "l1/mean-voice"} <= set(values(found))
    faces = Painter().generate(system.heard[1], generator=None).numpy()
    assert system.shapes[1] == (14, 3, 40, 125)
    expected = evaluation.embed("training-loss", faces)[0]
    calm = draw(evaluation, Painter(fuses=False))
    np.testing.assert_allclose(calm.embeddings["/mean-voice"][0], expected, atol=1e-4)
    assert not np.allclose(predictions.embeddings["/mean-voice"], calm.embeddings["/mean-voice"], atol=1e-4)


def test_the_mean_voice_takes_no_noise_from_the_other_faces(evaluation, monkeypatch):
    with_it = draw(evaluation, Painter(fuses=False, noise=0.3))
    plain = paper_runs._draw

    def without(system, device, noise, segments):
        if len(segments[0]) > 1:  # the face of all segments
            return np.zeros((len(segments), 3, 16, 16), np.uint8) + np.uint8(9)
        return plain(system, device, noise, segments)

    monkeypatch.setattr(paper_runs, "_draw", without)
    other = draw(evaluation, Painter(fuses=False, noise=0.3))
    np.testing.assert_array_equal(with_it.embeddings[""], other.embeddings[""])


def test_a_fuser_leaves_no_mean_voice(evaluation):
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert "hands out no voice embedding" in reasons["recall@1/g4x3/mean-voice"]
    assert "cosine/one-segment" not in reasons


# ---------------------------------------------------------------- quality


class Pictures:
    """Stands where Inception would: features of any length, classes, and no recognising."""

    id, sha256, recognises = "pictures/1", "1" * 64, False

    def __call__(self, images):
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
        return pooled, torch.softmax(pooled[:, :7] / 20, dim=1)


def test_fid_is_a_mean_over_runs_each_with_its_own_photos(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    system = Painter(fuses=False)
    found = paper_scores(evaluation, draw(evaluation, system))
    photos = random_photos(evaluation, "inception-2015", RUNS)
    assert photos.shape == (RUNS, 14, 12)
    of_person = [evaluation.embed("inception-2015", faces)[0] for faces in evaluation.test_faces]
    which = [
        [int(np.abs(every - run[i]).sum(axis=1).argmin()) for i, every in enumerate(of_person)]
        for run in photos
    ]
    picked = [[every[j] for every, j in zip(of_person, run, strict=True)] for run in which]
    np.testing.assert_array_equal(photos, picked)
    assert {j for run in which for j in run} == {0, 1, 2}
    assert len({tuple(run) for run in which}) == RUNS
    drawn = draw(evaluation, system).pools[""]
    by_hand = []
    for run, faces in zip(photos, drawn, strict=True):
        moments = [part for rows in (run, faces) for part in (rows.mean(axis=0), np.cov(rows, rowvar=False))]
        by_hand.append(calculate_frechet_distance(*moments))
    assert values(found)["frechet-distance"] == pytest.approx(np.mean(by_hand), rel=1e-3)
    assert values(found, "spread")["frechet-distance"] == pytest.approx(np.std(by_hand), rel=1e-2)
    assert values(found, "n")["frechet-distance"] == 14
    assert values(found, "interval")["frechet-distance"] is None


def test_the_inception_score_has_three_parts_in_the_order_of_the_list(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    for suffix in ("", "/fused"):
        runs = predictions.classes[suffix]
        by_hand = []
        for run in runs.astype(np.float64):
            parts = [run[:4], run[4:9], run[9:]]  # 14 faces cut at 14 / 3 and 28 / 3
            by_hand.append([inception_score_of(part) for part in parts])
        name = f"mutual-information/3-parts{suffix}"
        assert values(found)[name] == pytest.approx(np.mean(by_hand), rel=1e-5)
        assert values(found)[f"{name}/deviation"] == pytest.approx(np.std(by_hand, axis=1).mean(), rel=1e-4)
        assert values(found, "spread")[name] == pytest.approx(np.mean(by_hand, axis=1).std(), rel=1e-3)
    assert {score.extractor for score in found.scores if "3-parts" in score.metric} == {"pictures/1"}
    assert {score.extractor_role for score in found.scores if "3-parts" in score.metric} == {"further"}
    assert "frechet-distance/fused" in values(found)


def inception_score_of(part):
    return np.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part]))


@given(st.integers(0, 2**32 - 1))
def test_fid_ignores_the_order_of_people_and_is_zero_for_the_photos_themselves(seed):
    random = np.random.default_rng(seed)
    photos, faces = random.standard_normal((2, 9, 4))
    metric, order = paper.FrechetDistance(), random.permutation(9)
    assert metric(photos[order], faces) == pytest.approx(metric(photos, faces))
    assert metric(photos, photos[order]) == pytest.approx(0, abs=1e-9)
    assert metric(3 * photos, 3 * faces) == pytest.approx(9 * metric(photos, faces))


@given(st.integers(0, 2**32 - 1))
def test_the_inception_score_is_between_one_and_the_size_of_a_part(seed):
    random = np.random.default_rng(seed)
    score, deviation = paper.inception_score()(random.dirichlet(np.full(8, 0.2), 12), random)
    assert 1 <= score <= 4
    assert deviation >= 0
    sure = np.eye(4)[np.arange(12) % 4]
    assert paper.inception_score()(sure, random) == (pytest.approx(4), pytest.approx(0))
    same = np.repeat(random.dirichlet(np.ones(8), 1), 12, axis=0)
    assert paper.inception_score()(same, random) == (pytest.approx(1), pytest.approx(0))


def test_inception_that_is_not_here_leaves_its_reason(evaluation):
    evaluation.missing["inception-2015"] = "Inception: the file is not there. Put it into /home/somebody."
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["frechet-distance"] == reasons["mutual-information/3-parts/fused"]
    assert "needs inception-2015, which was not on this machine" in reasons["frechet-distance"]
    assert "/home" not in reasons["frechet-distance"]
    del evaluation.missing["inception-2015"]
    found = paper_scores(evaluation, anchors.MeanFace().answer(evaluation))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["frechet-distance"] == "needs inception-2015, which this benchmark does not use"


def test_an_anchor_that_draws_has_fid_of_one_run_and_one_that_asks_has_none(evaluation):
    evaluation.extractors["inception-2015"] = Pictures()
    found = paper_scores(evaluation, anchors.MeanFace().answer(evaluation))
    assert values(found)["frechet-distance"] > 0
    assert values(found, "spread")["frechet-distance"] is None
    assert values(found)["mutual-information/3-parts"] == pytest.approx(1)
    asked = paper_scores(evaluation, anchors.LinearListener().answer(evaluation))
    reasons = {gone.metric: gone.reason for gone in asked.absent}
    assert reasons["frechet-distance"] == "needs faces, which this row does not give"


def test_the_papers_classifier_scores_where_the_benchmark_names_one(evaluation):
    evaluation.benchmark = replace(BENCHMARK, paper_classifier="wrong-colours")
    evaluation.missing["wrong-colours"] = "its file is not there"
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert "needs wrong-colours" in reasons["mutual-information/5-parts"]  # and the judge does not stand in
    evaluation.extractors["paper-classifier"] = Pictures()
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    (score,) = [score for score in found.scores if score.metric == "mutual-information/5-parts"]
    assert (score.extractor, score.extractor_role) == ("pictures/1", "further")


def test_too_few_people_for_three_parts_are_named(tmp_path):
    few = TinyDataset(counts={"train": 6, "val": 2, "test": 5})
    evaluation = make_evaluation(tmp_path, few, BENCHMARK)
    evaluation.extractors["inception-2015"] = Pictures()
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert reasons["mutual-information/3-parts"] == "needs 6 identities, there are 5"
    assert "frechet-distance" in values(found)


# ---------------------------------------------------------------- ten runs


def test_numbers_are_means_over_runs_with_their_spread(evaluation):
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    truth = evaluation.templates_of_all_photos("training-loss")
    singles = [
        values(paper_scores(evaluation, replace(predictions, embeddings={"": run[None]}, mode="anchor")))
        for run in predictions.embeddings[""]
    ]
    for metric in ("recall@1/g4x3", "cosine", "l1", "l2"):
        runs = [single[metric] for single in singles]
        assert values(found)[metric] == pytest.approx(np.mean(runs))
        assert values(found, "spread")[metric] == pytest.approx(np.std(runs))
        assert np.std(runs) > 0
    assert found.columns["cosine|pixels/1"] == pytest.approx(
        np.mean([paper.TrueIdentity("cosine")(run, truth) for run in predictions.embeddings[""]], axis=0)
    )
    low, high = values(found, "interval")["cosine"]
    assert low < values(found)["cosine"] < high


def test_quality_is_a_mean_over_runs_with_its_deviation_over_parts(evaluation):
    predictions = draw(evaluation, Painter())
    found = paper_scores(evaluation, predictions)
    random = np.random.default_rng(seed_of("mutual-information/5-parts", "pixels/1"))
    by_hand = [
        mutual_information_score(run, 5, random.permutation(14)) for run in predictions.probabilities[""]
    ]
    scores, deviations = np.transpose(by_hand)
    assert values(found)["mutual-information/5-parts"] == pytest.approx(scores.mean())
    assert values(found, "spread")["mutual-information/5-parts"] == pytest.approx(scores.std())
    assert values(found)["mutual-information/5-parts/deviation"] == pytest.approx(deviations.mean())
    assert "mutual-information/5-parts/fused" in values(found)
    roles = {score.metric.split("/")[0]: score.extractor_role for score in found.scores}
    assert roles == {
        "recall@1": "training-loss",
        "recall@2": "training-loss",
        "cosine": "training-loss",
        "l1": "training-loss",
        "l2": "training-loss",
        "mutual-information": "judge",
    }


def test_the_same_seed_gives_the_same_numbers_and_noise_another(evaluation):
    first, again, other = (
        paper_scores(evaluation, draw(evaluation, Painter(noise=0.5, fuses=False), seed))
        for seed in (3, 3, 4)
    )
    assert first.scores == again.scores
    assert values(first)["cosine"] != values(other)["cosine"]


def test_kept_predictions_give_the_same_scores(evaluation, tmp_path):
    evaluation.extractors["inception-2015"] = Pictures()
    for fuses in (True, False):
        predictions = draw(evaluation, Painter(fuses=fuses))
        predictions.save(tmp_path / "x.safetensors")
        kept = Predictions.load(tmp_path / "x.safetensors")
        assert {"frechet-distance", "mutual-information/3-parts"} <= set(
            values(paper_scores(evaluation, kept))
        )
        assert paper_scores(evaluation, kept).scores == paper_scores(evaluation, predictions).scores
        np.testing.assert_array_equal(kept.faces, predictions.faces)


def test_a_store_of_other_people_is_refused(evaluation, tmp_path):
    broken = frozenset({("test-3", "u0"), ("test-3", "u1")})
    data = replace(PEOPLE, broken=broken)
    store = prepare(data, TinyFrontend(), 16, tmp_path / "other", make_reporter(), jobs=1)
    with pytest.raises(BenchError, match="13 test identities that are not the benchmark's 14"):
        draw(evaluation, Painter(), store=store)


def test_a_front_end_with_longer_windows_has_its_own_store(evaluation, tmp_path):
    frontend = TinyFrontend(id="long", filters=7, segment_frames=200)
    store = prepare(PEOPLE, frontend, 16, tmp_path / "long", make_reporter(), jobs=1)
    system = Painter(frontend=frontend)
    predictions = draw(evaluation, system, store=store)
    assert set(system.shapes) == {(14, 1, 7, 200)}  # of 300 and 140 frames one window of 200
    assert len(paper_scores(evaluation, predictions).scores) == 14  # recall@1, @2, three distances; twice; MI


def make_reporter():
    return Reporter(Console(file=io.StringIO()))


# ---------------------------------------------------------------- anchors


def test_chance_is_exact_and_says_what_it_lacks(evaluation):
    found = paper_scores(evaluation, anchors.Chance().answer(evaluation))
    assert values(found) == {"recall@1/g4x3": pytest.approx(0.25), "recall@2/g4x3": pytest.approx(0.5)}
    assert found.scores[0].interval == (0.25, 0.25)
    assert found.scores[0].extractor_role == "none"
    assert {gone.metric: gone.reason for gone in found.absent} == {
        "cosine": "the anchor ranks in a space of its own",
        "l1": "the anchor ranks in a space of its own",
        "l2": "the anchor ranks in a space of its own",
        "mutual-information/5-parts": "the anchor draws no face",
        "mutual-information/3-parts": "the anchor draws no face",
        "frechet-distance": "the anchor draws no face",
    }


def test_the_gender_oracle_knows_half_of_every_gallery(evaluation):
    found = paper_scores(evaluation, anchors.GenderOracle().answer(evaluation))
    assert values(found)["recall@1/g4x3"] == pytest.approx(0.5)  # two of each gender in a gallery of four
    evaluation.genders[:] = ["f"] * 3 + ["m"] * 5 + ["f", "m", "m", "m"] + ["f", "f"]
    found = paper_scores(evaluation, anchors.GenderOracle().answer(evaluation))
    expected = [(3 / 3 + 1) / 4, 1 / 4, (1 + 3 / 3) / 4]
    assert values(found)["recall@1/g4x3"] == pytest.approx(np.mean(expected))


def test_anchors_that_draw_or_ask_answer_once(evaluation):
    drawn = paper_scores(evaluation, anchors.MeanFace().answer(evaluation))
    assert values(drawn)["recall@1/g4x3"] == pytest.approx(0.25)
    assert values(drawn)["mutual-information/5-parts"] == pytest.approx(1)
    assert set(values(drawn, "spread").values()) == {None}
    gone = {gone.metric for gone in drawn.absent}
    assert {"recall@1/g4x3/one-segment", "l2/one-segment", "cosine/mean-voice"} <= gone
    asked = paper_scores(evaluation, anchors.LinearListener().answer(evaluation))
    assert {"recall@1/g4x3", "recall@2/g4x3", "cosine", "l1", "l2"} == set(values(asked))
    assert "mutual-information/5-parts" in {gone.metric for gone in asked.absent}


def test_no_photo_is_held_out_so_no_photo_can_answer(evaluation):
    assert list(LEFT_OUT[PAPER]) == ["real-photo-oracle"]
    assert LEFT_OUT[BENCH] == {}
    part = Answer(faces=evaluation.held_out_photos[:5], rows=np.arange(14) < 5)
    with pytest.raises(BenchError, match="for 5 of 14"):
        paper_scores(evaluation, part)


# ---------------------------------------------------------------- records


def test_a_record_names_the_protocol_and_keeps_everybody(evaluation, tmp_path):
    predictions = draw(evaluation, Painter(fuses=False))
    found = paper_scores(evaluation, predictions)
    provenance = Provenance("f" * 16, CARD, {}, 0, "default", "cpu", 1.0)
    made = load(save_record(evaluation, found, provenance, tmp_path / "results", predictions.faces))
    assert made.benchmark.protocol == PAPER
    assert any("average_facenet_embedding" in note for note in made.notes)
    table = made.per_identity()
    assert len(table) == 14
    assert table["recall@1/g4x3|pixels/1"].notna().sum() == 12
    assert table["cosine|pixels/1"].notna().all()
    assert made.faces().shape == (12, 3, 16, 16)


def test_a_key_holds_every_metric_that_a_record_may(evaluation):
    known = dict(metric_versions(BENCHMARK, 14))
    evaluation.extractors["inception-2015"] = Pictures()
    for fuses in (True, False):
        found = paper_scores(evaluation, draw(evaluation, Painter(fuses=fuses)))
        assert {score.metric for score in found.scores} | {gone.metric for gone in found.absent} <= set(known)
    assert set(known.values()) == {1}
    other = dict(metric_versions(replace(BENCHMARK, protocol=BENCH), 14))
    assert "recall@1/g4" in other


def test_the_other_protocols_scoring_refuses(evaluation):
    with pytest.raises(AssertionError, match="paper_protocol"):
        score(evaluation, anchors.Chance().answer(evaluation))
