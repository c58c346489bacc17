"""Published weights: where they are looked for, what is refused, and that reading them runs no code."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from weight_files import write_python_2_pickle

from sf2f_bench.extractors.tensors import load_checked, read_tensors
from sf2f_bench.extractors.weights import (
    FILES,
    FOLDER_VARIABLE,
    WeightFile,
    check_file,
    folders,
    sha256_of,
    weights_file,
)
from sf2f_bench.files import Damaged, header_of
from sf2f_bench.types import BenchError, Unavailable

NAME = "toy.pt"
CONTENT = b"the weights as they were published"


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the environment names, empty, with a small published file in the table."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "chosen"))
    digest = hashlib.sha256(CONTENT).hexdigest()
    file = WeightFile(NAME, "a toy", "https://example.org/toy.pt", "CC0", len(CONTENT), digest)
    monkeypatch.setitem(FILES, NAME, file)
    (tmp_path / "chosen").mkdir()
    return tmp_path / "chosen"


def test_the_table_can_be_listed_and_fetched() -> None:
    for name, file in FILES.items():
        assert name == file.name
        assert file.url.startswith("https://")
        assert file.licence
        assert file.description
        assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32


def test_the_chosen_folder_comes_before_the_cache(chosen: Path, tmp_path: Path) -> None:
    cache = tmp_path / "home" / ".cache" / "sf2f-bench" / "weights"
    assert folders() == [chosen, cache]
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT)
    assert weights_file(NAME) == cache / NAME
    (chosen / NAME).write_bytes(CONTENT)
    assert weights_file(NAME) == chosen / NAME


def test_without_a_choice_weights_lie_in_the_cache(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert folders() == [chosen.parent / "home" / ".cache" / "sf2f-bench" / "weights"]


def test_a_missing_file_says_what_it_is_and_where_to_get_it(chosen: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        weights_file(NAME)
    for part in (
        NAME,
        "a toy",
        f"put it into {chosen}",
        "https://example.org/toy.pt",
        "`sf2f-bench weights fetch toy.pt`",
        "sf2f-bench weights list",
    ):
        assert part in str(caught.value)


def test_what_a_browser_must_get_names_no_command(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, NAME, replace(FILES[NAME], url="https://drive.google.com/file/d/1/view"))
    with pytest.raises(Unavailable, match=r"By hand: get toy\.pt from https://drive\.google\.com") as caught:
        weights_file(NAME)
    assert "weights fetch" not in str(caught.value)


def test_the_folder_of_another_package_comes_last(
    chosen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "other package"
    monkeypatch.setitem(FILES, NAME, replace(FILES[NAME], home=lambda: home))
    home.mkdir()
    (home / NAME).write_bytes(CONTENT)
    assert weights_file(NAME) == home / NAME
    (chosen / "toy.safetensors").write_bytes(b"anything")
    assert weights_file(NAME) == chosen / "toy.safetensors"


def test_a_wrong_file_is_no_missing_one(chosen: Path) -> None:
    (chosen / NAME).write_bytes(b"anything")
    with pytest.raises(BenchError) as caught:
        weights_file(NAME)
    assert not isinstance(caught.value, Unavailable)


def test_an_unknown_name_gets_the_nearest_one(chosen: Path) -> None:
    with pytest.raises(BenchError, match=r"did you mean 'toy\.pt'"):
        weights_file("toys.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], f"is truncated: {len(CONTENT) - 1} bytes, expected {len(CONTENT)}"),
        (CONTENT + b"!", "is a different file"),
        (CONTENT.swapcase(), "is a different file: sha256 .* expected"),
    ],
)
def test_a_file_that_is_not_the_published_one_is_refused(chosen: Path, content: bytes, message: str) -> None:
    (chosen / NAME).write_bytes(content)
    with pytest.raises(BenchError, match=f"{message}.*fetch it again"):
        weights_file(NAME)


def test_a_bad_file_is_not_passed_over_for_one_further_on(chosen: Path, tmp_path: Path) -> None:
    cache = folders()[1]
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(CONTENT)
    (chosen / NAME).write_bytes(b"")
    with pytest.raises(BenchError, match="truncated"):
        weights_file(NAME)


def test_a_file_without_published_checksum_is_taken(chosen: Path) -> None:
    (chosen / NAME).write_bytes(b"anything")
    check_file(chosen / NAME, replace(FILES[NAME], size=None, sha256=None))


def test_a_conversion_may_stand_in_but_not_before_the_published_file(chosen: Path) -> None:
    (chosen / "toy.safetensors").write_bytes(b"anything")
    assert weights_file(NAME) == chosen / "toy.safetensors"
    (chosen / NAME).write_bytes(CONTENT)
    assert weights_file(NAME) == chosen / NAME


def test_the_checksum_follows_a_change_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert sha256_of(path) == hashlib.sha256(b"three").hexdigest()


# ---------------------------------------------------------------- reading

TENSORS = {
    "weight": torch.arange(-3.0, 3.0).reshape(2, 3),
    "norm.running_mean": torch.tensor([0.5]),
    "norm.num_batches_tracked": torch.tensor(7),
}


def write(path: Path) -> Path:
    if path.suffix in (".pt", ".pth"):
        torch.save(OrderedDict(TENSORS), path)
    elif path.suffix == ".safetensors":
        save_file(TENSORS, path)
    else:
        write_python_2_pickle(path, {name: tensor.numpy() for name, tensor in TENSORS.items()})
    return path


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".safetensors"])
def test_every_kind_of_file_gives_its_tensors(tmp_path: Path, suffix: str) -> None:
    found = read_tensors(write(tmp_path / f"file{suffix}"))
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_python_3_and_ordered_dicts_are_read(tmp_path: Path, protocol: int) -> None:
    arrays = OrderedDict(weight=np.arange(6, dtype=">f4").reshape(2, 3), order=np.zeros((2, 2), order="F"))
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(arrays, protocol))
    found = read_tensors(tmp_path / "file.pkl")
    assert torch.equal(found["weight"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(found["order"], torch.zeros(2, 2, dtype=torch.float64))


class RunsCode:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("suffix", [".pt", ".pkl"])
def test_a_file_that_could_run_code_is_refused_and_runs_none(tmp_path: Path, suffix: str) -> None:
    path, trap = tmp_path / f"file{suffix}", tmp_path / "trap"
    content = {"weight": RunsCode(trap)}
    torch.save(content, path) if suffix == ".pt" else path.write_bytes(pickle.dumps(content, 2))
    with pytest.raises(BenchError, match=r"more than tensors|mkdir.*could run code"):
        read_tensors(path)
    assert not trap.exists()


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".safetensors"])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"file{suffix}")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BenchError, match=r"cannot be read as weights.*fetch it again"):
        read_tensors(path)


@pytest.mark.parametrize(
    "content", [[1, 2], {"weight": 1}, {1: torch.zeros(1)}, {"weight": [torch.zeros(1)]}]
)
def test_anything_but_tensors_by_name_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "file.pt")
    with pytest.raises(BenchError, match="expected tensors by name"):
        read_tensors(tmp_path / "file.pt")


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"weight": np.array([{}, None])}, 2))
    with pytest.raises(BenchError, match="cannot be read as weights"):
        read_tensors(tmp_path / "file.pkl")


class ObjectsInBytes:
    """An array whose bytes are taken for pointers to objects: a plain unpickler dies of it."""

    def __reduce__(self) -> tuple:
        state = (1, (40,), np.dtype([("a", "O")]), False, b"A" * 320)
        return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state


def test_bytes_that_are_called_objects_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"weight": ObjectsInBytes()}, 2))
    with pytest.raises(BenchError, match="holds an array of V8, expected plain numbers"):
        read_tensors(tmp_path / "file.pkl")


def test_one_array_under_many_names_takes_no_memory_for_each(tmp_path: Path) -> None:
    array = np.zeros(1000)
    for names in (1, 100):
        content = {f"weight{number}": array for number in range(names)}
        (tmp_path / f"{names}.pkl").write_bytes(pickle.dumps(content))
    assert read_tensors(tmp_path / "1.pkl")["weight0"].shape == (1000,)
    with pytest.raises(BenchError, match="its arrays hold more bytes than it has"):
        read_tensors(tmp_path / "100.pkl")


@pytest.mark.parametrize("content", [[np.zeros(1)], {"weight": 1.5}, {"weight": [np.zeros(1)]}])
def test_anything_but_arrays_by_name_is_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(BenchError, match="cannot be read as weights"):
        read_tensors(tmp_path / "file.pkl")


def test_an_unknown_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BenchError, match=r"expected weights as \.pt, \.pth, \.bin, \.pkl, \.safetensors, found \.h5"
    ):
        read_tensors(tmp_path / "file.h5")


# ---------------------------------------------------------------- filling a network


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def test_a_network_is_filled_with_or_without_counters() -> None:
    tensors = {name: torch.randn(t.shape).abs() for name, t in network().state_dict().items() if t.dim()}
    assert "1.num_batches_tracked" not in tensors
    filled = network()
    load_checked(filled, tensors, Path("file"))
    assert all(torch.equal(filled.state_dict()[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("1.running_var"), r"1 entries are missing \(1\.running_var\)"),
        (lambda tensors: tensors.update(more=torch.zeros(1)), r"1 entries are not known \(more\)"),
        (
            lambda tensors: tensors.update({"0.bias": torch.zeros(5)}),
            r"1 entries have another shape \(0\.bias \[5\] instead of \[4\]\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused(change, message: str) -> None:
    tensors = network().state_dict()
    change(tensors)
    with pytest.raises(BenchError, match=f"file: not the weights of Sequential: {message}"):
        load_checked(network(), tensors, Path("file"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n0123",
        (10**12).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
    ids=["empty", "picture", "long", "list"],
)
def test_a_file_without_the_header_of_weights_is_named(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(Damaged, match="is no file of trained weights"):
        header_of(path)
