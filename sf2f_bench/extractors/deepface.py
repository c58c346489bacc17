"""The recognisers and the attribute networks of deepface, each in a process of its own.

Serengil and Ozpinar, "LightFace: A Hybrid Deep Face Recognition Framework" (2020); github.com/serengil/deepface.
It wraps networks of many authors, which the field's tables name: ArcFace, Facenet512, VGG-Face, Dlib. A process of
its own keeps its settings, its second copy of CUDA and its crashes away from the one that measures.
"""

from __future__ import annotations

import ast
import hashlib
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sf2f_bench.extractors import deepface_worker
from sf2f_bench.extractors.weights import WeightFile, check_file, folders, places, remedy, sha256_of
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, ExtractorCard, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

    from sf2f_bench.types import ByteArray, FloatArray

Result = TypeVar("Result")
CHUNK = 16  # faces that go to the process at once


@dataclass(frozen=True)
class Network:
    """One of deepface's networks, as far as it must be known before it is built."""

    module: str  # below deepface.models
    size: tuple[int, int]  # height and width of the picture it looks at, in pixels
    licence: str  # where its terms are, as deepface's README has it
    url_name: str = "WEIGHTS_URL"  # of the module's constant
    package: str = ""  # that it needs beside deepface's own
    install: str = ""  # what pip is asked for to have it
    bytes: int | None = None
    sha256: str | None = None


RECOGNITION, DEMOGRAPHY = "facial_recognition.pytorch", "demography.pytorch"
VGG_TERMS = "see https://www.robots.ox.ac.uk/~vgg/software/vgg_face/"
FACENET_TERMS = "see https://github.com/davidsandberg/facenet/blob/master/LICENSE.md"
RECOGNISERS = {
    "VGG-Face": Network(f"{RECOGNITION}.VGGFace", (224, 224), VGG_TERMS),
    "Facenet": Network(f"{RECOGNITION}.Facenet", (160, 160), FACENET_TERMS, "FACENET128_WEIGHTS"),
    "Facenet512": Network(f"{RECOGNITION}.Facenet", (160, 160), FACENET_TERMS, "FACENET512_WEIGHTS"),
    "OpenFace": Network(
        f"{RECOGNITION}.OpenFace",
        (96, 96),
        "see https://github.com/iwantooxxoox/Keras-OpenFace/blob/master/LICENSE",
    ),
    "DeepFace": Network(f"{RECOGNITION}.FbDeepFace", (152, 152), "see https://github.com/swghosh/DeepFace"),
    "DeepID": Network(
        f"{RECOGNITION}.DeepID", (55, 47), "see https://github.com/Ruoyiran/DeepID/blob/master/LICENSE.md"
    ),
    "ArcFace": Network(
        f"{RECOGNITION}.ArcFace",
        (112, 112),
        "see https://github.com/leondgarse/Keras_insightface/blob/master/LICENSE",
    ),
    "GhostFaceNet": Network(
        f"{RECOGNITION}.GhostFaceNet",
        (112, 112),
        "see https://github.com/HamadYA/GhostFaceNets/blob/main/LICENSE",
    ),
    "SFace": Network(
        "facial_recognition.onnx.SFace",
        (112, 112),
        "see https://github.com/opencv/opencv_zoo/blob/master/models/face_recognition_sface/LICENSE",
    ),
    "Dlib": Network(
        "facial_recognition.dlib.Dlib",
        (150, 150),
        "see https://github.com/davisking/dlib-models",
        "WEIGHT_URL",
        package="dlib",
        install="sf2f-bench[dlib]",
        # Several projects state the MD5 of just this file, 2316b25ae80acf4ad9b620b00071c423.
        bytes=22_466_066,
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    ),
    "Buffalo_L": Network(
        "facial_recognition.onnx.Buffalo_L",
        (112, 112),
        "see https://github.com/deepinsight/insightface/blob/master/README.md",
        package="insightface",
        install="insightface",
    ),
}
ATTRIBUTES = {
    "Gender": Network(f"{DEMOGRAPHY}.Gender", (224, 224), VGG_TERMS),
    "Age": Network(f"{DEMOGRAPHY}.Age", (224, 224), VGG_TERMS),
    "Race": Network(f"{DEMOGRAPHY}.Race", (224, 224), VGG_TERMS),
}
NETWORKS = RECOGNISERS | ATTRIBUTES
# The one whose file and address are no constants of its module, and which lies in a folder of its own.
BUFFALO = ("webface_r50.onnx", "https://drive.google.com/file/d/1N0GL-8ehw_bz2eZQWz2b0A5XBdXdxZhg/view")


# ---------------------------------------------------------------- files

WEIGHT_FILES: tuple[WeightFile, ...]  # of every network here; read from deepface when it is asked for


def __getattr__(name: str) -> tuple[WeightFile, ...]:
    if name != "WEIGHT_FILES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return tuple(weight_file(network) for network in NETWORKS)


