"""Protocol sf2f-paper/1: galleries, crops, modes and anchors as published, on people that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines import anchors
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.protocols.catalogue import PROTOCOLS, protocol_named
from sf2f_bench.protocols.names import BENCH, PAPER, RUNS
from sf2f_bench.protocols.paper import metrics as paper
from sf2f_bench.protocols.paper import runs as paper_runs
from sf2f_bench.protocols.paper.runs import Predictions, random_segments
from sf2f_bench.protocols.paper.scoring import paper_scores
from sf2f_bench.registry import MODELS
from sf2f_bench.results.records import load
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.types import Answer, BenchError
from tests.tiny import TinyFrontend
from tests.unit.paper_world import BENCHMARK, CARD, PEOPLE, Painter, Pictures, draw, values
from tests.unit.test_evaluation import make_evaluation


@pytest.fixture
def evaluation(tmp_path):
    return make_evaluation(tmp_path, PEOPLE, BENCHMARK)


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
    plain = paper_runs._Generator.__call__

    def without(generator, segments, *noise):
        if len(segments[0]) > 1:  # the face of all segments
            return np.zeros((len(segments), 3, 16, 16), np.uint8) + np.uint8(9)
        return plain(generator, segments, *noise)

    monkeypatch.setattr(paper_runs._Generator, "__call__", without)
    other = draw(evaluation, Painter(fuses=False, noise=0.3))
    np.testing.assert_array_equal(with_it.embeddings[""], other.embeddings[""])


def test_a_fuser_leaves_no_mean_voice(evaluation):
    found = paper_scores(evaluation, draw(evaluation, Painter()))
    reasons = {gone.metric: gone.reason for gone in found.absent}
    assert "gives no voice embedding" in reasons["recall@1/g4x3/mean-voice"]
    assert "cosine/one-segment" not in reasons


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
        "mutual-information/5-parts": "the anchor generates no face",
        "mutual-information/3-parts": "the anchor generates no face",
        "frechet-distance": "the anchor generates no face",
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
    cards = [MODELS.get(name).card for name in BENCHMARK.anchors]
    left_out = {protocol: [c.name for c in cards if made.left_out(c)] for protocol, made in PROTOCOLS.items()}
    assert left_out == {BENCH: [], PAPER: ["real-photo-oracle"]}
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
    known = {metric.name: metric.version for metric in protocol_named(PAPER).metrics(BENCHMARK, 14)}
    evaluation.extractors["inception-2015"] = Pictures()
    for fuses in (True, False):
        found = paper_scores(evaluation, draw(evaluation, Painter(fuses=fuses)))
        assert {score.metric for score in found.scores} | {gone.metric for gone in found.absent} <= set(known)
    assert set(known.values()) == {1}
    other = protocol_named(BENCH).metrics(replace(BENCHMARK, protocol=BENCH), 14)
    assert "recall@1/g4" in {metric.name for metric in other}


def test_the_other_protocols_scoring_refuses(evaluation):
    with pytest.raises(AssertionError, match="paper"):
        score(evaluation, anchors.Chance().answer(evaluation))
