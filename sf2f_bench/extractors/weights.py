"""Published weights: where their files lie, what they must be, and how they are read without running code.

The package holds none of them: each has a licence and a home of its own. `sf2f_bench.extractors.fetch` brings
them here. Importing this module imports no torch, so that commands start quickly.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.data.array_pickles import PickledArray, load_arrays
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError, NotHere

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER_VARIABLE = "SF2F_BENCH_WEIGHTS"


def torch_hub() -> Path:
    """Where torch.hub keeps repositories and, in `checkpoints`, files."""
    import torch

    return Path(torch.hub.get_dir())


@dataclass(frozen=True)
class WeightFile:
    """One published file of weights, as its publisher has it.

    home: the folder in which another package keeps this file; it is looked at after our own folders.
    """

    name: str
    description: str
    url: str
    licence: str
    size: int | None = None  # bytes
    sha256: str | None = None  # None: nobody has published it; the hash found goes into the extractor's id
    used_by: tuple[str, ...] = ()  # extractors and attribute judges
    home: Callable[[], Path] | None = None

    @property
    def wants_browser(self) -> bool:
        """Is the address a page that lets no program pass?"""
        return "drive.google.com" in self.url

    @property
    def packed(self) -> bool:
        """Does the publisher pack the file with bzip2?"""
        return self.url.endswith(".bz2") and not self.name.endswith(".bz2")

    @property
    def converted(self) -> str:
        """The file of the same tensors as safetensors, which may lie in the folder instead."""
        return f"{Path(self.name).stem}.safetensors"


# Sizes and checksums are those that several public projects state independently for the file of this URL.
FILES = {
    file.name: file
    for file in (
        WeightFile(
            name="20180402-114759-vggface2.pt",
            description="FaceNet (Inception-ResNet-v1) trained on VGGFace2, 8631 classes",
            url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
            "20180402-114759-vggface2.pt",
            licence="MIT (facenet-pytorch, converted from davidsandberg/facenet, MIT)",
            size=111_898_327,
            sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
            used_by=("facenet-vggface2",),
        ),
        WeightFile(
            name="resnet50_ft_weight.pkl",
            description="ResNet-50 trained on MS-Celeb-1M, then on VGGFace2, 8631 classes",
            url="https://drive.google.com/file/d/1A94PAAnwk6L7hXdBXLFosB_s0SzEhAFU/view",
            licence="none stated by cydonia999/VGGFace2-pytorch; converted from the Caffe model of VGGFace2's "
            "authors, whose terms hold",
            size=165_000_856,
            sha256="9a954e4046df21aea62b46c032de4b56f7230dfc3705b6b1bda348983e0eb26e",
            used_by=("vggface2-resnet50", "vggface2-resnet50-rgb"),
        ),
        WeightFile(
            name="pt_inception-2015-12-05-6726825d.pth",
            description="TensorFlow's Inception v3 of 2015, 1008 classes of ImageNet: the network of FID, KID and IS",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            licence="Apache-2.0 (pytorch-fid, converted from TensorFlow's models, Apache-2.0)",
            size=95_628_359,
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            used_by=("inception-2015",),
            home=lambda: torch_hub() / "checkpoints",  # where pytorch-fid keeps it
        ),
        WeightFile(
            name="dinov2_vits14_pretrain.pth",
            description="DINOv2 ViT-S/14 trained without labels on LVD-142M",
            url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
            licence="Apache-2.0 (facebookresearch/dinov2)",
            size=88_283_115,
            sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            used_by=("dinov2-vits14",),
            home=lambda: torch_hub() / "checkpoints",
        ),
    )
}


def folders() -> list[Path]:
    """Where weights are looked for, in this order; new ones go to the first."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    common = Path.home() / ".cache" / "sf2f-bench" / "weights"
    return [Path(chosen).expanduser(), common] if chosen else [common]


def all_files() -> dict[str, WeightFile]:
    """`FILES` and those of the networks that deepface brings, by name."""
    from sf2f_bench.extractors.deepface import WEIGHT_FILES  # here: it looks up names of this module

    return FILES | {file.name: file for file in WEIGHT_FILES}


def places(file: WeightFile) -> list[Path]:
    """The folders in which a file may lie, in the order in which they are looked at."""
    return list(dict.fromkeys([*folders(), *([file.home()] if file.home else [])]))


def find(file: WeightFile) -> Path | None:
    """The first file of that name, or its conversion to safetensors, unchecked; None where neither is here."""
    candidates = (folder / name for folder in places(file) for name in (file.name, file.converted))
    return next((path for path in candidates if path.is_file()), None)


