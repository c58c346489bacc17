"""The VGGFace2 ResNet-50: an independent build of it agrees, and it is loaded from the published pickle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from weight_files import publish, randomise, write_python_2_pickle

from sf2f_bench.extractors import frozen
from sf2f_bench.extractors.vggface2 import VggFace2, VggFace2Extractor
from sf2f_bench.extractors.weights import sha256_of
from sf2f_bench.types import BenchError, Unavailable

FACTS = Path(__file__).parents[1] / "golden" / "model_facts.json"
BGR, RGB = VggFace2Extractor.NAMES


class Caffe:
    """The Caffe ResNet-50 by plain functions over a state dict: an implementation that is not torchvision's."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state, self.used = state, set[str]()

    def take(self, name: str) -> Tensor:
        self.used.add(name)
        return self.state[name]

    def layer(self, x: Tensor, conv: str, norm: str, stride: int = 1, padding: int = 0) -> Tensor:
        x = F.conv2d(x, self.take(f"{conv}.weight"), stride=stride, padding=padding)
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.take(f"{norm}.{name}") for name in names))

    def block(self, x: Tensor, name: str, stride: int) -> Tensor:
        y = F.relu(self.layer(x, f"{name}.conv1", f"{name}.bn1", stride))
        y = F.relu(self.layer(y, f"{name}.conv2", f"{name}.bn2", padding=1))
        y = self.layer(y, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.layer(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return F.relu(y + x)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, 3, 224, 224]`` -> (pooled ``[B, 2048]``, logits)."""
        x = F.relu(self.layer(pixels, "conv1", "bn1", stride=2, padding=3))
        x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
        for stage, blocks in enumerate((3, 4, 6, 3), 1):
            for number in range(blocks):
                x = self.block(x, f"layer{stage}.{number}", stride=2 if stage > 1 and number == 0 else 1)
        pooled = F.avg_pool2d(x, 7).flatten(1)
        return pooled, F.linear(pooled, self.take("fc.weight"), self.take("fc.bias"))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return randomise(VggFace2(), 1).state_dict()


@pytest.fixture(scope="module")
def published(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the real file: no counters of batch normalisation, byte strings of Python 2."""
    path = tmp_path_factory.mktemp("weights") / VggFace2Extractor.FILE
    arrays = {name: t.numpy() for name, t in state.items() if not name.endswith("num_batches_tracked")}
    return write_python_2_pickle(path, arrays)


@pytest.fixture(scope="module")
def extractors(published: Path) -> dict[str, VggFace2Extractor]:
    with pytest.MonkeyPatch.context() as patch:
        publish(published, patch)
        return {name: VggFace2Extractor(name) for name in (BGR, RGB)}


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(2)).byte()


def test_the_network_has_the_published_size_and_shapes(state: dict[str, Tensor]) -> None:
    facts = json.loads(FACTS.read_text())["parameters_and_shapes"]
    network = VggFace2()
    assert sum(weight.numel() for weight in network.parameters()) == facts["resnet50_8631"]
    theirs = Caffe(state)
    theirs(torch.zeros(1, 3, 224, 224))
    assert theirs.used == {name for name in state if not name.endswith("num_batches_tracked")}


def test_the_ids_name_network_weights_resize_and_order(
    extractors: dict[str, VggFace2Extractor], published: Path
) -> None:
    for name, extractor in extractors.items():
        assert extractor.sha256 == sha256_of(published)
        assert extractor.id == f"{name}/1@{extractor.sha256[:8]}/bilinear-224"
        assert extractor.recognises


@torch.no_grad()
def test_an_independent_network_agrees(
    extractors: dict[str, VggFace2Extractor], state: dict[str, Tensor], faces: Tensor
) -> None:
    """Also the test that folding and channels last change nothing: theirs is neither."""
    network = Caffe(state)
    mean = torch.tensor([131.0912, 103.8827, 91.4953])[:, None, None]  # red, green, blue
    pixels = nn.UpsamplingBilinear2d((224, 224))(faces.float() - mean)
    for name, inputs in {BGR: pixels[:, [2, 1, 0]], RGB: pixels}.items():
        pooled, logits = network(inputs)
        classes = logits.softmax(dim=1)
        embeddings, probabilities = extractors[name](faces)
        torch.testing.assert_close(embeddings, F.normalize(pooled, dim=1), atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(probabilities, classes, atol=1e-9, rtol=1e-4)
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))


def test_the_order_of_the_colours_matters(extractors: dict[str, VggFace2Extractor], faces: Tensor) -> None:
    straight, quirk = extractors[BGR](faces)[0], extractors[RGB](faces)[0]
    assert float((straight - quirk).norm(dim=1).min()) > 1e-2


def test_the_module_is_frozen_and_folded(extractors: dict[str, VggFace2Extractor]) -> None:
    module = extractors[BGR].module
    assert not any(part.training or "Norm" in type(part).__name__ for part in module.modules())
    assert not any(weight.requires_grad for weight in module.parameters())


def test_results_do_not_depend_on_the_batch(
    extractors: dict[str, VggFace2Extractor], faces: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = extractors[BGR](faces)
    monkeypatch.setitem(frozen.CHUNK, "cpu", 2)
    for whole, parts in zip(together, extractors[BGR](faces), strict=True):
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-4)


def test_a_conversion_to_safetensors_gives_the_same_and_says_its_own_hash(
    extractors: dict[str, VggFace2Extractor],
    state: dict[str, Tensor],
    faces: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "resnet50_ft_weight.safetensors"
    save_file(state, path)
    monkeypatch.setenv("SF2F_BENCH_WEIGHTS", str(tmp_path))
    extractor = VggFace2Extractor(BGR)
    assert extractor.id == f"{BGR}/1@{sha256_of(path)[:8]}/bilinear-224"
    assert extractor.id != extractors[BGR].id
    assert torch.equal(extractor(faces[:1])[0], extractors[BGR](faces[:1])[0])


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SF2F_BENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(Unavailable, match=r"resnet50_ft_weight\.pkl is not there.*drive\.google\.com"):
        VggFace2Extractor()


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors"])
def test_weights_of_another_network_are_refused(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = (tmp_path / VggFace2Extractor.FILE).with_suffix(suffix)
    tensors = {"fc.weight": torch.zeros(2622, 2048), "fc8.bias": torch.zeros(2)}
    if suffix == ".pkl":
        write_python_2_pickle(path, {name: tensor.numpy() for name, tensor in tensors.items()})
        publish(path, monkeypatch)
    else:
        save_file(tensors, path)
        monkeypatch.setenv("SF2F_BENCH_WEIGHTS", str(tmp_path))
    with pytest.raises(BenchError, match=r"missing.*not known \(fc8\.bias\).*another shape \(fc\.weight"):
        VggFace2Extractor()


def test_scoring_runs_in_full_precision_whatever_training_allows(
    extractors: dict[str, VggFace2Extractor], faces: Tensor
) -> None:
    plain = extractors[BGR](faces[:1])
    with torch.autocast("cpu", torch.bfloat16):
        inside = extractors[BGR](faces[:1])
    for first, second in zip(plain, inside, strict=True):
        torch.testing.assert_close(first, second, atol=0, rtol=1e-5)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BenchError, match="did you mean 'vggface2-resnet50'"):
        VggFace2Extractor("vggface2-resnet")


def test_anything_but_faces_is_refused(extractors: dict[str, VggFace2Extractor]) -> None:
    with pytest.raises(BenchError, match="uint8"):
        extractors[BGR](torch.zeros(1, 3, 64, 64))
