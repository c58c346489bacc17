"""The embedded networks: what their ids promise, and that they recognise people they never saw."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors import safe_open

from sf2f_bench.data.synthetic.dataset import stream_photos
from sf2f_bench.extractors import build_embedded, embedded, frozen
from sf2f_bench.extractors.build_embedded import augment, blur, build, build_spec, rank1
from sf2f_bench.extractors.embedded import SPECS, EmbeddedExtractor, EmbeddedSpec
from sf2f_bench.progress import Reporter
from sf2f_bench.types import BenchError

WEIGHTS = files("sf2f_bench.extractors") / "weights"
SPEC_NETWORK = EmbeddedExtractor("embedded-judge").module
STRANGERS = 60  # people of a stream after those of the training and of the held-out ones of the build


@pytest.fixture(scope="module", params=list(SPECS))
def spec(request: pytest.FixtureRequest) -> EmbeddedSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def extractor(spec: EmbeddedSpec) -> EmbeddedExtractor:
    return EmbeddedExtractor(spec.name)


@pytest.fixture(scope="module")
def photos(spec: EmbeddedSpec) -> torch.Tensor:
    """uint8 ``[60, 2, 3, 64, 64]``."""
    start = spec.identities + 1000
    people = [torch.from_numpy(stream_photos(spec.stream, start + i, 2, 64)) for i in range(STRANGERS)]
    return torch.stack(people)


def test_the_id_names_network_version_weights_and_resize(
    extractor: EmbeddedExtractor, spec: EmbeddedSpec
) -> None:
    digest = hashlib.sha256((WEIGHTS / spec.filename).read_bytes()).hexdigest()
    assert extractor.id == f"{spec.name}/{spec.version}@{digest[:8]}/bilinear-64"
    assert extractor.sha256 == digest
    assert extractor.recognises


def test_other_weights_than_the_recorded_ones_are_refused(spec: EmbeddedSpec) -> None:
    with pytest.raises(BenchError, match=r"sha256 .*expected 0000.*reinstall"):
        embedded._weights(replace(spec, sha256="0" * 64))


def test_missing_weights_say_where_they_should_be(spec: EmbeddedSpec) -> None:
    with pytest.raises(BenchError, match=r"not at .*nobody.safetensors.*reinstall"):
        embedded._weights(replace(spec, name="nobody"))


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BenchError, match="did you mean 'embedded-judge'"):
        EmbeddedExtractor("embedded-juge")


def test_strangers_are_recognised_by_another_photo(
    extractor: EmbeddedExtractor, photos: torch.Tensor
) -> None:
    assert rank1(extractor.module, photos[:, 0], photos[:, 1]) > 0.95


def test_strangers_are_recognised_in_soft_pictures(
    extractor: EmbeddedExtractor, photos: torch.Tensor
) -> None:
    assert rank1(extractor.module, blur(photos[:, 0], 16), photos[:, 1]) > 0.80


def test_results_do_not_depend_on_the_batch(extractor: EmbeddedExtractor, photos: torch.Tensor) -> None:
    faces = photos[:15, 0]
    together = extractor(faces)
    for size in (1, 7):
        apart = [extractor(part) for part in faces.split(size)]
        for whole, parts in zip(together, zip(*apart, strict=True), strict=True):
            torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0)


def test_a_call_longer_than_a_chunk_keeps_the_order(
    extractor: EmbeddedExtractor, photos: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = extractor(photos[:, 0])[0]
    monkeypatch.setitem(frozen.CHUNK, "cpu", 8)
    torch.testing.assert_close(extractor(photos[:, 0])[0], whole, atol=1e-5, rtol=0)


def test_two_extractors_agree_to_the_bit(extractor: EmbeddedExtractor, photos: torch.Tensor) -> None:
    again = EmbeddedExtractor(extractor.id.split("/")[0])
    for first, second in zip(extractor(photos[:8, 0]), again(photos[:8, 0]), strict=True):
        assert torch.equal(first, second)


def test_embeddings_have_length_one_and_probabilities_sum_to_one(
    extractor: EmbeddedExtractor, spec: EmbeddedSpec, photos: torch.Tensor
) -> None:
    embeddings, probabilities = extractor(photos[:, 0])
    assert embeddings.dtype == probabilities.dtype == torch.float32
    assert probabilities.shape == (STRANGERS, spec.identities)
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(STRANGERS))
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(STRANGERS))


def test_a_trained_person_gets_their_own_class(extractor: EmbeddedExtractor, spec: EmbeddedSpec) -> None:
    people = [3, 20, spec.identities - 1]
    faces = torch.cat([torch.from_numpy(stream_photos(spec.stream, index, 1, 64)) for index in people])
    assert extractor(faces)[1].argmax(dim=1).tolist() == people


def test_a_larger_photo_of_the_same_face_is_seen_alike(
    extractor: EmbeddedExtractor, spec: EmbeddedSpec
) -> None:
    index = spec.identities + 1000
    small, large = (
        extractor(torch.from_numpy(stream_photos(spec.stream, index, 1, s)))[0] for s in (64, 128)
    )
    assert float((small * large).sum()) > 0.9


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
def test_anything_but_faces_is_refused(images: object, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        EmbeddedExtractor("embedded-judge")(images)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [64, 128])
def test_gradient_reaches_the_image_from_every_feature(extractor: EmbeddedExtractor, size: int) -> None:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    features = extractor.module.features(images)
    assert [feature.ndim for feature in features] == [4, 4, 4, 2]
    for feature in features:
        (gradient,) = torch.autograd.grad(feature.square().mean() + feature.sum(), images, retain_graph=True)
        assert float(gradient.abs().sum(dim=(1, 2, 3)).min()) > 0
    assert not any(parameter.requires_grad for parameter in extractor.module.parameters())
    assert not extractor.module.training


def test_judge_and_training_loss_share_neither_architecture_nor_people() -> None:
    judge, loss = (SPECS[name] for name in ("embedded-judge", "embedded-perceptual"))
    shapes = []
    for spec in (judge, loss):
        with safe_open(WEIGHTS / spec.filename, "pt") as weights:
            shapes.append(sorted(tuple(weights.get_slice(name).get_shape()) for name in weights.keys()))  # noqa: SIM118
    assert shapes[0] != shapes[1]
    assert judge.stream != loss.stream
    assert "benchmark" not in (judge.stream, loss.stream)
    first, second = (stream_photos(spec.stream, 0, 1, 64) for spec in (judge, loss))
    assert (first != second).any()


def test_the_second_judge_shares_neither_architecture_nor_people_with_the_others() -> None:
    second, *others = (SPECS[f"embedded-{name}"] for name in ("judge-2", "judge", "perceptual"))
    assert second.network is not others[0].network
    assert (
        len({spec.stream for spec in (second, *others)})
        == len({spec.seed for spec in (second, *others)})
        == 3
    )
    assert "verification accuracy 100.0%" in EmbeddedExtractor("embedded-judge-2").card.trained_on


def test_verification_accuracy_is_that_of_the_best_threshold() -> None:
    faces = torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(2)).mul(255).to(torch.uint8)
    assert build_embedded.verification_accuracy(SPEC_NETWORK, faces, faces) == 1
    assert build_embedded.verification_accuracy(SPEC_NETWORK, faces, faces.roll(1, 0)) <= 0.6


def test_each_file_takes_little() -> None:
    assert max((WEIGHTS / spec.filename).stat().st_size for spec in SPECS.values()) < 1_300_000


def test_a_rebuild_is_reproducible_and_loads(
    tmp_path: Path, spec: EmbeddedSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_embedded, "HELD_OUT", 2)
    monkeypatch.setattr(build_embedded, "BATCH", 4)
    tiny = replace(spec, identities=3, photos=2, steps=2)
    reporter = Reporter(Console(quiet=True))
    first, second = (build_spec(tiny, tmp_path / folder, reporter) for folder in "ab")
    assert first.sha256 == second.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert first.size == first.path.stat().st_size
    embedded.network_from(first.path.read_bytes(), tiny)


def test_wearing_down_keeps_pictures_in_range_and_is_seeded() -> None:
    images = torch.rand(64, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    first, second = (augment(images.clone(), torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert 0 <= float(first.min()) < float(first.max()) <= 1


def test_building_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="unknown embedded extractor"):
        build("facenet", tmp_path)