def weights_file(name: str) -> Path:
    """The checked file of published weights, or its conversion to safetensors where that is there instead.

    Raises BenchError for a name that is not in `FILES` and for a file that is cut short or another one, NotHere
    for a file that is missing. A conversion has no published checksum: it is taken as it is, and its own hash goes
    into the id.
    """
    if name not in FILES:
        raise BenchError(unknown("file of weights", name, list(FILES)))
    file = FILES[name]
    path = find(file)
    if path is None:
        raise NotHere(
            f"{file.description}: the file {name} is not there. {remedy(file)} "
            f"Or set {FOLDER_VARIABLE} to the folder that holds it; "
            "`sf2f-bench weights list` shows all files and their licences.",
            f"the file {name} is not on this machine (`sf2f-bench weights list`)",
        )
    if path.name == name:
        check_file(path, file)
    return path


def remedy(file: WeightFile) -> str:
    """How the file gets here, in one or two sentences."""
    command = "" if file.wants_browser else f"`sf2f-bench weights fetch {file.name}` fetches it. "
    return command + by_hand(file)


def by_hand(file: WeightFile) -> str:
    """Which file goes into which folder, where no program may fetch it."""
    packed = ", unpack it" if file.packed else ""
    return f"By hand: get {file.name} from {file.url}{packed} and put it into {folders()[0]}."


def check_file(path: Path, file: WeightFile) -> None:
    """Raise BenchError unless the file has the published size and checksum, as far as these are known."""
    if wrong := difference(path, file):
        raise BenchError(f"{path} {wrong}; fetch it again from {file.url}.")


def difference(path: Path, file: WeightFile) -> str | None:
    """What is wrong with a file that should be the published one; None where nothing is."""
    found = path.stat().st_size
    if file.size is not None and found != file.size:
        state = "is cut short" if found < file.size else "is another file"
        return f"{state}: {found} bytes, expected {file.size}"
    digest = sha256_of(path)
    if file.sha256 is not None and digest != file.sha256:
        return f"is another file: sha256 {digest}, expected {file.sha256}"
    return None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, read once as long as the file stays as it is."""
    state = path.stat()
    return _sha256(path, state.st_size, state.st_mtime_ns)


@cache
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---------------------------------------------------------------- reading


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .pt, .pth, .pkl or .safetensors file by name, on the CPU; no code of the file is run.

    Raises BenchError for another kind of file, a damaged one, and one that holds anything but arrays by name.
    """
    readers: dict[str, Callable[[Path], Any]] = {
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".pkl": _read_arrays,
        ".safetensors": _read_safetensors,
    }
    if path.suffix not in readers:
        raise BenchError(
            f"{path}: expected weights as {', '.join(readers)}, found {path.suffix or 'no suffix'}."
        )
    try:
        content = readers[path.suffix](path)
    # Damaged bytes make the readers raise nearly anything; none of it is our fault.
    except Exception as error:
        raise BenchError(f"{path}: cannot be read as weights ({error}); fetch it again.") from error
    from torch import Tensor

    good = isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )
    if not good:
        raise BenchError(f"{path}: expected tensors by name, found other things; fetch it again.")
    return dict(content)


def _read_torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to run what the file carries
        raise ValueError("it holds more than tensors, or is damaged") from error


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _read_arrays(path: Path) -> Any:
    """A pickled dict of NumPy arrays; byte strings of Python 2 are read as Latin-1."""
    import torch

    content = path.read_bytes()
    found = load_arrays(content)
    tensors, left = {}, len(content)
    for name, value in found.items():
        if not isinstance(value, PickledArray):
            raise ValueError("it holds more than arrays")
        array = value.build()
        left -= array.nbytes
        if left < 0:  # one array under many names takes memory under each
            raise ValueError("its arrays hold more bytes than it has")
        # A copy in this machine's byte order; what torch knows no tensor for is refused by it.
        tensors[name] = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
    return tensors


def load_checked(network: nn.Module, tensors: dict[str, Tensor], source: Path) -> None:
    """Fill a network; every name and shape must be the network's own.

    Counters of batch normalisation (`num_batches_tracked`) may be absent: evaluation does not read them, and
    files older than torch 0.4.1 have none. Raises BenchError naming the entries that do not fit.
    """
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith(".num_batches_tracked")]
    misfits = {
        "are missing": missing,
        "are not known": [name for name in tensors if name not in wanted],
        "have another shape": [
            f"{name} {list(tensor.shape)} instead of {list(wanted[name].shape)}"
            for name, tensor in tensors.items()
            if name in wanted and tensor.shape != wanted[name].shape
        ],
    }
    found = [
        f"{len(names)} entries {how} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for how, names in misfits.items()
        if names
    ]
    if found:
        raise BenchError(
            f"{source}: not the weights of {type(network).__name__}: {'; '.join(found)}. Fetch the file again."
        )
    network.load_state_dict(tensors, strict=False)
