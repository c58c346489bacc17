"""LPIPS and the diversity by it, against the authors' package."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from weight_files import publish

from sf2f_bench.extractors.lpips import LpipsExtractor
from sf2f_bench.extractors.weights import FOLDER_VARIABLE
from sf2f_bench.metrics.diversity import (
    LpipsDiversity,
    mean_squared_distance,
    mean_squared_distance_leave_one_out,
)
from sf2f_bench.types import BenchError, Features, Unavailable

lpips = pytest.importorskip("lpips")
CHANNELS = Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the authors' channel weights, the real ones, and an AlexNet of random weights."""
    from torchvision.models import alexnet

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), tmp_path / LpipsExtractor.FILE)
    publish(tmp_path / LpipsExtractor.FILE, monkeypatch)
    shutil.copyfile(CHANNELS, tmp_path / LpipsExtractor.CHANNELS_FILE)
    return tmp_path


def theirs(folder: Path):
    """The authors' network with the same AlexNet."""
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    own = torch.load(folder / LpipsExtractor.FILE)
    slices = network.net.state_dict()
    numbers = {name: f"features.{name.split('.', 1)[1]}" for name in slices}
    network.net.load_state_dict({name: own[numbers[name]] for name in slices})
    return network


@pytest.mark.parametrize("size", [64, 97, 128])
def test_a_squared_distance_is_the_authors_lpips(weights, size):
    images = torch.randint(0, 256, (4, 3, size, size), generator=torch.Generator().manual_seed(1)).byte()
    images[3] = images[2] // 2
    embeddings, classes = LpipsExtractor("lpips-alex")(images)
    assert classes is None
    scaled = images.float() / 127.5 - 1
    with torch.no_grad():
        for i in range(4):
            expected = theirs(weights)(scaled[i : i + 1], scaled).flatten()
            got = (embeddings[i].double() - embeddings.double()).square().sum(dim=1).float()
            assert torch.allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_the_diversity_is_the_mean_over_pairs(weights):
    images = torch.randint(0, 256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(2)).byte()
    network, scaled = theirs(weights), images.float() / 127.5 - 1
    with torch.no_grad():
        pairs = [float(network(scaled[i : i + 1], scaled[j : j + 1])) for i in range(6) for j in range(i)]
    samples = LpipsExtractor("lpips-alex")(images)[0].numpy()
    nothing, names = np.empty((6, 0)), tuple("abcdef")
    real, fake = (Features(names, rows, rows, recognises=False) for rows in (nothing, samples))
    score = LpipsDiversity()(real, fake, np.random.default_rng(0))
    assert score.value == pytest.approx(np.mean(pairs), rel=1e-4)
    assert score.interval[0] < score.value < score.interval[1]


def test_leaving_out():
    rows = np.random.default_rng(0).standard_normal((9, 5))
    without = mean_squared_distance_leave_one_out(rows)
    for i in range(9):
        assert without[i] == pytest.approx(mean_squared_distance(np.delete(rows, i, axis=0)))
    assert mean_squared_distance(np.ones((5, 3))) == 0


def test_either_missing_file_is_named(weights):
    (weights / LpipsExtractor.CHANNELS_FILE).unlink()
    with pytest.raises(Unavailable, match=LpipsExtractor.CHANNELS_FILE):
        LpipsExtractor()
    shutil.copyfile(CHANNELS, weights / LpipsExtractor.CHANNELS_FILE)
    (weights / LpipsExtractor.FILE).unlink()
    with pytest.raises(Unavailable, match=LpipsExtractor.FILE):
        LpipsExtractor()


def test_other_weights_of_the_channels_are_refused(weights):
    (weights / LpipsExtractor.CHANNELS_FILE).write_bytes(CHANNELS.with_name("vgg.pth").read_bytes())
    with pytest.raises(BenchError, match="7289 bytes, expected 6009"):
        LpipsExtractor()


def test_its_id_knows_both_files(weights):
    first = LpipsExtractor()
    assert first.id.startswith("lpips-alex/1@")
    path = weights / LpipsExtractor.FILE
    state = torch.load(path)
    state["features.0.bias"] += 1
    torch.save(state, weights / "other.pth")
    assert first.checksum(weights / "other.pth") != first.sha256
