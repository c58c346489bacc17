"""From a name on the command line to a system or an anchor."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from sf2f_bench.files import load_tensors
from sf2f_bench.registry import MODELS
from sf2f_bench.types import Anchor, BenchError, ModelSettings, SpeechToFace


def build(name: str, settings: ModelSettings) -> Anchor | SpeechToFace:
    """A system or an anchor by its registered name, or from a file: ``path/to/mine.py:Mine``.

    ``NAME@FILE`` is the system with the weights of FILE (of `sf2f-bench weights import`, or a trained model
    of the cache) instead of a training. Raises BenchError for a name, file or class that is not there.
    """
    name, _, weights = name.partition("@")
    target = _load_from_file(name) if ".py:" in name else MODELS.get(name)
    if getattr(getattr(target, "card", None), "kind", None) == "anchor":
        return target()
    return _with_weights(target, settings, Path(weights)) if weights else target(settings)


def _load_from_file(name: str) -> Any:
    file, _, attribute = name.rpartition(":")
    if not Path(file).is_file():
        raise BenchError(f"--models {name}: there is no file {file}; expected path/to/file.py:ClassName")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise BenchError(f"--models {name}: {file} has no class {attribute}")
    return getattr(module, attribute)


def _with_weights(target: Any, settings: ModelSettings, file: Path) -> SpeechToFace:
    if not file.is_file():
        raise BenchError(
            f"--models ...@{file}: there is no such file; `sf2f-bench weights import` writes one"
        )
    _, facts = load_tensors(file)
    system = target(replace(settings, width=facts.get("width") or settings.width))
    if facts.get("model") != system.card.name:
        raise BenchError(
            f"{file} holds weights of {facts.get('model')}, not of {system.card.name}: name the system it was made for"
        )
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    system.weights = file
    system.recipe = {**system.recipe, "weights_sha256": sha256}
    system.card = replace(
        system.card,
        name=f"{system.card.name}@{sha256[:8]}",
        trained_on=f"not trained here: {facts.get('source', file.name)}",
        limits=f"weights of {facts.get('source', file.name)}. Not for identifying people",
    )
    return system
