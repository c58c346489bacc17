"""The code that runs inside deepface's own process, and only there: building its networks and applying them.

deepface chooses a backend from the environment when it is imported, and prints. Missing files it downloads through
one function, which is replaced here by one that returns only files that are on this machine.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from functools import cache
from multiprocessing import connection, parent_process
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.types import BenchError

if TYPE_CHECKING:
    from sf2f_bench.types import ByteArray, FloatArray

GENDERS = {"Woman": "f", "Man": "m"}  # deepface's words, and those of `Identity`
_files: dict[str, str] = {}  # name, as deepface asks for it -> path


def start(files: Mapping[str, str], home: str) -> None:
    """Prepare the process: its environment, the files it may read, and a home for what deepface may write.

    Nothing here may raise: a pool whose initializer fails prints the error and does not report it to its user.
    """
    os.environ.update(DEEPFACE_BACKEND_ENGINE="pytorch", DEEPFACE_LOG_LEVEL="100", DEEPFACE_HOME=home)
    _files.update(files)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its owner decides when this process ends
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what deepface and its networks print
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot end its pool: without this thread the process would wait for ever."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def represent(name: str, pixels: ByteArray) -> FloatArray:
    """A recogniser's embeddings of faces in its own size: uint8 ``[B, 3, h, w]`` -> float32 ``[B, D]``.

    Raises BenchError where the network cannot be built from the files given, or wants another size.
    """
    network = _network("facial_recognition", name)
    width, height = network.input_shape  # in deepface's order: only DeepID's sides differ
    if pixels.shape[2:] != (height, width):
        raise BenchError(
            f"deepface's {name} takes {height}x{width} pixels, it was given {list(pixels.shape)}"
        )
    return np.atleast_2d(np.asarray(network.forward(_as_deepface_feeds(pixels)), np.float32))


def judge(pixels: ByteArray) -> dict[str, list[str] | FloatArray]:
    """Gender ("f", "m"), age in years and ethnicity (six words) of uint8 ``[B, 3, 224, 224]``."""
    from deepface.models.demography.DemographyUtils import GENDER_LABELS, RACE_LABELS

    faces = _as_deepface_feeds(pixels)
    genders = np.atleast_2d(_network("facial_attribute", "Gender").predict(faces)).argmax(axis=1)
    races = np.atleast_2d(_network("facial_attribute", "Race").predict(faces)).argmax(axis=1)
    return {
        "gender": [GENDERS[GENDER_LABELS[place]] for place in genders],
        "age": np.atleast_1d(np.asarray(_network("facial_attribute", "Age").predict(faces), np.float64)),
        "ethnicity": [RACE_LABELS[place] for place in races],
    }


def _as_deepface_feeds(pixels: ByteArray) -> FloatArray:
    """RGB bytes ``[B, 3, h, w]`` -> blue, green, red in 0..1, float32 ``[B, h, w, 3]``.

    Nothing is subtracted: deepface's own "base" normalisation, which is its functions' default and the basis of its
    published accuracies and thresholds.
    """
    return np.ascontiguousarray(pixels[:, ::-1].transpose(0, 2, 3, 1), np.float32) / np.float32(255)


@cache
def _network(task: str, name: str) -> Any:
    import torch
    from deepface.commons import weight_utils
    from deepface.modules import modeling

    weight_utils.download_weights_if_necessary = _file_here
    torch.backends.cudnn.allow_tf32 = False  # where deepface finds a GPU: the same numbers as without
    try:
        return modeling.build_model(task, name)
    except Exception as error:  # damaged bytes make the readers of weights raise nearly anything
        raise BenchError(
            f"deepface cannot build {name} from {', '.join(_files.values())}: {error}. Fetch the file again, "
            "or see that all packages of this network are installed."
        ) from None


def _file_here(file_name: str, source_url: Any, compress_type: str | None = None) -> str:
    """In place of deepface's download: the path of a file that was given when the process started."""
    name = os.path.basename(file_name)
    if name not in _files:
        raise BenchError(f"it asks for {file_name} of {source_url}, which was not given to it")
    return _files[name]