@cache
def weight_file(name: str) -> WeightFile:
    """The file of a network; its name and address are deepface's own constants."""
    network = NETWORKS[name]
    if name == "Buffalo_L":
        file_name, url = BUFFALO
    else:
        given = _constants(f"deepface.models.{network.module}")[network.url_name]
        url = given if isinstance(given, str) else given[0]
        file_name = url.rpartition("/")[2].removesuffix(".bz2")
    kind = "attribute network" if name in ATTRIBUTES else "recogniser"
    note = f" (pip install '{network.install}' brings it)" if name == "Dlib" else ""
    return WeightFile(
        file_name,
        f"deepface's {kind} {name}{note}",
        url,
        network.licence,
        network.bytes,
        network.sha256,
        used_by=("deepface:attributes" if name in ATTRIBUTES else f"deepface:{name}",),
        home=partial(_home, name),
    )


def _constants(module: str) -> dict[str, Any]:
    """A module's literal constants, read and not imported: importing deepface's networks takes seconds."""
    spec = find_spec(module)
    assert spec is not None
    body = ast.parse(Path(str(spec.origin)).read_text(encoding="utf-8")).body
    assigned = [node for node in body if isinstance(node, ast.Assign)]
    return {
        target.id: ast.literal_eval(node.value)
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant | ast.List)
    }


def _home(name: str) -> Path:
    """Where another package keeps the file: the one that brings Dlib's where it is installed, or deepface."""
    if name == "Dlib" and (spec := find_spec("face_recognition_models")):
        return Path(str(spec.origin)).parent / "models"  # not imported: that package needs an old setuptools
    own = Path(os.environ.get("DEEPFACE_HOME") or Path.home()) / ".deepface" / "weights"
    return own / "buffalo_l" if name == "Buffalo_L" else own


def files_of(asker: str, names: Sequence[str]) -> dict[str, Path]:
    """The checked files of networks, by the files' names; nothing is ever downloaded.

    Raises Unavailable where a file or a package is missing, and BenchError for a file that is another one.
    """
    for network in (NETWORKS[name] for name in names):
        if network.package and find_spec(network.package) is None:
            raise Unavailable(
                f"{asker} needs the package {network.package}, which is not installed: "
                f"pip install '{network.install}'."
            )
    files = [weight_file(name) for name in names]
    found = {file.name: _here(file) for file in files}
    if missing := [file for file in files if found[file.name] is None]:
        names = ", ".join(file.name for file in missing)
        raise Unavailable(
            _remedy(asker, missing), f"not on this machine: {names} (`sf2f-bench weights list`)"
        )
    return {name: path for name, path in found.items() if path is not None}


def _here(file: WeightFile) -> Path | None:
    """Where the published file lies; no conversion of it will do, for it is deepface that reads it."""
    path = next((folder / file.name for folder in places(file) if (folder / file.name).is_file()), None)
    if path:
        check_file(path, file)
    return path


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
    """deepface with some of its networks, in a process that starts at the first question and ends with its owner.

    The process is a fresh interpreter: it inherits neither CUDA's state nor threads.
    """

    def __init__(self, name: str, files: Mapping[str, Path]) -> None:
        self.name = name
        self.files = {asked: str(path) for asked, path in files.items()}
        self._pool: ProcessPoolExecutor | None = None

    def ask(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work` of the worker module returns there. Raises BenchError where the process ends meanwhile."""
        if self._pool is None:
            self._pool = self._started()
        try:
            return self._pool.submit(work, *arguments).result()
        except BrokenProcessPool as error:
            self._pool = None
            raise BenchError(
                f"the process of {self.name} ended before it answered, most often for want of memory: give the "
                "same command again, what is finished is kept. (A script of your own must start its work under "
                "`if __name__ == '__main__':`.)"
            ) from error

    def _started(self) -> ProcessPoolExecutor:
        # A network may make folders in deepface's home: not in the user's.
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

    No face is searched for or turned upright: the benchmark's faces are cropped already. Raises BenchError for
    another name, Unavailable for a file or a package that is missing.
    """

    recognises = True

    @classmethod
    def card_of(cls, name: str) -> ExtractorCard:
        """The card of ``deepface:ArcFace`` or another recogniser; raises BenchError for an unknown name."""
        file = weight_file(_recogniser(name))
        return ExtractorCard(
            order=2, trained_on="not stated by deepface", licence=file.licence, files=(file.name,)
        )

    def __init__(self, name: str) -> None:
        self.card, network = self.card_of(name), _recogniser(name)
        files = files_of(name, [network])
        self.network, self.size = network, RECOGNISERS[network].size
        self.sha256 = sha256_of(*files.values())
        self.id = _id(network, self.sha256, self.size)
        self._process = Process(name, files)

    def __call__(self, images: Tensor) -> tuple[Tensor, None]:
        """What the recogniser sees, the same for any batch size up to rounding.

        images: uint8 ``[B, 3, H, W]`` of any size, the whole picture resized. Returns L2-normalised embeddings
        float32 ``[B, D]`` on the CPU, and no probabilities: none of these networks names people.
        """
        import torch

        from sf2f_bench.extractors.frozen import check_faces

        check_faces(images)
        seen = [
            self._process.ask(deepface_worker.represent, self.network, resized(part, self.size))
            for part in images.split(CHUNK)
        ]
        return torch.nn.functional.normalize(torch.from_numpy(np.concatenate(seen)), dim=1), None


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
        files = tuple(weight_file(network).name for network in ATTRIBUTES)
        return ExtractorCard(order=2, trained_on="not stated by deepface", licence=VGG_TERMS, files=files)

    def __init__(self, name: str = NAME) -> None:
        self.card = self.card_of(name)
        files = files_of(name, list(ATTRIBUTES))
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
