"""Association lists are scored as their definitions say, with intervals over people."""

from __future__ import annotations

import re
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from sf2f_bench.association.lists import MediaFolders, read_lists
from sf2f_bench.association.measures import cluster_interval
from sf2f_bench.association.media import embed_photos, embed_voices
from sf2f_bench.association.run import associate
from sf2f_bench.types import BenchError, MediaError
from tests.association_world import PEOPLE, name_media, write_lists
from tests.tiny import TinyFrontend


@pytest.fixture
def lists(tmp_path) -> Path:
    return write_lists(tmp_path / "lists")


@pytest.fixture
def folders(lists, tmp_path) -> MediaFolders:
    return name_media(lists, tmp_path)


def embedding_of(path: Path, width: int = 8) -> np.ndarray:
    """A direction of the file's person, and some of the file's own."""
    folder = path.parts[-3 if path.suffix == ".wav" else -4]
    person = next(number for number, one in enumerate(PEOPLE) if folder in (one.id, one.name))
    own = np.random.default_rng(crc32("/".join(path.parts[-3:]).encode())).standard_normal(width)
    return np.eye(width)[person] + 0.5 * own


class View:
    """What a file looks like, told by its name; `bad` files cannot be used."""

    def __init__(self, bad: str = "no such file") -> None:
        self.bad, self.asked = bad, []

    def __call__(self, paths):
        self.asked += paths
        rows = np.array([embedding_of(path) for path in paths], np.float32)
        unusable = {path: f"{path}: planted fault" for path in paths if self.bad in str(path)}
        rows[[path in unusable for path in paths]] = np.nan
        return rows, unusable


def unit(path: Path) -> np.ndarray:
    row = embedding_of(path).astype(np.float32).astype(float)
    return row / np.linalg.norm(row)


def by_metric(results):
    return {(item.name, score.metric): score for item in results for score in item.scores}


def test_the_numbers_are_those_of_their_definitions(lists, folders):
    _, found = read_lists(lists)
    scores = by_metric(associate(found, folders, View(), View()))
    assert len(scores) == 6
    matching, _, retrieval, verification = (
        next(item for item in found if item.name.startswith(name))
        for name in ("matching_v2f", "matching_f2v", "retrieval", "veriflist")
    )
    hits = [
        unit(folders.recording(probe)) @ unit(folders.photo(right))
        > unit(folders.recording(probe)) @ unit(folders.photo(wrong))
        for probe, right, wrong in matching.trials[["probe", "right", "wrong"]].to_numpy()
    ]
    score = scores["matching_v2f_U", "matching-accuracy"]
    assert score.overall.value == pytest.approx(np.mean(hits))
    assert (score.overall.n, score.overall.identities, score.left_out) == (60, 6, 0)
    assert (score.test_people.n, score.test_people.identities) == (30, 3)
    tested = matching.trials["person"].isin([one.id for one in PEOPLE if one.row % 10 == 8])
    assert score.test_people.value == pytest.approx(np.mean(np.array(hits)[tested]))

    cosines = [
        unit(folders.recording(voice)) @ unit(folders.photo(face))
        for voice, face in verification.trials[["voice", "face"]].to_numpy()
    ]
    expected = roc_auc_score(verification.trials["same"], cosines)
    assert scores[verification.name, "verification-auc"].overall.value == pytest.approx(expected)

    voices = np.array([unit(folders.recording(path)) for path in retrieval.recordings["path"]])
    photos = np.array([unit(folders.photo(path)) for path in retrieval.photos["path"]])
    relevant = retrieval.recordings["person"].to_numpy()[:, None] == retrieval.photos["person"].to_numpy()
    for name, truth, nearness in (
        ("map/voice-to-face", relevant, voices @ photos.T),
        ("map/face-to-voice", relevant.T, photos @ voices.T),
    ):
        expected = [average_precision_score(*row) for row in zip(truth, nearness, strict=True)]
        score = scores["retrieval_20k", name]
        assert score.overall.value == pytest.approx(np.mean(expected))
        assert (score.overall.n, score.gallery) == truth.shape


