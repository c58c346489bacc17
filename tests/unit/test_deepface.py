"""deepface in a process of its own: against its networks called by hand, and everything that can be missing."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as vision

from sf2f_bench.extractors import deepface, weights
from sf2f_bench.extractors.deepface import (
    ATTRIBUTES,
    RECOGNISERS,
    DeepFaceAttributes,
    DeepFaceExtractor,
    resized,
)
from sf2f_bench.extractors.weights import FILES, FOLDER_VARIABLE, all_files, sha256_of
from sf2f_bench.types import BenchError, Unavailable
from tests.unit.weight_files import randomise

# Five pictures of 4 x 4 random patches: noise would look the same to any network.
PATCHES = np.random.RandomState(0).randint(0, 256, (5, 3, 4, 4)).astype(np.uint8)
FACES = torch.from_numpy(PATCHES.repeat(16, axis=2).repeat(16, axis=3))


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """A machine on which no file of weights lies anywhere."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    (tmp_path / "weights").mkdir()
    return tmp_path


found = deepface.find_spec
NETWORKS = RECOGNISERS | ATTRIBUTES


# ---------------------------------------------------------------- names and files

ASKED = """
import json, os, sys, types
os.environ.update(DEEPFACE_BACKEND_ENGINE="pytorch", DEEPFACE_HOME=sys.argv[1])
zoo = types.ModuleType("insightface.model_zoo")
zoo.get_model = None
sys.modules.update({"insightface": types.ModuleType("insightface"), "insightface.model_zoo": zoo})
sys.modules["dlib"] = types.ModuleType("dlib")
import torch
from deepface.commons import weight_utils
from deepface.modules import modeling

class Asked(Exception):
    pass

def ask(file_name, source_url, compress_type=None):
    raise Asked(file_name, source_url)

weight_utils.download_weights_if_necessary = ask
torch.set_default_device("meta")  # networks of no size: only their names and shapes count
answers = {}
for task in ("facial_recognition", "facial_attribute"):
    for name in modeling.AVAILABLE_MODELS[task]:
        client = modeling.get_model_class(task, name)
        network = client.__new__(client)
        try:
            network.__init__()
        except Asked as error:
            size = getattr(network, "input_shape", None)
            answers[name] = [*error.args, size]
print(json.dumps(answers))
"""


def test_files_addresses_and_sizes_are_those_that_deepface_asks_for(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ASKED, tmp_path], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    asked = json.loads(done.stdout.splitlines()[-1])
    assert set(asked) - {"Emotion"} == set(NETWORKS)
    sizes = 0
    for name, network in NETWORKS.items():
        file_name, url, size = asked[name]
        assert network.file == os.path.basename(file_name), name
        if name == "Buffalo_L":  # the same file by another door of the same service
            assert FILES[network.file].url.split("/")[-2] in url
        else:
            assert FILES[network.file].url == (url if isinstance(url, str) else url[0]), name
        if size is not None:
            assert network.size == (size[1], size[0]), name
            sizes += 1
    assert sizes >= 9


def test_the_list_of_weights_holds_every_file_once_and_imports_no_network():
    code = (
        "import sys; from sf2f_bench.extractors.weights import all_files; print(len(all_files())); "
        "assert not {'torch', 'deepface.models.facial_recognition.pytorch.ArcFace'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert len({network.file for network in NETWORKS.values()}) == len(NETWORKS)
    files = [all_files()[network.file] for network in NETWORKS.values()]
    assert {name for file in files for name in file.used_by} == {
        "deepface:attributes",
        *(f"deepface:{name}" for name in RECOGNISERS),
    }
    assert all(file.url.startswith("https://") and file.licence for file in files)


def test_an_unknown_recogniser_is_answered_with_the_nearest():
    with pytest.raises(BenchError, match=r"unknown recogniser of deepface 'Arcface'.*did you mean 'ArcFace'"):
        DeepFaceExtractor("deepface:Arcface")
    with pytest.raises(BenchError, match="unknown recogniser of deepface 'deepface:'"):
        DeepFaceExtractor("deepface:")
    with pytest.raises(BenchError, match="did you mean 'deepface:attributes'"):
        DeepFaceAttributes("deepface:attribute")


def test_a_missing_file_is_named_with_its_address_and_folder(empty):
    with pytest.raises(Unavailable) as said:
        DeepFaceExtractor("deepface:ArcFace")
    for word in (
        "arcface_weights.pth",
        "https://github.com/serengil/deepface_models",
        str(empty / "weights"),
    ):
        assert word in str(said.value)
    assert said.value.reason == "not on this machine: arcface_weights.pth (`sf2f-bench weights list`)"


def test_attributes_name_all_files_that_are_missing(empty):
    (empty / "weights" / "age_model_weights.pth").write_bytes(b"here")
    with pytest.raises(Unavailable, match="2 files are not on this machine") as said:
        DeepFaceAttributes()
    for word in ("gender_model_weights.pth", "race_model_single_batch.pth", str(empty / "weights")):
        assert word in str(said.value)
    assert "age_model" not in str(said.value)


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        deepface, "find_spec", lambda name: None if name in ("dlib", "insightface") else found(name)
    )
    with pytest.raises(Unavailable, match=r"needs the package dlib.*pip install 'sf2f-bench\[dlib\]'"):
        DeepFaceExtractor("deepface:Dlib")
    with pytest.raises(Unavailable, match="pip install 'insightface'"):
        DeepFaceExtractor("deepface:Buffalo_L")


