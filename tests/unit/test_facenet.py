"""FaceNet as the harness uses it: loaded from its published file, frozen, the same for every batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from sf2f_bench.extractors import frozen
from sf2f_bench.extractors.facenet import FaceNet, FaceNetExtractor, standardise
from sf2f_bench.extractors.weights import FOLDER_VARIABLE, sha256_of
from sf2f_bench.types import BenchError
from tests.unit.weight_files import loaded, publish, write_random


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random(FaceNet, tmp_path_factory.mktemp("weights") / FaceNetExtractor.FILE)


@pytest.fixture(scope="module")
def extractor(published: Path) -> FaceNetExtractor:
    return loaded(FaceNetExtractor, published)


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return torch.randint(0, 256, (6, 3, 64, 64), generator=torch.Generator().manual_seed(2)).byte()


def test_the_id_names_network_weights_crop_and_resize(extractor: FaceNetExtractor, published: Path) -> None:
    assert extractor.sha256 == sha256_of(published)
    assert extractor.id == f"facenet-vggface2/1@{extractor.sha256[:8]}/vgg-crop/bilinear-140"
    assert extractor.recognises


def test_the_module_is_frozen_and_folded(extractor: FaceNetExtractor) -> None:
    assert not any(module.training for module in extractor.module.modules())
    assert not any(weight.requires_grad for weight in extractor.module.parameters())
    assert not any("Norm" in type(module).__name__ for module in extractor.module.modules())


def test_folding_changes_no_answer(extractor: FaceNetExtractor, published: Path, faces: torch.Tensor) -> None:
    plain = FaceNet().eval()
    plain.load_state_dict(torch.load(published, weights_only=True))
    with torch.no_grad():
        embeddings, logits = plain(faces.float() / 255)
    torch.testing.assert_close(extractor(faces)[0], embeddings, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(extractor(faces)[1], logits.softmax(dim=1), atol=1e-8, rtol=1e-4)


def test_embeddings_have_length_one_and_probabilities_sum_to_one(
    extractor: FaceNetExtractor, faces: torch.Tensor
) -> None:
    embeddings, probabilities = extractor(faces)
    assert embeddings.dtype == probabilities.dtype == torch.float32
    assert embeddings.shape == (6, 512)
    assert probabilities.shape == (6, 8631)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))
    assert float(F.pdist(embeddings).min()) > 1e-2  # the faces are told apart


def test_results_do_not_depend_on_the_batch(
    extractor: FaceNetExtractor, faces: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = extractor(faces)
    monkeypatch.setitem(frozen.CHUNK, "cpu", 4)
    for size in (1, 6):
        apart = [extractor(part) for part in faces.split(size)]
        for whole, parts in zip(together, zip(*apart, strict=True), strict=True):
            torch.testing.assert_close(torch.cat(parts), whole, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("size", "rows", "columns"), [(64, (12, 58), (15, 48)), (128, (24, 117), (30, 97))])
def test_only_the_official_box_is_seen(
    extractor: FaceNetExtractor, size: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    images = torch.rand(1, 3, size, size, requires_grad=True)
    extractor.module.features(images)[-1].sum().backward()
    seen = images.grad.abs().sum(dim=(0, 1)).nonzero()
    assert seen.amin(dim=0).tolist() == [rows[0], columns[0]]
    assert seen.amax(dim=0).tolist() == [rows[1], columns[1]]


def test_white_and_black_are_standardised_as_published() -> None:
    values = standardise(torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 3, 64, 64))
    assert values.shape == (2, 3, 47, 34)
    torch.testing.assert_close(values[:, 0, 0, 0], torch.tensor([-127.5 / 128, 127.5 / 128]))


def test_gradient_reaches_the_image_from_every_feature_and_no_weight(extractor: FaceNetExtractor) -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    features = extractor.module.features(images)
    assert [list(f.shape[1:]) for f in features] == [[256, 15, 15], [896, 7, 7], [1792, 3, 3], [512]]
    for feature in features:
        (gradient,) = torch.autograd.grad(feature.square().mean() + feature.sum(), images, retain_graph=True)
        assert float(gradient.abs().sum(dim=(1, 2, 3)).min()) > 0


def test_scoring_runs_in_full_precision_whatever_training_allows(
    extractor: FaceNetExtractor, faces: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def note(module, inputs, output) -> None:
        cudnn = torch.backends.cudnn.allow_tf32
        seen.append((torch.get_float32_matmul_precision(), cudnn, torch.is_autocast_enabled("cpu")))

    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    handle = extractor.module.register_forward_hook(note)
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", torch.bfloat16):
            inside = extractor(faces[:1])
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        handle.remove()
        torch.set_float32_matmul_precision(before)
    assert seen == [("highest", False, False)]
    assert torch.backends.cudnn.allow_tf32
    torch.testing.assert_close(inside[0], extractor(faces[:1])[0], atol=1e-6, rtol=0)


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        BenchError, match=r"20180402-114759-vggface2\.pt is not there.*facenet-pytorch/releases"
    ):
        FaceNetExtractor()


def test_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / FaceNetExtractor.FILE
    torch.save({"conv2d_1a.conv.weight": torch.zeros(32, 3, 5, 5)}, path)
    publish(path, monkeypatch)
    with pytest.raises(
        BenchError, match=r"not the weights of FaceNet: .* entries are missing.*another shape"
    ):
        FaceNetExtractor()


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BenchError, match="did you mean 'facenet-vggface2'"):
        FaceNetExtractor("facenet-vggface")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 64, 64), "uint8"),
        (torch.zeros(3, 64, 64, dtype=torch.uint8), r"\[B, 3, H, W\]"),
        (torch.zeros(2, 1, 64, 64, dtype=torch.uint8), r"\[B, 3, H, W\]"),
        (torch.zeros(0, 3, 64, 64, dtype=torch.uint8), "not empty"),
        ([[1, 2]], "tensor"),
    ],
)
def test_anything_but_faces_is_refused(extractor: FaceNetExtractor, images: object, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        extractor(images)  # type: ignore[arg-type]