def test_chance_and_gender_have_their_exact_values(lists, folders):
    scores = by_metric(associate(read_lists(lists)[1], folders, View(), View()))
    for (name, metric), score in scores.items():
        if not metric.startswith("map"):
            for part in (score.overall, score.test_people):
                assert part.chance == pytest.approx(0.5, rel=1e-12)
        low, high = score.overall.interval
        assert low <= score.overall.value <= high
        if name == "matching_f2v_G":
            assert score.overall.gender_only == pytest.approx(0.5, rel=1e-12)
    pairs = [(a, b) for a in PEOPLE for b in PEOPLE if a != b]
    told_apart = np.mean([a.gender != b.gender for a, b in pairs])
    of_test = np.mean([a.gender != b.gender for a, b in pairs if a.row % 10 == 8])
    matching = scores["matching_v2f_U", "matching-accuracy"]
    assert matching.test_people.gender_only == pytest.approx(of_test + (1 - of_test) / 2)
    assert matching.overall.gender_only == pytest.approx(told_apart + (1 - told_apart) / 2)


def test_every_file_is_looked_at_once_however_many_lists_name_it(lists, folders):
    drawn, seen = View(), View()
    associate(read_lists(lists)[1], folders, drawn, seen)
    assert sorted(drawn.asked) == sorted(
        {folders.voices / one.recording(i) for one in PEOPLE for i in (0, 1)}
    )
    assert len(set(seen.asked)) == len(seen.asked) == 3 * len(PEOPLE)


def test_missing_files_are_counted_and_the_first_five_named(lists, folders):
    _, found = read_lists(lists)
    for one in PEOPLE[:3]:
        for number in range(3):
            (folders.faces / one.photo(number)).unlink()
    with pytest.raises(BenchError) as refused:
        associate(found, folders, View(), View())
    message = str(refused.value)
    assert re.search(r"of \d+ listed files are missing, first", message)
    assert message.split("\n")[0].count(".jpg") == 5
    assert "retrieval_20k: 9 of 30" in message
    assert "--partial" in message
    told = []
    scores = by_metric(associate(found, folders, View(), View(), partial=True, say=told.append))
    assert told == [message.rpartition("\n")[0]]
    matching = scores["matching_v2f_U", "matching-accuracy"]
    assert matching.overall.n == 3 * 2 * 2  # right and wrong candidate are of the other three
    assert matching.overall.n + matching.left_out == 60
    retrieval = scores["retrieval_20k", "map/voice-to-face"]
    assert (retrieval.overall.n, retrieval.left_out, retrieval.gallery) == (6, 6, 9)
    for path in folders.faces.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(BenchError, match="give the folder that holds them"):
        associate(found, folders, View(), View(), partial=True)


def test_files_that_cannot_be_used_are_missing_too(lists, folders):
    _, found = read_lists(lists)
    bad = PEOPLE[0].recording(0)
    with pytest.raises(BenchError, match=r"1 of 12 files cannot be used, first:\n.*planted fault"):
        associate(found, folders, View(bad), View())
    told = []
    scores = by_metric(associate(found, folders, View(bad), View(), partial=True, say=told.append))
    assert "planted fault" in told[0]
    assert scores["matching_v2f_U", "matching-accuracy"].left_out == 5
    assert scores["retrieval_20k", "map/face-to-voice"].gallery == 11
    with pytest.raises(BenchError, match="12 of 12 files"):
        associate(found, folders, View(".wav"), View(), partial=True)


def test_a_list_of_which_nothing_is_left_has_no_number(lists, folders):
    _, found = read_lists(lists)
    for one in PEOPLE:
        for number in (1, 2):
            (folders.faces / one.photo(number)).unlink()
    results = {item.name: item for item in associate(found, folders, View(), View(), partial=True)}
    assert results["matching_v2f_U"].scores == ()  # its wrong candidates are all photo 2
    assert len(results["retrieval_20k"].scores) == 2


# ---------------------------------------------------------------- intervals


def test_intervals_over_people_are_wider_than_over_trials_that_hang_together():
    """Fifty people, twenty trials each, all of a person right or all wrong: it is n = 50 and not 1,000."""
    right = np.random.default_rng(0).random(50) < 0.7

    def mean(weights):
        return float(weights @ right / weights.sum())

    low, high = cluster_interval(mean, np.ones(50, bool), np.random.default_rng(1))
    expected = stats.bootstrap((right,), np.mean, rng=np.random.default_rng(2)).confidence_interval
    assert (low, high) == pytest.approx(tuple(expected), abs=0.03)
    alone = cluster_interval(mean, np.arange(50) < 10, np.random.default_rng(1))
    assert alone[1] - alone[0] > 1.5 * (high - low)


