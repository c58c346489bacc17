"""The Inception network of 2015: two other implementations with the same weights agree."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytorch_fid import inception as pytorch_fid
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from sf2f_bench.extractors import frozen
from sf2f_bench.extractors.inception import Inception2015, InceptionExtractor
from sf2f_bench.extractors.weights import FILES, FOLDER_VARIABLE, sha256_of
from sf2f_bench.types import BenchError, Unavailable
from tests.unit.weight_files import loaded, publish, write_random


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random(Inception2015, tmp_path_factory.mktemp("weights") / InceptionExtractor.FILE)


@pytest.fixture(scope="module")
def extractor(published: Path) -> InceptionExtractor:
    return loaded(InceptionExtractor, published)


def random_faces(count: int, size: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(2)).byte()


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return random_faces(3, 64)


def test_the_table_knows_the_file_whose_name_begins_its_checksum() -> None:
    file = FILES[InceptionExtractor.FILE]
    assert file.sha256 is not None
    assert file.name == f"pt_inception-2015-12-05-{file.sha256[:8]}.pth"
    assert file.used_by == InceptionExtractor.NAMES


def test_the_id_names_network_weights_and_resize(extractor: InceptionExtractor, published: Path) -> None:
    assert extractor.sha256 == sha256_of(published)
    assert extractor.id == f"inception-2015/1@{extractor.sha256[:8]}/bilinear-299"
    assert not extractor.recognises


@torch.no_grad()
def test_torch_fidelity_agrees(extractor: InceptionExtractor, published: Path) -> None:
    """At 299 pixels, so that no resizing enters; theirs subtracts 128 and divides by it, so ours gets x / 256.

    Also the test that folding batch norms changes nothing: theirs are not folded.
    """
    theirs = FeatureExtractorInceptionV3("parity", ["2048", "logits_unbiased"], str(published))
    images = random_faces(2, 299)
    features, logits = extractor.module(images.float() / 256)
    expected_features, expected_logits = theirs(images)
    torch.testing.assert_close(features, expected_features, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits, expected_logits, atol=1e-4, rtol=1e-4)
    assert float(expected_logits.std()) > 1e-2  # the classes are told apart, so the comparison says something


@torch.no_grad()
def test_pytorch_fid_agrees_on_small_pictures(
    extractor: InceptionExtractor, published: Path, faces: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its resizing and its scale of 2 x - 1 are part of the comparison."""
    state = torch.load(published, weights_only=True)
    monkeypatch.setattr(pytorch_fid, "load_state_dict_from_url", lambda url, progress: state)
    theirs = pytorch_fid.InceptionV3().eval()
    (expected,) = theirs(faces.float() / 255)
    features, _ = extractor(faces)
    torch.testing.assert_close(features, expected.flatten(1), atol=1e-5, rtol=1e-4)
    assert float((features[0] - features[1]).norm()) > 1e-2 * float(features[0].norm())


def test_probabilities_come_from_logits_without_bias(extractor: InceptionExtractor, faces: Tensor) -> None:
    features, probabilities = extractor(faces)
    assert features.shape == (3, 2048)
    assert probabilities.shape == (3, 1008)
    assert features.dtype == probabilities.dtype == torch.float32
    assert float(features.min()) >= 0
    layer = extractor.module.fc
    torch.testing.assert_close(probabilities, (features @ layer.weight.T).softmax(dim=1))
    assert not torch.allclose(probabilities, layer(features).softmax(dim=1), rtol=1e-3)


def test_the_module_is_frozen_and_folded(extractor: InceptionExtractor) -> None:
    assert not any(part.training or "Norm" in type(part).__name__ for part in extractor.module.modules())
    assert not any(weight.requires_grad for weight in extractor.module.parameters())


def test_results_do_not_depend_on_the_batch(
    extractor: InceptionExtractor, faces: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = extractor(faces)
    monkeypatch.setitem(frozen.CHUNK, "cpu", 2)
    for whole, parts in zip(together, extractor(faces), strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-4)


def test_scoring_runs_in_full_precision_whatever_training_allows(
    extractor: InceptionExtractor, faces: Tensor
) -> None:
    plain = extractor(faces[:1])
    with torch.autocast("cpu", torch.bfloat16):
        inside = extractor(faces[:1])
    for first, second in zip(plain, inside, strict=True):
        torch.testing.assert_close(first, second, atol=0, rtol=1e-5)


def test_missing_weights_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "TORCH_HOME", FOLDER_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(
        Unavailable, match=r"6726825d\.pth is not there.*weights fetch pt_inception.*github\.com"
    ):
        InceptionExtractor()


def test_the_file_of_pytorch_fid_itself_is_found(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(published, monkeypatch)
    for variable in ("HOME", FOLDER_VARIABLE):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / published.name).symlink_to(published)
    assert InceptionExtractor().sha256 == sha256_of(published)


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / InceptionExtractor.FILE
    torch.save({"fc.weight": torch.zeros(1000, 2048), "head": torch.zeros(1)}, path)
    publish(path, monkeypatch)
    with pytest.raises(
        BenchError, match=r"not the weights of Inception2015: .*missing.*not known \(head\).*another shape"
    ):
        InceptionExtractor()


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BenchError, match="did you mean 'inception-2015'"):
        InceptionExtractor("inception-2016")


def test_anything_but_faces_is_refused(extractor: InceptionExtractor) -> None:
    with pytest.raises(BenchError, match="uint8"):
        extractor(torch.zeros(1, 3, 64, 64))
