"""The contract of an audio front end, which a model brings or takes from the harness."""

from __future__ import annotations

import cloudpickle
import numpy as np
import torch

from sf2f_bench.testing.checks import (
    Rule,
    expect,
    expect_array,
    expect_fields,
    expect_finite,
    is_whole,
    is_word,
)
from sf2f_bench.testing.world import one_waveform
from sf2f_bench.types import AudioFrontend, MediaError

COUNT: Rule = (
    lambda value: is_whole(value) and value > 0,
    "to be a positive whole number",
    "see AudioFrontend",
)
SETTINGS: dict[str, Rule] = {
    "id": (is_word, "to say something", "put every setting into it"),
    "filters": COUNT,
    "segment_frames": COUNT,
    "frames_per_second": (
        lambda value: isinstance(value, int | float | np.number) and bool(value > 0),
        "to be a positive number",
        "see AudioFrontend",
    ),
    "crop_frames": (
        lambda crops: len(crops) == 2 and 0 < crops[0] <= crops[1],
        "to be (shortest, longest) in frames",
        "see AudioFrontend",
    ),
}


def check_settings(frontend: AudioFrontend) -> None:
    """Its id and its five numbers."""
    expect_fields(frontend, "frontend.", SETTINGS)


def check_features(frontend: AudioFrontend) -> np.ndarray:
    """Raw features of real speech, the same again; silence; the copy that a worker process gets."""
    waveform = one_waveform()
    features = frontend(waveform)
    remedy = "convert the result in __call__, one row a filter"
    expect_array(features, "features of a waveform as", "float32", [frontend.filters, "frames"], remedy)
    expect_finite(features, "features", "floor energies before the log")
    unchanged = np.array_equal(waveform, one_waveform())
    expect(unchanged, "the waveform to stay as it is", "a changed waveform", "copy before changing")
    again = np.array_equal(frontend(one_waveform()), features)
    expect(again, "the same features of the same waveform", "others", "use no randomness in the front end")
    _check_silence(frontend)
    copy = cloudpickle.loads(cloudpickle.dumps(frontend))
    same = copy.id == frontend.id and np.array_equal(copy(one_waveform()), features)
    remedy = "keep its settings in fields"
    expect(same, "a pickled copy (workers get one) to do the same", "another result", remedy)
    return features


def _check_silence(frontend: AudioFrontend) -> None:
    try:
        features = frontend(np.zeros(32_000, np.float32))
    except MediaError:
        return
    remedy = "raise sf2f_bench.MediaError where there is no speech"
    expect_finite(features, "features, or MediaError, for two seconds of silence", remedy)


def check_normalise(frontend: AudioFrontend, features: np.ndarray) -> None:
    """Value by value: training gives it ``[B, S, frames, filters]``, evaluation ``[B, S, filters, frames]``."""
    raw = torch.from_numpy(features)
    plain = frontend.normalise(raw)
    kind = type(plain).__name__
    expect(isinstance(plain, torch.Tensor), "normalise(tensor) to be a tensor", kind, "keep it one")
    expect_array(plain, "normalise(tensor) to be", "float32", raw.shape, "keep type and shape")
    array = frontend.normalise(features)
    right = isinstance(array, np.ndarray) and np.allclose(array, plain.numpy(), atol=1e-5)
    expect(right, "normalise to do the same to arrays", type(array).__name__, "use operators only")
    turned = frontend.normalise(raw.T.contiguous()).T
    batched = frontend.normalise(torch.stack([raw, raw + 1]))[0]
    remedy = "normalise with constants, or do it in __call__ as WenFilterbank does"
    for other, what in ((turned, "transposed features"), (batched, "features in a batch")):
        right = other.shape == plain.shape and torch.allclose(other, plain, atol=1e-5)
        expected = f"normalise to treat each value on its own, so that {what} come out the same"
        expect(right, expected, "other values", remedy)