def test_another_file_under_dlibs_name_is_refused(empty, monkeypatch):
    monkeypatch.setattr(deepface, "find_spec", lambda name: found("json") if name == "dlib" else None)
    (empty / "weights" / "dlib_face_recognition_resnet_model_v1.dat").write_bytes(b"short")
    with pytest.raises(BenchError, match="is truncated: 5 bytes"):
        DeepFaceExtractor("deepface:Dlib")


def test_the_picture_is_resized_as_torchvision_does_it():
    for size in ((96, 96), (55, 47), (24, 24), (64, 64)):
        wide = vision.resize(FACES.float(), list(size), vision.InterpolationMode.BILINEAR, antialias=True)
        np.testing.assert_array_equal(resized(FACES, size), wide.round().clamp(0, 255).byte().numpy())
    np.testing.assert_array_equal(resized(FACES, (64, 64)), FACES.numpy())


# ---------------------------------------------------------------- a recogniser


def open_face():
    from deepface.models.facial_recognition.pytorch.OpenFace import OpenFaceNet

    torch.manual_seed(0)
    return randomise(OpenFaceNet(), seed=0, gain=1.5)


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    """OpenFace with random weights in deepface's own folder, and the network itself."""
    home = tmp_path_factory.mktemp("home")
    folder = home / ".deepface" / "weights"
    folder.mkdir(parents=True)
    network = open_face()
    torch.save(network.state_dict(), folder / "openface_weights.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(home))
        patch.setenv(FOLDER_VARIABLE, str(home / "none"))
        patch.setenv("HOME", str(home / "user"))
        yield DeepFaceExtractor("deepface:OpenFace"), network, folder / "openface_weights.pth"


def test_a_recogniser_sees_what_its_network_sees_and_prints_nothing(recogniser, capfd):
    extractor, network, _ = recogniser
    seen, probabilities = extractor(FACES)
    assert probabilities is None
    blue_green_red = torch.from_numpy(resized(FACES, (96, 96))).flip(1).float() / 255
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(blue_green_red), dim=1)
    assert (expected[0] - expected[1]).norm() > 1e-3  # random weights, yet far more than the tolerance
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-5)
    assert capfd.readouterr() == ("", "")


