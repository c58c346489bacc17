"""From a name on the command line to a system or an anchor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch

from sf2f_bench.files import is_plain_name, load_tensors
from sf2f_bench.progress import first_few
from sf2f_bench.registry import LONGEST, MODELS, place_of
from sf2f_bench.runs.kept_weights import REFERENCE, reference_file
from sf2f_bench.types import Anchor, BenchError, ModelCard, ModelSettings, SpeechToFace, TrainedAnchor


def build(name: str, settings: ModelSettings) -> Anchor | SpeechToFace:
    """A system or an anchor by its registered name, or from a file: ``path/to/mine.py:Mine``.

    ``NAME@FILE`` is the system with the weights of FILE (of `sf2f-bench weights import`, of `run --keep-weights`, or a
    trained model of the cache) instead of a training; ``NAME@reference`` with those of the reference results. Raises
    BenchError for a name, file or class that does not exist, and for a class that cannot be made, does not keep its
    contract, or has the name of an installed model.
    """
    name, has_weights, weights = name.partition("@")
    target = MODELS.get(name)
    is_anchor = getattr(getattr(target, "card", None), "kind", None) == "anchor"
    if is_anchor and not hasattr(target, "fit"):  # one that is trained is made like a system
        if has_weights:
            raise BenchError(f"--models {name}@{weights}: {name} is an anchor, which has no weights")
        model = MODELS.check(name, MODELS.call(name, target), Anchor)
    elif has_weights:
        model = _with_weights(name, target, settings, weights)
    else:
        model = _checked(name, MODELS.call(name, target, settings))
    place = place_of(type(model))
    _check_name(name, model.card, place)
    for flag in ("one_to_many", "fuses"):
        if not isinstance(said := getattr(model, flag, False), bool):
            raise BenchError(f"--models {name}: {flag} in {place} is {said!r}: expected True or False")
    try:  # any other value has no text that is the same in every run, for the key
        json.dumps(getattr(model, "recipe", {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BenchError(
            f"--models {name}: recipe in {place}: {error}; expected numbers, texts, lists and dictionaries alone"
        ) from error
    return model


def _checked(name: str, made: Any) -> SpeechToFace:
    """What was made from settings, as a system or a trained anchor; BenchError where it keeps neither's contract."""
    checked: SpeechToFace = MODELS.check(name, made, TrainedAnchor if isinstance(made, Anchor) else None)
    return checked


def load_weights(system: SpeechToFace) -> None:
    """Give a system the tensors of its file of weights. Raises BenchError where they are not its own, or not finite."""
    file = getattr(system, "weights")  # noqa: B009 - of `HasWeights`
    state = load_tensors(file)[0]
    if bad := not_finite(state):
        raise BenchError(
            f"{file}: {first_few(bad)} hold NaN or infinite values: name another file of weights"
        )
    try:
        system.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        reason = shorten(str(error), LONGEST, placeholder=" ...")
        raise BenchError(
            f"{file} does not hold the tensors of {system.card.label} ({reason}): name the file that was made for it"
        ) from error


def not_finite(state: Mapping[str, torch.Tensor]) -> list[str]:
    """The tensors that hold NaN or infinite values."""
    return [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]


def _check_name(name: str, card: ModelCard, place: str) -> None:
    """Raise BenchError where a table would show a model under the name of another one that is installed."""
    if not is_plain_name(card.name):
        raise BenchError(
            f"--models {name}: card.name {card.name!r} in {place}: expected a name that a file can have, of letters, "
            "digits and hyphens"
        )
    for field, shown in (("name", card.name), ("title", card.title)):
        if (taken := MODELS.installed_as(shown)) and taken != name:
            raise BenchError(
                f"--models {name}: {shown!r} is the name of an installed model; the table must not confuse the "
                f"two: choose another card.{field} in {place}"
            )


def _with_weights(name: str, target: Any, settings: ModelSettings, word: str) -> SpeechToFace:
    file = reference_file(name) if word == REFERENCE else Path(word)
    if not file.is_file():
        raise BenchError(
            f"--models {name}@{file}: there is no such file; `sf2f-bench weights import` writes one"
        )
    _, facts = load_tensors(file)
    width = facts.get("width") or settings.width
    if settings.width not in (None, width):
        raise BenchError(
            f"{file} holds weights of width {width:g}, not of --width {settings.width:g}: leave the option out"
        )
    settings = replace(settings, width=width)
    system = _checked(name, MODELS.call(name, target, settings))
    if facts.get("model") != system.card.name:
        raise BenchError(
            f"{file} holds weights of {facts.get('model')}, not of {system.card.name}: name the system it was made for"
        )
    sha256, source = hashlib.sha256(file.read_bytes()).hexdigest(), facts.get("source", file.name)
    system.weights = file  # type: ignore[attr-defined]
    system.recipe = {**system.recipe, "weights_sha256": sha256}
    system.card = replace(
        system.card,
        name=f"{system.card.name}@{sha256[:8]}",
        trained_on=f"not trained here: {source}",
        limits=f"weights of {source}. Not for identifying people",
    )
    return system