def test_intervals_at_a_bound_and_without_sound_ones():
    def always(weights):
        return 1.0

    low, high = cluster_interval(always, np.ones(20, bool), np.random.default_rng(0))
    assert (low, high) == pytest.approx((stats.beta.ppf(0.025, 20, 1), 1.0))
    assert cluster_interval(always, np.arange(3) < 1, np.random.default_rng(0)) is None
    undefined = cluster_interval(lambda weights: np.nan, np.ones(4, bool), np.random.default_rng(0))
    assert undefined is None


def test_cluster_intervals_cover_the_truth_about_as_often_as_they_say():
    random, covered = np.random.default_rng(3), 0
    for _ in range(80):
        chances = random.beta(4, 2, 40)  # mean 2/3; each person 15 trials
        share = random.binomial(15, chances) / 15
        low, high = cluster_interval(lambda w, s=share: float(w @ s / w.sum()), np.ones(40, bool), random)
        covered += low <= 2 / 3 <= high
    assert covered >= 70


# ---------------------------------------------------------------- media


class MeanColour:
    """A judge that sees the mean colour."""

    id, sha256, recognises = "mean-colour", "0" * 64, True

    def __call__(self, images):
        return images.float().mean(dim=(2, 3)), None


class Painter:
    """Paints the mean of the first band of each window, so that a test knows which windows it heard."""

    frontend = TinyFrontend()

    def generate(self, voices, *, generator):
        levels = voices[:, :, 0].mean(dim=(1, 2))
        return levels[:, None, None, None].expand(-1, 3, 8, 8).clamp(0, 255).to(torch.uint8)


def test_a_face_is_drawn_from_its_recording_alone(monkeypatch, tmp_path):
    lengths = {f"{number}.wav": frames for number, frames in enumerate((300, 90, 2600, 125))}

    def log_filterbank(file, frontend):
        if file.key == "bad.wav":
            raise MediaError(f"{file.path}: no speech")
        ramp = np.arange(lengths[file.key], dtype=np.float32) / 50
        return np.tile(10 + 2 * (20 + ramp), (40, 1))  # the front end normalises to 20 + ramp

    monkeypatch.setattr("sf2f_bench.association.media.AudioFile.log_filterbank", log_filterbank)
    monkeypatch.setattr("sf2f_bench.association.media.FILES_AT_ONCE", 2)
    done = []
    paths = [tmp_path / name for name in ("0.wav", "bad.wav", "1.wav", "2.wav", "3.wav")]
    embeddings, unusable = embed_voices(
        paths, Painter(), MeanColour(), torch.device("cpu"), torch.Generator(), done.append
    )
    assert list(unusable) == [paths[1]]
    assert np.isnan(embeddings[1]).all()
    frames = [
        np.arange(250),
        np.arange(125) % 90,
        np.arange(2500),
        np.arange(125),
    ]  # whole windows, 20 at most
    expected = [int(20 + part.mean() / 50) for part in frames]
    assert embeddings[[0, 2, 3, 4], 0].tolist() == expected
    assert sum(done) == 5


def test_photos_are_read_at_the_benchmarks_size(tmp_path):
    photo = Image.new("RGB", (50, 40), (0, 190, 20))
    photo.paste((20, 210, 40), (25, 0, 50, 40))
    photo.save(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    sizes = []

    class Judge(MeanColour):
        def __call__(self, images):
            sizes.append(tuple(images.shape))
            return super().__call__(images)

    paths = [tmp_path / "a.png", tmp_path / "b.jpg"]
    embeddings, unusable = embed_photos(paths, Judge(), 16, lambda _: None)
    assert sizes == [(1, 3, 16, 16)]
    assert embeddings[0].tolist() == [10, 200, 30]
    assert "cannot be read as a photo" in unusable[tmp_path / "b.jpg"]
    everything_bad, reasons = embed_photos(paths[1:], Judge(), 16, lambda _: None)
    assert np.isnan(everything_bad).all()
    assert len(reasons) == 1
