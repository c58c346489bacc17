"""sf2f-bench: measuring speech-to-face generation honestly.

This module is the public API: what a plug-in imports, nothing else. Names are loaded when first
used, so that importing the package stays cheap.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "sf2f_bench.types": [
        "SAMPLE_RATE",
        "SPLITS",
        "Alarm",
        "Anchor",
        "Answer",
        "AudioFrontend",
        "BenchError",
        "Dataset",
        "DatasetCard",
        "DatasetSource",
        "ExtractorCard",
        "FeatureExtractor",
        "Features",
        "Identity",
        "KnownLaw",
        "Margin",
        "MediaError",
        "Metric",
        "MetricCard",
        "ModelCard",
        "ModelSettings",
        "Photo",
        "Score",
        "SpeechToFace",
        "Unavailable",
        "Utterance",
    ],
    "sf2f_bench.audio": ["LogFilterbank", "RawWaveform", "WenFilterbank"],
    "sf2f_bench.audio.decode": ["AUDIO_SUFFIXES"],
    "sf2f_bench.faces": ["IMAGENET_MEAN", "IMAGENET_STD", "from_imagenet", "to_imagenet", "to_uint8"],
    "sf2f_bench.faces.images": ["PHOTO_SUFFIXES"],
    "sf2f_bench.data.media": ["AudioFile", "PhotoFile", "files_in", "hash_files"],
    "sf2f_bench.data.splits": ["limited", "people_of"],
    "sf2f_bench.data.training": ["Batch", "TrainingData"],
    "sf2f_bench.extractors.frozen": ["check_faces"],
    "sf2f_bench.statistics.intervals": [
        "half_sample_interval",
        "half_samples",
        "jackknife_interval",
        "mean_interval",
        "median_interval",
        "pseudo_values",
    ],
    "sf2f_bench.evaluation.test_people": ["Evaluation"],
    "sf2f_bench.training": ["Machine", "TrainContext"],
    "sf2f_bench.training.perceptual": ["FeatureNetwork", "perceptual_loss"],
    "sf2f_bench.training.recipes": ["learning_rate", "scaled", "scheduled"],
    "sf2f_bench.training.renaming": ["filled", "renamed_tensors"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
