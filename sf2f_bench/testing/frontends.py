"""The contract of an audio front end, which a model brings or takes from the harness."""

from __future__ import annotations

import cloudpickle
import numpy as np
import torch

from sf2f_bench.testing.checks import expect, is_word
from sf2f_bench.testing.world import one_waveform
from sf2f_bench.types import AudioFrontend, MediaError


def check_settings(frontend: AudioFrontend) -> None:
    """Its id and its five numbers."""
    expect(is_word(frontend.id), "a front end with an id", repr(frontend.id), "put every setting into it")
    for name in ("filters", "segment_frames", "frames_per_second"):
        value = getattr(frontend, name)
        kinds = (int, np.integer) if name != "frames_per_second" else (int, float, np.floating)
        right = isinstance(value, kinds) and bool(value > 0)
        expect(right, f"frontend.{name} to be a positive number", repr(value), "see AudioFrontend")
    crops = tuple(frontend.crop_frames)
    right = len(crops) == 2 and 0 < crops[0] <= crops[1]
    expect(right, "frontend.crop_frames to be (shortest, longest) in frames", crops, "see AudioFrontend")


def check_features(frontend: AudioFrontend) -> np.ndarray:
    """Raw features of real speech, the same again; silence; the copy that a worker process gets."""
    waveform = one_waveform()
    features = frontend(waveform)
    right = isinstance(features, np.ndarray) and features.dtype == np.float32 and features.ndim == 2
    came = f"{getattr(features, 'dtype', type(features).__name__)} {list(np.shape(features))}"
    expect(right, "float32 [filters, frames] of a waveform", came, "convert the result in __call__")
    expect(
        len(features) == frontend.filters,
        f"{frontend.filters} rows (frontend.filters)",
        came,
        "transpose it?",
    )
    expect(
        bool(np.isfinite(features).all()),
        "finite features",
        "NaN or infinity",
        "floor energies before the log",
    )
    unchanged = np.array_equal(waveform, one_waveform())
    expect(
        unchanged, "a front end that leaves its input as it is", "a changed waveform", "copy before changing"
    )
    again = np.array_equal(frontend(one_waveform()), features)
    expect(again, "the same features of the same waveform", "others", "leave chance out of the front end")
    _check_silence(frontend)
    copy = cloudpickle.loads(cloudpickle.dumps(frontend))
    same = copy.id == frontend.id and np.array_equal(copy(one_waveform()), features)
    expect(
        same,
        "a pickled copy to do the same (workers get one)",
        "another result",
        "keep its settings in fields",
    )
    return features


def _check_silence(frontend: AudioFrontend) -> None:
    try:
        features = frontend(np.zeros(32_000, np.float32))
    except MediaError:
        return
    expect(
        bool(np.isfinite(features).all()),
        "MediaError or finite features for two seconds of silence",
        "NaN or infinity",
        "raise sf2f_bench.MediaError where there is no speech",
    )


def check_normalise(frontend: AudioFrontend, features: np.ndarray) -> None:
    """Value by value: training gives it ``[B, S, frames, filters]``, evaluation ``[B, S, filters, frames]``."""
    raw = torch.from_numpy(features)
    plain = frontend.normalise(raw)
    right = isinstance(plain, torch.Tensor) and plain.shape == raw.shape and plain.dtype == torch.float32
    came = f"{getattr(plain, 'dtype', type(plain).__name__)} {list(np.shape(plain))}"
    expect(right, f"normalise(tensor) to be a float32 tensor {list(raw.shape)}", came, "keep shape and type")
    array = frontend.normalise(features)
    right = isinstance(array, np.ndarray) and np.allclose(array, plain.numpy(), atol=1e-5)
    expect(right, "normalise to do the same to arrays", type(array).__name__, "use operators alone")
    turned = frontend.normalise(raw.T.contiguous()).T
    batched = frontend.normalise(torch.stack([raw, raw + 1]))[0]
    for other, what in ((turned, "transposed features"), (batched, "features in a batch")):
        right = other.shape == plain.shape and torch.allclose(other, plain, atol=1e-5)
        expect(
            right,
            f"normalise to treat each value alone, so {what} come out alike",
            "other values",
            "normalise with constants, or do it in __call__ as WenFilterbank does",
        )
