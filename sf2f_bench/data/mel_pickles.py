"""The feature files of the official SF2F code, read without running what a pickle could carry."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.types import MediaError

if TYPE_CHECKING:
    from sf2f_bench.types import AudioFrontend, FloatArray

FEATURES = "LogMel_Features"


@dataclass(frozen=True)
class MelFile:
    """One utterance kept as features: the pickle of a dict with `LogMel_Features` ``[40, frames]``."""

    key: str
    path: Path

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw features float32 ``[40, frames]``; raises MediaError for any front end but SF2F's."""
        if frontend.id != LogFilterbank().id:
            raise MediaError(
                f"{self.path}: holds features of SF2F's front end, not of {frontend.id}; "
                "give the recordings (raw_wav) instead."
            )
        return read_mel_pickle(self.path)


def read_mel_pickle(path: Path) -> FloatArray:
    """`LogMel_Features` of an official feature file, float32 ``[40, frames]``.

    Raises MediaError for a file that is damaged, holds another thing, or names any Python object
    other than a NumPy array: such a pickle could run code and is not read.
    """
    try:
        with path.open("rb") as stream:
            content = ArrayUnpickler(stream).load()
    except MediaError as error:
        raise MediaError(f"{path}: {error}") from error
    # Damaged bytes make the unpickler and NumPy raise nearly anything; none of it is our fault.
    except Exception as error:
        raise MediaError(f"{path}: cannot be read as a feature file ({error}); fetch it again.") from error
    features = content.get(FEATURES) if isinstance(content, dict) else None
    if not isinstance(features, np.ndarray) or features.dtype.kind != "f":
        raise MediaError(f"{path}: expected a dict with the float array {FEATURES!r}; fetch it again.")
    filters = LogFilterbank().filters
    if features.ndim != 2 or features.shape[0] != filters or not features.shape[1]:
        raise MediaError(f"{path}: expected features [{filters}, frames], found {list(features.shape)}.")
    if not np.isfinite(features).all():
        raise MediaError(f"{path}: holds features that are not numbers (NaN or infinite); leave it out.")
    return features.astype(np.float32)


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler whose only objects are NumPy arrays; dict, str, int and float need no object."""

    def find_class(self, module: str, name: str) -> Any:
        """The few callables that rebuild an array; raises MediaError for everything else."""
        builders: dict[str, Callable[..., Any]] = {
            "ndarray": np.ndarray,
            "dtype": np.dtype,
            "_reconstruct": np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            "_frombuffer": np._core.numeric._frombuffer,  # type: ignore[attr-defined]
        }
        if module.partition(".")[0] == "numpy" and name in builders:
            return builders[name]
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise MediaError(
            f"names {module}.{name}, which a feature file does not need and which could run code; not read."
        )


def _latin1(text: str, encoding: str) -> bytes:
    """How protocol 2 spells bytes; any other encoding is refused."""
    if encoding != "latin1":
        raise MediaError(f"asks for the encoding {encoding!r}, which a feature file does not need; not read.")
    return text.encode("latin1")
