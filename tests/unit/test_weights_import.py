"""Checkpoints as the official training writes them come in; hostile, damaged and foreign files do not."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from reference_model import official, sf2f
from sf2f_bench import BenchError
from sf2f_bench.files import load_tensors
from sf2f_bench.runs import weights_import
from sf2f_bench.runs.weights_import import import_checkpoint

STATE = OrderedDict({"encoder.weight": torch.arange(6.0).view(2, 3), "encoder.bias": torch.ones(2)})


class Small:
    """A system whose official names have one part more than its own."""

    @staticmethod
    def from_official(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if set(state) != set(STATE):
            raise BenchError(f"this is no official state dict of {name}: found {', '.join(state)}")
        return {entry.removeprefix("encoder."): tensor for entry, tensor in state.items()}


class SF2F:
    """The reference as far as it matters here."""

    from_official = staticmethod(official.generator_tensors)


@pytest.fixture(autouse=True)
def _systems(monkeypatch: pytest.MonkeyPatch) -> None:
    systems = {"small": Small, "sf2f-64": SF2F, "own": object}
    monkeypatch.setattr(weights_import.MODELS, "get", systems.__getitem__)


def training_checkpoint(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the official training saves: plain values, losses, NumPy scores and pictures, weights, optimiser."""
    losses = defaultdict(list)
    losses["L1_pixel_loss"].append(np.mean([0.5, 0.7]))
    adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    return {
        "args": {"batch_size": 256, "resume": None},
        "train_losses": losses,
        "val_samples": [{"samples": np.zeros((4, 4, 3), np.uint8)}],
        "counters": {"epoch": 3, "best_vfs": (np.float64(1.5), np.float32(0.5))},
        "model_state": state,
        "model_best_state": None,
        "d_img_state_0": OrderedDict({"cnn.0.weight": torch.zeros(3)}),
        "optim_state": adam.state_dict(),
    }


def save_as_old_numpy(content: Any, file: Path) -> None:
    """Like torch.save under NumPy 1, which had its functions in numpy.core."""
    torch.save(content, file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in members.items():
            archive.writestr(name, value.replace(b"numpy._core", b"numpy.core"))


WRITERS: dict[str, Callable[[Path], object]] = {
    "bare.pt": lambda file: torch.save(STATE, file),
    "training.pt": lambda file: torch.save(training_checkpoint(STATE), file),
    "old.pt": lambda file: torch.save(training_checkpoint(STATE), file, _use_new_zipfile_serialization=False),
    "old_numpy.pt": lambda file: save_as_old_numpy(training_checkpoint(STATE), file),
    "bare.safetensors": lambda file: save_file(dict(STATE), file),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_checkpoint_becomes_the_tensors_that_the_system_takes(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    result = import_checkpoint(file, "small", tmp_path / "weights")
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert result == tmp_path / "weights" / f"small-{sha256[:8]}.safetensors"
    tensors, metadata = load_tensors(result)
    assert metadata == {"model": "small", "source": name, "sha256": sha256, "width": 1.0}
    assert set(tensors) == {"weight", "bias"}
    assert torch.equal(tensors["weight"], STATE["encoder.weight"])


def test_an_official_generator_is_imported_for_the_system_it_was_trained_as(tmp_path: Path) -> None:
    trained = sf2f.build_generator("sf2f-64")
    names = official.generator_modules(64, fuser=False)
    state = {
        f"{names[ours.rpartition('.')[0]]}.{ours.rpartition('.')[2]}": tensor
        for ours, tensor in trained.state_dict().items()
    }
    file = tmp_path / "best_R10_with_model.pt"
    torch.save(training_checkpoint(state), file)
    tensors, _ = load_tensors(import_checkpoint(file, "sf2f-64", tmp_path))
    again = sf2f.build_generator("sf2f-64")
    again.load_state_dict(tensors)
    voices = torch.randn(1, 40, 110)
    assert torch.equal(again.eval()(voices)[0][0], trained.eval()(voices)[0][0])
    with pytest.raises(BenchError, match="no official state dict of small"):
        import_checkpoint(file, "small", tmp_path)
    torch.save(STATE, file)
    with pytest.raises(BenchError, match=r"generator sf2f-64; .*missing encoder\.model\.0\.conv_k2"):
        import_checkpoint(file, "sf2f-64", tmp_path)


class Hostile:
    """Runs a command when a plain loader opens it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_checkpoint_is_refused_and_does_not_run(zipped: bool, tmp_path: Path) -> None:
    file, proof = tmp_path / "hostile.pt", tmp_path / "it_ran"
    content = training_checkpoint(STATE) | {"args": Hostile(proof)}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(BenchError, match=r"hostile\.pt asks for \w+\.system and was not opened"):
        import_checkpoint(file, "small", tmp_path)
    assert not proof.exists()
    torch.load(file, weights_only=False)  # the test can fail: a plain loader runs it
    assert proof.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    file, proof = tmp_path / "hostile.pkl", tmp_path / "it_ran"
    file.write_bytes(pickle.dumps(Hostile(proof)))
    with pytest.raises(BenchError, match=r"hostile\.pkl is damaged, or no file of torch\.save"):
        import_checkpoint(file, "small", tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    WRITERS[name](file)
    whole = file.read_bytes()
    for kept in (0, 1, 10, len(whole) // 2, len(whole) - 3):
        file.write_bytes(whole[:kept])
        with pytest.raises(BenchError, match=f"{name} is damaged"):
            import_checkpoint(file, "small", tmp_path)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"model_state": None, "args": {}}, "a dict with model_state, args"),
        ({"model_state": {"samples": np.zeros(3)}}, "a dict with model_state"),
        ({"state": dict(STATE)}, "a dict with state"),
        ({}, "a dict with no entries"),
        ([torch.zeros(2)], "a list with no entries"),
        (torch.zeros(2), "a Tensor with no entries"),
    ],
)
def test_a_file_without_a_generator_is_refused(content: Any, found: str, tmp_path: Path) -> None:
    file = tmp_path / "other.pt"
    torch.save(content, file)
    with pytest.raises(BenchError, match=f"other.pt holds no generator: .* found {found}"):
        import_checkpoint(file, "small", tmp_path)


def test_a_missing_file_and_a_system_without_official_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"there is no file .*nothing\.pt"):
        import_checkpoint(tmp_path / "nothing.pt", "small", tmp_path)
    with pytest.raises(BenchError, match="own has no official weights to import"):
        import_checkpoint(tmp_path / "nothing.pt", "own", tmp_path)
