"""`check_extractor`: whether a network that embeds faces keeps the contract of `FeatureExtractor`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.testing.checks import (
    FLAG,
    WORDS,
    Rule,
    expect,
    expect_array,
    expect_card,
    expect_error,
    expect_fields,
    expect_finite,
    is_word,
    run_checks,
)
from sf2f_bench.testing.world import TinyWorld
from sf2f_bench.types import ExtractorCard, FeatureExtractor, TorchExtractor

ROUNDING = 1e-4  # of an embedding's largest value: of a batch of another size
SHA256 = re.compile(r"[0-9a-f]{64}")
FIELDS: dict[str, Rule] = {
    "id": (is_word, "to say something", "put name, version, weights, crop and resize rule into it"),
    "sha256": (
        lambda value: isinstance(value, str) and SHA256.fullmatch(value) is not None,
        "to be 64 hexadecimal digits",
        "hash the file of the weights",
    ),
    "recognises": (*FLAG[:2], "False: it tells pictures apart and not people"),
}
CARD: dict[str, Rule] = {
    "title": WORDS,
    "trained_on": WORDS,
    "licence": WORDS,
    "files": (
        lambda files: isinstance(files, tuple) and all(map(is_word, files)),
        "to be a tuple of file names",
        "name the files of weights, or leave it out",
    ),
}


def check_extractor(extractor: FeatureExtractor) -> None:
    """Run every check of an extractor's contract on a few synthetic faces.

    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    name = getattr(extractor, "id", type(extractor).__name__)
    run_checks(f"extractor {name}", EXTRACTOR_CHECKS, ExtractorTrial(extractor))


class ExtractorTrial:
    """An extractor and the faces that it is tried on."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.extractor = extractor

    @cached_property
    def faces(self) -> Tensor:
        """Faces of four people: uint8 ``[4, 3, 64, 64]``."""
        world = TinyWorld()
        people = world.identities("test")[:4]
        return torch.from_numpy(np.stack([world.photos(person.id)[0].image(64) for person in people]))


# ---------------------------------------------------------------- checks


def it_names_its_weights(trial: ExtractorTrial) -> None:
    """id and sha256 tell two networks apart; recognises says whether it knows people."""
    extractor = trial.extractor
    expect_fields(extractor, "", FIELDS)
    digits, remedy = extractor.sha256[:8], "put the first 8 digits of the hash into it"
    expect(digits in extractor.id, f"the id to hold @{digits}", extractor.id, remedy)


def its_card_is_complete(trial: ExtractorTrial) -> None:
    """An `ExtractorCard`, where it has one: what it was trained on, the licence, its place among the tables."""
    expect_card(getattr(trial.extractor, "card", ExtractorCard()), ExtractorCard, CARD)


def it_gives_embeddings_and_probabilities(trial: ExtractorTrial) -> None:
    """float32 ``[B, D]`` and None or ``[B, C]`` that sum to 1, the same again, input untouched."""
    faces = trial.faces.clone()
    embeddings, probabilities = trial.extractor(faces)
    remedy = "flatten, and convert to float32"
    expect_array(embeddings, "embeddings", "float32", [len(faces), "D"], remedy)
    expect(not embeddings.requires_grad, "embeddings without gradients", "others", "use torch.no_grad()")
    expect_finite(embeddings, "embeddings", "call eval(), and look for a division by zero")
    apart = bool((embeddings[0] != embeddings[1]).any())
    remedy = "check that the network sees the picture"
    expect(apart, "different embeddings of different faces", "equal ones", remedy)
    if probabilities is not None:
        remedy = "apply softmax to the logits"
        expect_array(probabilities, "probabilities", "float32", [len(faces), "C"], remedy)
        sums = probabilities.sum(dim=1)
        right = bool((probabilities >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all())
        expect(right, "probabilities [B, C] that sum to 1", f"sums {sums.tolist()}", remedy)
    expect(torch.equal(faces, trial.faces), "the faces as they were", "changed ones", "do not work in place")
    again = torch.equal(trial.extractor(faces)[0], embeddings)
    expect(again, "the same embeddings again", "others", "switch dropout and batch statistics off: eval()")


def each_face_is_seen_alone(trial: ExtractorTrial) -> None:
    """An embedding does not depend on the rest of the batch, up to rounding."""
    together, alone = trial.extractor(trial.faces)[0], trial.extractor(trial.faces[:1])[0]
    difference = float((together[:1] - alone).abs().max() / together.abs().max())
    expected = "the same embedding alone and in a batch"
    remedy = "switch batch normalisation to its running statistics: eval()"
    expect(difference < ROUNDING, expected, f"{difference:.2g} apart", remedy)


def it_takes_faces_of_any_size_and_nothing_else(trial: ExtractorTrial) -> None:
    """Other sizes are resized as the id says; other types and shapes raise BenchError."""
    width = trial.extractor(trial.faces)[0].shape[1]
    large = torch.nn.functional.interpolate(trial.faces.float(), size=128).to(torch.uint8)
    wide = trial.extractor(large)[0]
    what = "embeddings of faces of 128 pixels as"
    expect_array(wide, what, "float32", [len(large), width], "resize inside")
    for wrong, what in ((trial.faces.float(), "float32 faces"), (trial.faces[:, :1], "faces of one channel")):
        expect_error(lambda wrong=wrong: trial.extractor(wrong), what, "check type and shape first")  # type: ignore[misc]


def its_module_can_be_a_training_loss(trial: ExtractorTrial) -> None:
    """Where it has a `module`: three maps and the embedding, with gradients for the picture and none for weights."""
    if not isinstance(trial.extractor, TorchExtractor):
        return
    module: Any = trial.extractor.module
    images = (trial.faces.float() / 255).requires_grad_(True)
    parts = module.features(images)
    expected = "features() to give three maps and the embedding"
    expect(len(parts) == 4, expected, len(parts), "see FeatureExtractor")
    sum(part.sum() for part in parts).backward()
    moved = images.grad is not None and bool((images.grad != 0).any())
    expect(moved, "gradients for the picture", "none", "do not detach inside features()")
    trained = [name for name, weight in module.named_parameters() if weight.requires_grad]
    expect(not trained, "frozen weights", f"gradients for {trained[:3]}", "call requires_grad_(False)")


EXTRACTOR_CHECKS: tuple[Callable[[ExtractorTrial], None], ...] = (
    it_names_its_weights,
    its_card_is_complete,
    it_gives_embeddings_and_probabilities,
    each_face_is_seen_alone,
    it_takes_faces_of_any_size_and_nothing_else,
    its_module_can_be_a_training_loss,
)
