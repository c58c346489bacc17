"""The recognisers and the attribute networks of deepface, each in a process of its own.

Serengil and Ozpinar, "LightFace: A Hybrid Deep Face Recognition Framework" (2020); github.com/serengil/deepface.
It wraps networks of many authors that the field's tables name: ArcFace, Facenet512, VGG-Face, Dlib. A separate
process keeps its settings, its second copy of CUDA and its crashes away from the one that measures.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sf2f_bench.extractors import deepface_worker
from sf2f_bench.extractors.weights import FILES, WeightFile, check_file, copies, folders, remedy, sha256_of
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

    from sf2f_bench.types import ByteArray, FloatArray

Result = TypeVar("Result")
CHUNK = 16  # faces per request to the process


@dataclass(frozen=True)
class DeepFaceNetwork:
    """What must be known of one of deepface's networks before it is built."""

    file: str  # of its weights
    size: tuple[int, int]  # height and width of its input, in pixels
    package: str = ""  # that it needs beside deepface's own
    install: str = ""  # what pip is asked for to install that


# Names, files and sizes are those of deepface 0.0.102, the version that pyproject.toml pins.
RECOGNISERS = {
    "VGG-Face": DeepFaceNetwork("vgg_face_weights.pth", (224, 224)),
    "Facenet": DeepFaceNetwork("facenet_weights.pth", (160, 160)),
    "Facenet512": DeepFaceNetwork("facenet512_weights.pth", (160, 160)),
    "OpenFace": DeepFaceNetwork("openface_weights.pth", (96, 96)),
    "DeepFace": DeepFaceNetwork("VGGFace2_DeepFace_weights_val-0.9034.pth", (152, 152)),
    "DeepID": DeepFaceNetwork("deepid_weights.pth", (55, 47)),
    "ArcFace": DeepFaceNetwork("arcface_weights.pth", (112, 112)),
    "GhostFaceNet": DeepFaceNetwork("ghostfacenet_v1.pth", (112, 112)),
    "SFace": DeepFaceNetwork("face_recognition_sface_2021dec.onnx", (112, 112)),
    "Dlib": DeepFaceNetwork(
        "dlib_face_recognition_resnet_model_v1.dat", (150, 150), "dlib", "sf2f-bench[dlib]"
    ),
    "Buffalo_L": DeepFaceNetwork("webface_r50.onnx", (112, 112), "insightface", "insightface"),
}
ATTRIBUTES = {
    "Gender": DeepFaceNetwork("gender_model_weights.pth", (224, 224)),
    "Age": DeepFaceNetwork("age_model_weights.pth", (224, 224)),
    "Race": DeepFaceNetwork("race_model_single_batch.pth", (224, 224)),
}


def files_of(asker: str, networks: Mapping[str, DeepFaceNetwork]) -> dict[str, Path]:
    """The checked files of networks, by the files' names; nothing is ever downloaded.

    Raises Unavailable where a file or a package is missing, and BenchError for a file that is not the published one.
    """
    for network in networks.values():
        if network.package and find_spec(network.package) is None:
            raise Unavailable(
                f"{asker} needs the package {network.package}, which is not installed: "
                f"pip install '{network.install}'."
            )
    files = [FILES[network.file] for network in networks.values()]
    # No conversion is accepted: it is deepface that reads the file.
    found = {file.name: path for file in files for path in copies(file, conversions=False)[:1]}
    if missing := [file for file in files if file.name not in found]:
        names = ", ".join(file.name for file in missing)
        raise Unavailable(
            _remedy(asker, missing), f"not on this machine: {names} (`sf2f-bench weights list`)"
        )
    for file in files:
        check_file(found[file.name], file)
    return found


def _remedy(asker: str, missing: Sequence[WeightFile]) -> str:
    if len(missing) == 1:
        return f"{asker}: {missing[0].description} is not on this machine. {remedy(missing[0])}"
    names, urls = (
        " and ".join(words) for words in zip(*((file.name, file.url) for file in missing), strict=True)
    )
    return (
        f"{asker}: {len(missing)} files are not on this machine, {names}. `sf2f-bench weights fetch NAME` fetches "
        f"each. By hand: get {urls} and put them into {folders()[0]}."
    )


# ---------------------------------------------------------------- the process


