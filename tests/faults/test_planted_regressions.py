"""A regression of each kind, planted: the gate must catch it, and must let another training seed pass.

The system of these tests is acted: it knows what voice and face share, and draws the rest anew for each training seed.
`python -m tests.faults.planted` does the same with trained systems; its table is results/reference/gate.md.
"""

from __future__ import annotations

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from baselines import anchors
from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.data.prepared import prepare
from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.files import hash_of
from sf2f_bench.gate import check
from sf2f_bench.progress import Reporter
from sf2f_bench.protocols.bench.scoring import score
from sf2f_bench.runs.recording import Provenance, save_record
from sf2f_bench.types import Answer, DatasetSource, ModelCard
from tests.faults.planting import BrokenEyes, OtherPeople, cropped, shifted, swapped

BENCHMARK = Benchmark("planted", "synthetic", gallery_size=30, ks=(1, 10))
LIMITS = {"train": 40, "val": 1, "test": 40}
EXACT = (anchors.Chance, anchors.GenderOracle, anchors.MeanFace, anchors.RealPhotoOracle)
CARD = ModelCard("acted", "1", "system", "draws what voice and face share, all else by its training seed")
SEED = 11  # of the new training; the reference has 0 to 4


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    world = SyntheticWorld(DatasetSource(limits=LIMITS))
    utterances = world.utterances
    world.utterances = lambda identity: utterances(identity)[:1]  # nothing here listens
    silent = Reporter(Console(file=io.StringIO()))
    store = prepare(world, LogFilterbank(), 64, folder / "store", silent, jobs=2)
    judge = {"judge": EmbeddedExtractor("embedded-judge")}
    return Evaluation(BENCHMARK, store, world, LogFilterbank(), judge, folder / "features")


def faces_of(evaluation, seed: int) -> np.ndarray:
    """What the acted system draws after training with this seed: uint8 ``[N, 3, 64, 64]``."""
    world = evaluation.dataset
    names = [person.id for person in evaluation.identities]
    return np.stack([world.faces_given_shared(name, 1, seed, 64)[0] for name in names])


def record(evaluation, folder, card, answer, seed=0):
    key = hash_of([card.name, seed])
    save_record(
        evaluation, score(evaluation, answer), Provenance(key, card, {}, seed, "smoke", "cpu", 0.0), folder
    )


def record_anchors(evaluation, folder):
    for anchor in EXACT:
        record(evaluation, folder, anchor.card, anchor().answer(evaluation))


@pytest.fixture(scope="module")
def reference(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    record_anchors(evaluation, folder)
    for seed in range(5):
        record(evaluation, folder, CARD, Answer(faces=faces_of(evaluation, seed)), seed)
    return folder


@pytest.fixture
def gate(evaluation, reference, tmp_path):
    """The judgement of a system whose faces are altered by `change`, or of a scoring that is broken otherwise."""

    def judged(change=None, seed=SEED, **broken):
        folder, faces = tmp_path / "new", faces_of(evaluation, seed)
        scorer = changed(evaluation, tmp_path, **broken) if broken else evaluation
        record(scorer, folder, CARD, Answer(faces=change(faces) if change else faces), seed)
        if broken:
            record_anchors(scorer, folder)
        for path in [] if broken else reference.iterdir():
            if not path.name.startswith(CARD.name):
                shutil.copy(path, folder)
        return check(folder, reference)

    return judged


def changed(evaluation, folder, eyes=None, store=None, benchmark=None):
    networks = evaluation.extractors
    if eyes:
        networks = {key: BrokenEyes(network, eyes) for key, network in networks.items()}
    benchmark, store = benchmark or evaluation.benchmark, store or evaluation.store
    return Evaluation(
        benchmark, store, evaluation.dataset, evaluation.frontend, networks, folder / "features"
    )


def fallen(judgement) -> set[str]:
    return {line.metric for line in judgement.deciding if line.verdict == "regressed"}


@pytest.mark.parametrize("seed", [11, 12])
def test_another_training_seed_is_no_regression(gate, seed):
    found = gate(seed=seed)
    assert found.exit_code == 0, found.regressions
    assert not found.instrument.deviations
    assert not any(line.unchanged for line in found.deciding)


def test_a_worse_checkpoint_is_caught(gate, evaluation):
    mean = np.mean([photos.mean(axis=0) for photos in evaluation.train_faces], axis=0)

    def less_trained(faces):  # a third of the way from the mean face: what an early checkpoint draws
        return np.rint(mean + (faces - mean) / 3).astype(np.uint8)

    found = gate(less_trained)
    assert found.exit_code == 1
    assert not found.instrument.deviations
    assert "kernel-distance" in fallen(found)


@pytest.mark.parametrize(
    "change", [lambda faces: shifted(faces, 12), lambda faces: cropped(faces, 0.5)], ids=["shifted", "tight"]
)
def test_a_broken_crop_of_drawn_faces_is_caught(gate, change):
    found = gate(change)
    assert found.exit_code == 1
    assert not found.instrument.deviations
    assert fallen(found) >= {"kernel-distance", "mutual-information-score/parts5"}


def test_channels_swapped_in_drawing_are_caught(gate):
    found = gate(swapped)
    assert found.exit_code == 1
    assert not found.instrument.deviations
    assert "cosine" in fallen(found)


@pytest.mark.parametrize(
    "eyes", [swapped, lambda faces: shifted(faces, 2)], ids=["swapped channels", "broken crop"]
)
def test_what_breaks_in_scoring_shows_in_the_anchors_first(gate, eyes):
    found = gate(eyes=eyes)
    assert found.exit_code == 1
    assert {deviation.anchor for deviation in found.instrument.deviations} == {"real-photo-oracle"}
    assert "the instrument has changed" in found.regressions[0]


def test_another_gallery_size_is_refused(gate):
    found = gate(benchmark=replace(BENCHMARK, gallery_size=20))
    assert found.exit_code == 2
    assert "gallery_size differs (20 here, 30 there)" in found.refused["acted"]


def test_other_test_people_are_refused_and_under_the_old_names_they_show_in_the_anchors(gate, evaluation):
    strangers = gate(store=OtherPeople(evaluation.store, keep_names=False))
    assert strangers.exit_code != 0
    assert "they rest on other test identities" in strangers.refused["acted"]
    hidden = gate(store=OtherPeople(evaluation.store, keep_names=True))
    assert hidden.exit_code == 1
    assert "real-photo-oracle" in {deviation.anchor for deviation in hidden.instrument.deviations}
