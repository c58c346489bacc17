"""The feature files of the official SF2F code, read without running what a pickle could carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.audio.level import check_level
from sf2f_bench.data.array_pickles import PickledArray, load_arrays
from sf2f_bench.files import as_text
from sf2f_bench.types import MediaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sf2f_bench.types import AudioFrontend, FloatArray

FEATURES = "LogMel_Features"
MOST_BYTES = 64 * 2**20  # half an hour of speech, at 32 kB a second; an utterance of VoxCeleb has seconds


@dataclass(frozen=True)
class MelFile:
    """One utterance kept as features: the pickle of a dict with `LogMel_Features` ``[40, frames]``."""

    key: str
    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", as_text(self.key))

    def log_filterbank(self, frontend: AudioFrontend) -> FloatArray:
        """Raw features float32 ``[40, frames]``.

        Raises MediaError for any front end but SF2F's, and for features of a level that no speech has.
        """
        if frontend.id != LogFilterbank().id:
            raise MediaError(
                f"{self.path}: holds features of SF2F's front end, not of {frontend.id}; "
                "give the recordings (raw_wav) instead."
            )
        features = read_mel_pickle(self.path)
        try:
            check_level(features)
        except MediaError as error:
            raise MediaError(f"{self.path}: {error}") from error
        return features


def read_mel_pickle(path: Path) -> FloatArray:
    """`LogMel_Features` of an official feature file, float32 ``[40, frames]``.

    Raises MediaError for a file that is damaged, holds another thing, or names any Python object
    other than a NumPy array: such a pickle could run code and is not read.
    """
    try:
        features = _features_in(path)
    except MediaError:
        raise
    # Damaged bytes can raise nearly anything; none of it is our fault.
    except Exception as error:
        raise MediaError(f"{path}: cannot be read as a feature file ({error}); fetch it again.") from error
    filters = LogFilterbank().filters
    if features.ndim != 2 or features.shape[0] != filters or not features.shape[1]:
        raise MediaError(f"{path}: expected features [{filters}, frames], found {list(features.shape)}.")
    with np.errstate(over="ignore", invalid="ignore"):
        found = features.astype(np.float32)
    if not np.isfinite(found).all():
        raise MediaError(
            f"{path}: holds features that are not numbers (NaN or infinite) or too large for float32; leave it out."
        )
    return found


def _features_in(path: Path) -> NDArray[Any]:
    """The array of floats in the file; raises MediaError where there is none."""
    if not path.is_file():
        raise MediaError(f"{path}: expected a feature file, found no such file; check the data set's folder.")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise MediaError(
            f"{path}: has {size:,} bytes, a feature file at most {MOST_BYTES:,} (half an hour); leave it out."
        )
    with path.open("rb") as stream:
        content = load_arrays(stream.read(size))
    features = content.get(FEATURES) if isinstance(content, dict) else None
    if not isinstance(features, PickledArray) or features.kind != "f":
        raise MediaError(f"{path}: expected a dict with the float array {FEATURES!r}; fetch it again.")
    return features.build()