def test_the_batch_size_changes_nothing(recogniser):
    extractor, _, _ = recogniser
    many = FACES.repeat(4, 1, 1, 1)  # more than go to the process at once
    seen = extractor(many)[0]
    torch.testing.assert_close(seen[:5], extractor(FACES)[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(seen[17:18], extractor(FACES[2:3])[0], rtol=0, atol=1e-5)


def test_the_id_says_version_weights_and_size(recogniser):
    extractor, _, path = recogniser
    assert extractor.sha256 == sha256_of(path)
    assert extractor.id == f"deepface-0.0.102:OpenFace@{extractor.sha256[:8]}/bilinear-96"
    assert extractor.recognises


@pytest.mark.parametrize("wrong", [torch.zeros(3, 64, 64, dtype=torch.uint8), torch.zeros(1, 3, 64, 64)])
def test_anything_but_faces_is_refused_before_a_process_starts(recogniser, wrong):
    with pytest.raises(BenchError, match="faces must be"):
        recogniser[0](wrong)


def test_the_process_has_its_own_settings_and_is_replaced_and_ends_with_its_owner(empty):
    process = deepface.Process("test", {})
    assert process.ask(os.getenv, "DEEPFACE_BACKEND_ENGINE") == "pytorch"
    assert process.ask(os.getenv, "DEEPFACE_HOME") == str(empty / "weights" / "deepface")
    assert "DEEPFACE_BACKEND_ENGINE" not in os.environ
    pid = process.ask(os.getpid)
    assert pid != os.getpid()
    with pytest.raises(BenchError, match="the process of test ended before it answered"):
        process.ask(os._exit, 9)
    pid, before = process.ask(os.getpid), pid
    assert pid not in (before, os.getpid())
    del process
    gc.collect()
    wait_until_gone(pid)


def test_the_process_ends_when_its_owner_is_killed(tmp_path):
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, signal\n"
        "from sf2f_bench.extractors.deepface import Process\n"
        "if __name__ == '__main__':\n"
        "    print(Process('test', {}).ask(os.getpid), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    wait_until_gone(int(done.stdout))


def wait_until_gone(pid):
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z"):
            return  # ended; whoever adopted it has not looked yet
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


def test_a_damaged_file_and_a_file_that_was_not_given_are_named(empty):
    path = empty / "weights" / "openface_weights.pth"
    path.write_bytes(b"no weights")
    extractor = DeepFaceExtractor("deepface:OpenFace")
    with pytest.raises(BenchError, match=rf"cannot build OpenFace from {path}.*Fetch the file again"):
        extractor(FACES[:1])
    with pytest.raises(BenchError, match=r"it asks for deepid_weights.pth of .*https.*not given to it"):
        extractor._process.ask(deepface.deepface_worker.represent, "DeepID", resized(FACES, (55, 47)))
    assert not (empty / "user").exists()
    assert not list(empty.rglob("deepid*"))


# ---------------------------------------------------------------- attributes


def spread(shape, value):
    """A tensor of one value that takes four bytes in a file."""
    return torch.tensor(value).expand(shape)


def write_attribute_network(path, weight, bias, channel):
    """A network of deepface's shape whose answer depends on one channel's brightness alone.

    Every layer is a mean of the one before it, so the last sees ``s``, the channel's mean 0..1 (less the borders'
    padding): logits are ``weight * s + bias``.
    """
    from deepface.models.demography.pytorch.TorchDemography import VggFaceClassifier

    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in VggFaceClassifier(len(bias)).state_dict().items()}
    state = {
        name: spread(shape, 0.0 if name.endswith("bias") else 1 / float(np.prod(shape[1:])))
        for name, shape in shapes.items()
    }
    first = torch.zeros(shapes["backbone.conv1_1.weight"])
    first[:, channel] = 1 / 9
    state["backbone.conv1_1.weight"] = first
    weights = torch.tensor(weight, dtype=torch.float32)[:, None, None, None]
    state["predictions.weight"] = (weights / 4096).expand(shapes["predictions.weight"])
    state["predictions.bias"] = torch.tensor(bias, dtype=torch.float32)
    torch.save(state, path)


def test_attributes_are_read_in_deepfaces_words_and_order(empty, capfd):
    folder = empty / "weights"
    # Man where there is much blue (channel 0 as deepface feeds faces), Woman else.
    write_attribute_network(folder / "gender_model_weights.pth", [0.0, 100.0], [0.0, -30.0], channel=0)
    # The fourth of the six words where there is much red (channel 2), the sixth else.
    race = ([0, 0, 0, 100.0, 0, 0], [-90.0, -90, -90, -30, -90, 0])
    write_attribute_network(folder / "race_model_single_batch.pth", *race, channel=2)
    # -(k - 60 s)^2 / 20 without its part that all ages share: the most likely age is 60 times the green.
    ages = np.arange(101.0)
    write_attribute_network(folder / "age_model_weights.pth", 6 * ages, -(ages**2) / 20, channel=1)
    judge = DeepFaceAttributes()
    assert judge.id == f"deepface-0.0.102:attributes@{judge.sha256[:8]}/bilinear-224"

    turquoise, red = torch.zeros(2, 1, 3, 40, 40, dtype=torch.uint8)
    turquoise[:, 1:], red[:, 0] = 255, 255
    seen = judge(torch.cat([turquoise, red]))
    assert seen["gender"] == ["m", "f"]
    assert seen["ethnicity"] == ["latino hispanic", "white"]
    assert 45 < seen["age"][0] <= 60
    assert 0 < seen["age"][1] < 5  # the half above 0 of a bell about 0

    alone = judge(turquoise)
    assert alone["gender"] == ["m"]
    assert alone["age"].shape == (1,)
    assert alone["age"] == pytest.approx(seen["age"][:1], abs=0.05)
    assert capfd.readouterr() == ("", "")