class Process:
    """deepface with some of its networks, in a process that starts with the first request and ends with its owner.

    The process is a fresh interpreter: it inherits neither CUDA's state nor threads.
    """

    def __init__(self, name: str, files: Mapping[str, Path]) -> None:
        self.name = name
        self.files = {asked: str(path) for asked, path in files.items()}
        self._pool: ProcessPoolExecutor | None = None

    def ask(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work` of the worker module returns there. Raises BenchError where the process ends before that."""
        if self._pool is None:
            self._pool = self._started()
        try:
            return self._pool.submit(work, *arguments).result()
        except BrokenProcessPool as error:
            self._pool = None
            raise BenchError(
                f"the process of {self.name} ended before it answered, most often because memory ran out: give the "
                "same command again, finished work is kept. (A script of your own must start its work under "
                "`if __name__ == '__main__':`.)"
            ) from error

    def _started(self) -> ProcessPoolExecutor:
        # A network may create folders in deepface's home, which is therefore not the user's.
        home = folders()[0] / "deepface"
        pool = ProcessPoolExecutor(1, get_context("spawn"), deepface_worker.start, (self.files, str(home)))
        weakref.finalize(self, pool.shutdown, wait=False, cancel_futures=True)
        return pool


def resized(images: Tensor, size: tuple[int, int]) -> ByteArray:
    """uint8 ``[B, 3, H, W]`` -> uint8 ``[B, 3, *size]``: bilinear, antialiased, aspect not kept, on the CPU."""
    from torch.nn.functional import interpolate

    wide = interpolate(images.cpu().float(), size, mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(wide.round().clamp(0, 255).byte().numpy())


# ---------------------------------------------------------------- what the harness uses


class DeepFaceExtractor:
    """A recogniser of deepface as the harness uses it: `DeepFaceExtractor("deepface:ArcFace")`.

    Faces are neither detected nor aligned: the benchmark's are cropped already. Raises BenchError for
    another name, Unavailable for a file or a package that is missing.
    """

    recognises = True

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of ``deepface:ArcFace`` or another recogniser; raises BenchError for an unknown name."""
        return _card(RECOGNISERS[_recogniser(name)])

    def __init__(self, name: str) -> None:
        self.card, self.network = self.card_of(name), _recogniser(name)
        network = RECOGNISERS[self.network]
        files = files_of(name, {self.network: network})
        self.size = network.size
        self.sha256 = sha256_of(*files.values())
        self.id = _id(self.network, self.sha256, self.size)
        self._process = Process(name, files)

    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        """The recogniser's embeddings, the same for any batch size up to rounding.

        images: uint8 ``[B, 3, H, W]`` of any size, the whole picture resized. Returns L2-normalised embeddings
        float32 ``[B, D]`` on the CPU, and no probabilities: none of these networks names people.
        """
        import torch

        from sf2f_bench.extractors.frozen import check_faces

        check_faces(images)
        found = [
            self._process.ask(deepface_worker.represent, self.network, resized(part, self.size))
            for part in images.split(CHUNK)
        ]
        return torch.nn.functional.normalize(torch.from_numpy(np.concatenate(found)), dim=1), None


def _recogniser(name: str) -> str:
    """``deepface:ArcFace -> ArcFace``. Raises BenchError for what is no recogniser of deepface."""
    family, _, network = name.partition(":")
    if family != "deepface" or network not in RECOGNISERS:
        raise BenchError(unknown("recogniser of deepface", network or name, list(RECOGNISERS)))
    return network


class DeepFaceAttributes:
    """Gender, age and ethnicity by deepface's networks: `DeepFaceAttributes("deepface:attributes")`.

    Ethnicity is one of the six words that its training data use: asian, indian, black, white, middle eastern,
    latino hispanic. Three VGG-Face networks: 1.6 GB of memory. Raises Unavailable unless all three files are here.
    """

    NAME = "deepface:attributes"

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of `NAME`; raises BenchError for another name."""
        if name != cls.NAME:
            raise BenchError(unknown("attribute judge of deepface", name, [cls.NAME]))
        return _card(*ATTRIBUTES.values())

    def __init__(self, name: str = NAME) -> None:
        self.card = self.card_of(name)
        files = files_of(name, ATTRIBUTES)
        self.size = ATTRIBUTES["Gender"].size
        hashes = [sha256_of(path) for path in files.values()]
        self.sha256 = hashlib.sha256("".join(hashes).encode()).hexdigest()  # of the three files' hashes
        self.id = _id("attributes", self.sha256, self.size)
        self._process = Process(name, files)

    def __call__(self, images: Tensor) -> dict[str, list[str] | FloatArray]:
        """uint8 ``[B, 3, H, W]`` -> "gender" ("f", "m") and "ethnicity" as words ``[B]``, "age" in years ``[B]``."""
        from sf2f_bench.extractors.frozen import check_faces

        check_faces(images)
        seen: list[dict[str, Any]] = [
            self._process.ask(deepface_worker.judge, resized(part, self.size)) for part in images.split(CHUNK)
        ]
        words = {key: [word for part in seen for word in part[key]] for key in ("gender", "ethnicity")}
        return {**words, "age": np.concatenate([part["age"] for part in seen])}


def _id(network: str, sha256: str, size: tuple[int, int]) -> str:
    height, width = size
    side = f"{height}" if height == width else f"{height}x{width}"
    return f"deepface-{version('deepface')}:{network}@{sha256[:8]}/bilinear-{side}"


def _card(*networks: DeepFaceNetwork) -> ExtractorCard:
    files = tuple(network.file for network in networks)
    return ExtractorCard(
        order=2, trained_on="not stated by deepface", licence=FILES[files[0]].licence, files=files
    )
