"""`check_extractor`: does a network that looks at faces keep the contract of `FeatureExtractor`?"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sf2f_bench.testing.checks import expect, is_word, run_checks
from sf2f_bench.testing.world import TinyWorld
from sf2f_bench.types import BenchError, FeatureExtractor

CLOSE = 1e-4  # of an embedding's largest value: rounding of a batch of another size
SHA256 = re.compile(r"[0-9a-f]{64}")


def check_extractor(extractor: FeatureExtractor) -> None:
    """Run every check of an extractor's contract on a few drawn faces.

    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    name = getattr(extractor, "id", type(extractor).__name__)
    run_checks(f"extractor {name}", EXTRACTOR_CHECKS, Trial(extractor))


class Trial:
    """An extractor and what it looks at."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self.extractor = extractor

    @cached_property
    def faces(self) -> Tensor:
        """Faces of four people: uint8 ``[4, 3, 64, 64]``."""
        world = TinyWorld()
        people = world.identities("test")[:4]
        return torch.from_numpy(np.stack([world.photos(person.id)[0].image(64) for person in people]))


# ---------------------------------------------------------------- checks


def it_names_its_weights(trial: Trial) -> None:
    """id and sha256 tell two networks apart; recognises says whether it knows people."""
    extractor = trial.extractor
    expect(
        is_word(extractor.id), "an id in words", repr(extractor.id), "name, version, weights, crop and resize"
    )
    right = isinstance(extractor.sha256, str) and SHA256.fullmatch(extractor.sha256) is not None
    expect(right, "sha256 as 64 hexadecimal digits", repr(extractor.sha256), "hash the file of the weights")
    right = extractor.sha256[:8] in extractor.id
    expect(
        right,
        f"the id to hold @{extractor.sha256[:8]}",
        extractor.id,
        "put the hash's first 8 digits into it",
    )
    right = type(extractor.recognises) is bool
    expect(right, "recognises to be True or False", repr(extractor.recognises), "False: pictures only")


def it_gives_embeddings_and_probabilities(trial: Trial) -> None:
    """float32 ``[B, D]`` and None or ``[B, C]`` that sum to 1, the same again, input untouched."""
    faces = trial.faces.clone()
    embeddings, probabilities = trial.extractor(faces)
    came = f"{embeddings.dtype} {list(embeddings.shape)}"
    right = embeddings.dtype == torch.float32 and embeddings.ndim == 2 and len(embeddings) == len(faces)
    expect(right, f"embeddings float32 [{len(faces)}, D]", came, "flatten, and convert to float32")
    right = bool(torch.isfinite(embeddings).all()) and not embeddings.requires_grad
    expect(right, "finite embeddings without gradients", "others", "use torch.no_grad() and eval()")
    apart = bool((embeddings[0] != embeddings[1]).any())
    expect(apart, "unlike faces to have unlike embeddings", "equal ones", "does the network see the picture?")
    if probabilities is not None:
        sums = probabilities.sum(dim=1)
        right = (
            probabilities.ndim == 2
            and bool((probabilities >= 0).all())
            and bool(((sums - 1).abs() < 1e-3).all())
        )
        expect(
            right,
            "probabilities [B, C] that sum to 1",
            f"sums {sums.tolist()}",
            "apply softmax to the logits",
        )
    expect(torch.equal(faces, trial.faces), "the faces as they were", "changed ones", "do not work in place")
    again = torch.equal(trial.extractor(faces)[0], embeddings)
    expect(again, "the same embeddings again", "others", "switch dropout and batch statistics off: eval()")


def each_face_is_seen_alone(trial: Trial) -> None:
    """An embedding does not depend on the rest of the batch, up to rounding."""
    together, alone = trial.extractor(trial.faces)[0], trial.extractor(trial.faces[:1])[0]
    difference = float((together[:1] - alone).abs().max() / together.abs().max())
    remedy = "switch batch normalisation to its running statistics: eval()"
    expect(difference < CLOSE, "the same embedding alone and in a batch", f"{difference:.2g} apart", remedy)


def it_takes_faces_of_any_size_and_nothing_else(trial: Trial) -> None:
    """Other sizes are resized as the id says; other types and shapes raise BenchError."""
    width = trial.extractor(trial.faces)[0].shape[1]
    large = torch.nn.functional.interpolate(trial.faces.float(), size=128).to(torch.uint8)
    right = trial.extractor(large)[0].shape == (len(large), width)
    expect(right, "embeddings of the same width at 128 pixels", "others", "resize inside")
    for wrong, what in ((trial.faces.float(), "float32 faces"), (trial.faces[:, :1], "faces of one channel")):
        try:
            trial.extractor(wrong)
        except BenchError:
            continue
        expect(False, f"BenchError for {what}", "embeddings", "check type and shape first")


def its_module_can_be_a_training_loss(trial: Trial) -> None:
    """Where it has a `module`: three maps and the embedding, with gradients for the picture and none for weights."""
    module: Any = getattr(trial.extractor, "module", None)
    if module is None:
        return
    images = (trial.faces.float() / 255).requires_grad_(True)
    seen = module.features(images)
    expect(
        len(seen) == 4, "features() to give three maps and the embedding", len(seen), "see FeatureExtractor"
    )
    sum(part.sum() for part in seen).backward()
    moved = images.grad is not None and bool((images.grad != 0).any())
    expect(moved, "gradients for the picture", "none", "do not detach inside features()")
    trained = [name for name, weight in module.named_parameters() if weight.requires_grad]
    expect(not trained, "frozen weights", f"gradients for {trained[:3]}", "call requires_grad_(False)")


EXTRACTOR_CHECKS: tuple[Callable[[Trial], None], ...] = (
    it_names_its_weights,
    it_gives_embeddings_and_probabilities,
    each_face_is_seen_alone,
    it_takes_faces_of_any_size_and_nothing_else,
    its_module_can_be_a_training_loss,
)
