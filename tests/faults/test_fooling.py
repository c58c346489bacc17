"""The known ways of fooling oneself, each acted out on the embedded world: the row or alarm meant for it must show it.

The list is that of the field's known faults: gender alone, the network of the training loss as judge, collapse, copied
training photos, leaking splits, distances without their n.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console

from baselines import anchors
from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audit.findings import audit
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.report.notes import notes
from sf2f_bench.results.records import load
from sf2f_bench.results.selection import groups
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.types import Answer, DatasetSource, ModelCard

BENCHMARK = Benchmark("fooling", "synthetic", gallery_size=40, ks=(1, 2, 5, 10))
LIMITS = {"train": 60, "val": 2, "test": 80}
HONEST = (anchors.Chance, anchors.GenderOracle, anchors.MeanFace, anchors.RealPhotoOracle)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fooling")
    world = SyntheticWorld(DatasetSource(limits=LIMITS))
    store = prepare(
        world, LogFilterbank(), 64, folder / "store", Reporter(Console(file=io.StringIO())), jobs=2
    )
    networks = {"judge": "embedded-judge", "training-loss": "embedded-perceptual"}
    extractors = {key: EmbeddedExtractor(name) for key, name in networks.items()}
    return Evaluation(BENCHMARK, store, world, LogFilterbank(), extractors, folder / "features")


@pytest.fixture(scope="module")
def honest(evaluation, tmp_path_factory):
    """The records of the anchors."""
    folder = tmp_path_factory.mktemp("anchors")
    return [recorded(evaluation, folder, anchor.card, anchor().answer(evaluation)) for anchor in HONEST]


def recorded(evaluation, folder, card, answer):
    provenance = Provenance(card.name.encode().hex()[:16].ljust(16, "0"), card, {}, 0, "default", "cpu", 0.0)
    return load(save_record(evaluation, score(evaluation, answer), provenance, folder, answer.faces))


@pytest.fixture
def seen(evaluation, honest, tmp_path):
    """(scores of a row ``{(metric, role): record}``, notes of the table) for faces uint8 ``[N, 3, H, W]``."""

    def look(name, faces):
        card = ModelCard(name, "1", "system", "a fooling system")
        record = recorded(evaluation, tmp_path, card, Answer(faces=faces))
        (group,) = groups([*honest, record])
        return {(found.metric, found.extractor_role): found for found in record.scores}, notes(group)

    return look


def alarms(found, name, word):
    return [note.text for note in found if note.alarm and name in note.text and word in note.text]


def mean_faces_by_gender(evaluation):
    people = evaluation.store.identities("train")
    mean = {
        gender: np.mean(
            [faces.mean(axis=0) for person, faces in zip(people, evaluation.train_faces, strict=True)
             if person.gender == gender],
            axis=0,
        )
        for gender in "fm"
    }  # fmt: skip
    return np.stack([np.rint(mean[gender]).astype(np.uint8) for gender in evaluation.genders])


def test_a_system_that_knows_only_the_gender_is_at_the_gender_oracle_and_at_chance_within_a_gender(
    evaluation, honest, seen
):
    scores, found = seen("gender-only", mean_faces_by_gender(evaluation))
    oracle = {score.metric: score for score in honest[1].scores}
    recall = scores["recall@10/g40", "judge"]
    assert recall.interval[0] > 0.25  # above chance: a table without the oracle's row would praise it
    assert recall.value < oracle["recall@10/g40"].value
    within = scores["matching/1:2/G", "judge"]
    assert within.interval == pytest.approx(
        (0.5, 0.5)
    )  # one face for all of a gender: half, whoever the people are
    assert any("gender-only" in note.text and "within one gender" in note.text for note in found)


def test_a_system_that_fits_the_network_of_its_loss_is_found_out_by_the_judge(evaluation, seen):
    module = EmbeddedExtractor("embedded-perceptual").module
    wanted = F.normalize(torch.from_numpy(evaluation.real("training-loss").embeddings), dim=1)
    start = np.mean([faces.mean(axis=0) for faces in evaluation.train_faces], axis=0) / 255
    base = torch.from_numpy(start).float().expand(len(wanted), -1, -1, -1)
    change = torch.zeros_like(base).requires_grad_()
    optimizer = torch.optim.Adam([change], lr=0.015)
    for _ in range(25):
        optimizer.zero_grad()
        embeddings = module.features((base + change).clamp(0, 1))[-1]
        (-(embeddings * wanted).sum(dim=1).mean() + 10 * change.square().mean()).backward()
        optimizer.step()
    faces = ((base + change).clamp(0, 1) * 255).round().to(torch.uint8).detach().numpy()
    scores, found = seen("fits-its-loss", faces)
    flattered, judged = (scores["recall@10/g40", role] for role in ("training-loss", "judge"))
    assert flattered.value > 0.9
    assert judged.interval[1] < flattered.interval[0]
    assert any("fits-its-loss" in note.text and "network it was trained with" in note.text for note in found)


def test_a_system_that_draws_one_face_for_all_sets_off_the_collapse_alarm(evaluation, seen):
    random = np.random.default_rng(3)
    mean = np.mean([faces.mean(axis=0) for faces in evaluation.train_faces], axis=0)
    grain = random.integers(-2, 3, (len(evaluation.identities), *mean.shape))
    scores, found = seen("collapsed", np.clip(mean[None] + grain, 0, 255).astype(np.uint8))
    assert scores["distinct-faces", "judge"].value < 0.05
    assert scores["effective-faces", "judge"].value < 1.5
    assert alarms(found, "collapsed", "collapse")


@pytest.mark.parametrize("faces", ["one for each gender", "one for each gender and half of the ages"])
def test_a_lookup_of_few_faces_sets_off_the_collapse_alarm(evaluation, seen, faces):
    people = evaluation.store.identities("train")
    old = np.median([person.age for person in people])
    kinds = [(person.gender, "age" in faces and person.age > old) for person in people]
    means = np.stack([faces.mean(axis=0) for faces in evaluation.train_faces])
    mean = {kind: means[[one == kind for one in kinds]].mean(axis=0) for kind in set(kinds)}
    wanted = [mean[person.gender, "age" in faces and person.age > old] for person in evaluation.identities]
    scores, found = seen("lookup", np.rint(np.stack(wanted)).astype(np.uint8))
    assert scores["effective-faces", "judge"].value <= len(mean)
    assert alarms(found, "lookup", "collapse")


ALTERED = {
    "mirrored": lambda photo, other: photo[..., ::-1],
    "darker": lambda photo, other: photo * 0.7,
    "of less contrast": lambda photo, other: 128 + (photo - 128) * 0.6,
    "moved": lambda photo, other: np.roll(photo, (2, 3), (-2, -1)),
    "a mean of two": lambda photo, other: (photo + other) / 2,
}


@pytest.mark.parametrize("how", ALTERED)
def test_a_system_that_shows_altered_training_photos_sets_off_the_copying_alarm(evaluation, seen, how):
    photos = np.concatenate(evaluation.train_faces).astype(float)
    faces = ALTERED[how](photos[:80], photos[90:170])
    scores, found = seen("copier", np.rint(faces).astype(np.uint8))
    assert scores["copied-pictures", "judge"].value > 0.6
    assert alarms(found, "copier", "copied pictures")


def test_a_system_that_shows_training_photos_sets_off_the_copying_alarm(evaluation, seen):
    photos = np.concatenate(evaluation.train_faces)
    scores, found = seen("copier", photos[np.arange(len(evaluation.identities)) % len(photos)])
    assert scores["copied-faces", "judge"].value == 1.0
    assert alarms(found, "copier", "training photo")


def test_real_photos_of_others_set_off_neither_alarm(evaluation, seen):
    scores, found = seen("honest", evaluation.held_out_photos)
    for name in ("copied-faces", "copied-pictures"):
        assert scores[name, "judge"].interval[0] < 0.05
    assert scores["distinct-faces", "judge"].value > 0.5
    assert not [note.text for note in found if note.alarm]


def test_a_photo_in_two_splits_is_found_by_the_audit(evaluation, tmp_path):
    world = SyntheticWorld(DatasetSource(limits={"train": 4, "val": 2, "test": 3}))
    photos = world.photos
    world.photos = lambda identity: photos("train-0001" if identity == "test-0000" else identity)
    store = prepare(
        world, LogFilterbank(), 64, tmp_path / "store", Reporter(Console(file=io.StringIO())), jobs=1
    )
    leaks = [finding for finding in audit(world, store) if finding.check == "duplicate-photos"]
    assert leaks
    assert leaks[0].alarm
    assert "test-0000" in leaks[0].text
    clean = audit(evaluation.dataset, evaluation.store)
    assert not [finding.text for finding in clean if finding.alarm]


def test_a_distance_never_stands_without_its_n_and_its_bias_is_shown(evaluation, honest, seen):
    scores, found = seen("honest", evaluation.held_out_photos)
    plain, extrapolated = (
        scores[name, "judge"] for name in ("frechet-distance", "frechet-distance/extrapolated")
    )
    assert plain.n == extrapolated.n == 80
    assert extrapolated.value < plain.value
    assert any("n = 80" in note.text and "Frechet" in note.text for note in found)
