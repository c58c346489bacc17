"""DINOv2 through torch.hub's folder: the repository's code and the weights are both made up here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from weight_files import publish

from sf2f_bench.extractors import frozen
from sf2f_bench.extractors.dinov2 import REPOSITORY, DinoV2Extractor, LargeDinoV2Extractor
from sf2f_bench.extractors.weights import FOLDER_VARIABLE, sha256_of
from sf2f_bench.types import BenchError, Unavailable

# As the real one: a function by the network's name, which fetches weights unless told not to.
HUBCONF = """
import torch
from torch import nn


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 384))
        self.patch_embed = nn.Conv2d(3, 384, 14, 14)
        self.norm = nn.LayerNorm(384)

    def forward(self, pixels):
        self.seen = pixels
        patches = self.patch_embed(pixels).flatten(2).mean(dim=2)
        return self.norm(self.cls_token[:, 0] + patches)


def dinov2_vits14(*, pretrained=True):
    if pretrained:
        raise RuntimeError("this would fetch weights")
    return Transformer()
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with neither code nor weights; returns torch.hub's folder on it."""
    for variable in ("HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    return tmp_path / "hub"


def put_code(hub: Path) -> None:
    (hub / REPOSITORY).mkdir(parents=True)
    (hub / REPOSITORY / "hubconf.py").write_text(HUBCONF)


def put_weights(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Tensor) -> Path:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "cls_token": (1, 1, 384),
        "patch_embed.weight": (384, 3, 14, 14),
        "patch_embed.bias": (384,),
        "norm.weight": (384,),
        "norm.bias": (384,),
    }
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DinoV2Extractor.FILE
    torch.save(tensors | changes, path)
    chosen = str(folder)
    publish(path, monkeypatch)
    monkeypatch.setenv(FOLDER_VARIABLE, chosen)
    return path


