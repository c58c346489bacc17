"""Trait and landmark errors of an answer's faces, on a data set that knows the parameters of its faces."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sf2f_bench.data.synthetic.dataset import SyntheticWorld
from sf2f_bench.data.synthetic.faces import FaceParameters, landmarks
from sf2f_bench.evaluation.attribute_judges import judged
from sf2f_bench.extractors.embedded import TraitReader
from sf2f_bench.files import seed_of
from sf2f_bench.metrics.traits import LANDMARK_ERROR, TRAIT_ERRORS, LandmarkError, TraitError
from sf2f_bench.types import Answer, Score

if TYPE_CHECKING:
    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.types import FloatArray

NO_TRAITS = "the data set does not know the parameters of its faces; the synthetic world does"


def trait_scores(
    evaluation: Evaluation, reader: TraitReader, answer: Answer
) -> list[tuple[TraitError | LandmarkError, Score]]:
    """What the reader finds on an answer's faces against the true traits; nothing where it has no faces or few."""
    world = evaluation.dataset
    if (
        answer.faces is None
        or len(answer.faces) < LANDMARK_ERROR.min_n
        or not isinstance(world, SyntheticWorld)
    ):
        return []
    rows = np.ones(len(evaluation.identities), bool) if answer.rows is None else answer.rows
    people = [world.traits(person.id) for person in compress(evaluation.identities, rows)]
    true = {name: np.array([person[name] for person in people]) for name in people[0]}
    read = {name: np.asarray(values) for name, values in judged(evaluation, reader, answer.faces).items()}
    random = np.random.default_rng(seed_of(LANDMARK_ERROR.name, reader.id))
    found: list[tuple[TraitError | LandmarkError, Score]] = [
        (metric, metric(true, read)) for metric in TRAIT_ERRORS
    ]
    return [*found, (LANDMARK_ERROR, LANDMARK_ERROR(_landmarks(true), _landmarks(read), random))]


def _landmarks(traits: Mapping[str, FloatArray]) -> NDArray[np.float64]:
    """Of the people's traits, ``[N]`` each: ``[N, 10, 2]``; no landmark depends on the gender itself."""
    rows = zip(*traits.values(), strict=True)
    found = [landmarks(FaceParameters("f", **dict(zip(traits, row, strict=True)))) for row in rows]
    return np.stack(found).astype(np.float64)


@lru_cache(maxsize=1)  # the same for every row
def notes(evaluation: Evaluation, reader: TraitReader) -> tuple[str, ...]:
    """One sentence for a record: the reader's own errors on one true photo of each identity, which are the floor."""
    if not evaluation.has_held_out.any():
        return ()
    truth = Answer(faces=evaluation.held_out_photos, rows=evaluation.has_held_out)
    shown = [(m, s) for m, s in trait_scores(evaluation, reader, truth) if "traits" in (m.card.tables or {})]
    if not shown:
        return ()
    words = ", ".join(f"{metric.name} {score.value:.3f}" for metric, score in shown)
    return (f"On one true photo each of {shown[0][1].n} people {reader.id} itself has {words}: the floor.",)