@pytest.fixture
def extractor(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DinoV2Extractor:
    put_code(machine)
    put_weights(tmp_path / "chosen", monkeypatch)
    return DinoV2Extractor("dinov2-vits14")


@pytest.fixture
def faces() -> Tensor:
    return torch.randint(0, 256, (5, 3, 64, 64), generator=torch.Generator().manual_seed(2)).byte()


def test_the_large_network_is_built_by_its_own_name_from_its_own_file(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Tensor
) -> None:
    put_code(machine)
    large = HUBCONF.replace("384", "1024").replace("dinov2_vits14", "dinov2_vitl14")
    (machine / REPOSITORY / "hubconf.py").write_text(large)
    with pytest.raises(Unavailable, match=r"weights fetch dinov2_vitl14_pretrain\.pth"):
        LargeDinoV2Extractor()
    shapes = {
        "cls_token": (1, 1, 1024),
        "patch_embed.weight": (1024, 3, 14, 14),
        "patch_embed.bias": (1024,),
        "norm.weight": (1024,),
        "norm.bias": (1024,),
    }
    (tmp_path / "chosen").mkdir()
    path = tmp_path / "chosen" / LargeDinoV2Extractor.FILE
    torch.save({name: torch.randn(shape) for name, shape in shapes.items()}, path)
    made = LargeDinoV2Extractor("dinov2-vitl14")
    assert made.id == f"dinov2-vitl14/1@{sha256_of(path)[:8]}/bicubic-224"
    assert made(faces)[0].shape == (5, 1024)


def test_the_id_names_network_weights_and_resize(extractor: DinoV2Extractor, tmp_path: Path) -> None:
    assert extractor.sha256 == sha256_of(tmp_path / "chosen" / DinoV2Extractor.FILE)
    assert extractor.id == f"dinov2-vits14/1@{extractor.sha256[:8]}/bicubic-224"
    assert not extractor.recognises


def test_tokens_come_from_the_loaded_weights(
    extractor: DinoV2Extractor, faces: Tensor, tmp_path: Path
) -> None:
    tokens, classes = extractor(faces)
    assert classes is None
    assert tokens.shape == (5, 384)
    assert tokens.dtype == torch.float32
    weights = torch.load(tmp_path / "chosen" / DinoV2Extractor.FILE, weights_only=True)
    pixels = extractor.module.seen
    patches = torch.nn.functional.conv2d(
        pixels, weights["patch_embed.weight"], weights["patch_embed.bias"], stride=14
    )
    before = weights["cls_token"][:, 0] + patches.mean(dim=(2, 3))
    expected = torch.nn.functional.layer_norm(before, (384,), weights["norm.weight"], weights["norm.bias"])
    torch.testing.assert_close(tokens, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [64, 300])
def test_pictures_are_resized_as_pillow_does_it(extractor: DinoV2Extractor, size: int) -> None:
    """Bicubic with antialiasing, which shows at 300 pixels; up to Pillow's rounding to bytes.

    Grey noise, so that no overshoot is cut off: Pillow cuts between rows and columns too.
    """
    picture = torch.randint(90, 166, (1, 3, size, size), generator=torch.Generator().manual_seed(3)).byte()
    extractor(picture)
    seen = extractor.module.seen[0].permute(1, 2, 0)
    image = Image.fromarray(picture[0].permute(1, 2, 0).numpy())
    resized = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (torch.from_numpy(resized.copy()) / 255 - mean) / std
    assert float(((seen - expected) * std).abs().max()) < 1.5 / 255
    assert float((expected.diff(dim=0) * std).abs().mean()) > 3 / 255  # it was no even grey


def test_results_do_not_depend_on_the_batch(
    extractor: DinoV2Extractor, faces: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, _ = extractor(faces)
    monkeypatch.setitem(frozen.CHUNK, "cpu", 2)
    torch.testing.assert_close(extractor(faces)[0], together, atol=1e-5, rtol=1e-5)


def test_scoring_runs_in_full_precision_whatever_training_allows(
    extractor: DinoV2Extractor, faces: Tensor
) -> None:
    plain, _ = extractor(faces)
    with torch.autocast("cpu", torch.bfloat16):
        inside, _ = extractor(faces)
    torch.testing.assert_close(plain, inside, atol=1e-6, rtol=0)


def test_the_module_is_frozen(extractor: DinoV2Extractor) -> None:
    assert not any(part.training for part in extractor.module.modules())
    assert not any(weight.requires_grad for weight in extractor.module.parameters())


def test_weights_are_found_where_torch_hub_keeps_them(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Tensor
) -> None:
    put_code(machine)
    path = put_weights(machine / "checkpoints", monkeypatch)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    assert DinoV2Extractor().sha256 == sha256_of(path)


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ("neither", r"code is missing.*this file is missing.*weights fetch dinov2_vits14_pretrain\.pth"),
        ("code", r"code is there.*this file is missing"),
        ("weights", r"code is missing.*that code will run.*this file is there"),
    ],
)
def test_what_is_missing_is_said_with_both_places(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: str, message: str
) -> None:
    if present == "code":
        put_code(machine)
    if present == "weights":
        put_weights(tmp_path / "chosen", monkeypatch)
    with pytest.raises(Unavailable, match=message) as caught:
        DinoV2Extractor()
    for place in (machine / REPOSITORY, tmp_path / "chosen", machine / "checkpoints"):
        assert str(place) in str(caught.value)


def test_weights_of_another_network_are_refused(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_code(machine)
    put_weights(tmp_path / "chosen", monkeypatch, cls_token=torch.zeros(1, 1, 768), head=torch.zeros(1))
    with pytest.raises(BenchError, match=r"not known \(head\).*another shape \(cls_token"):
        DinoV2Extractor()


def test_another_file_than_the_published_one_is_refused(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_code(machine)
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen" / DinoV2Extractor.FILE).write_bytes(b"anything")
    with pytest.raises(BenchError, match="truncated"):
        DinoV2Extractor()


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BenchError, match="did you mean 'dinov2-vits14'"):
        DinoV2Extractor("dinov2-vits")


def test_anything_but_faces_is_refused(extractor: DinoV2Extractor) -> None:
    with pytest.raises(BenchError, match="uint8"):
        extractor(torch.zeros(1, 3, 64, 64))
