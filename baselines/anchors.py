"""Anchor rows: a score means something only between chance and the ceiling.

Chance and the gender oracle answer in a space of their own in which all identities (or all of one gender) are tied;
the harness counts ties by their expectation, so both rows are exact and nothing is simulated.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sf2f_bench import Answer, Evaluation, KnownLaw, ModelCard

RIDGE_STRENGTHS = np.logspace(-1, 4, 11)
ORACLE_FACES = 16  # rendered per identity for the mean embedding of the shared-factor oracle


def _card(
    place: Literal["floor", "ceiling"],
    order: int,
    name: str,
    description: str,
    trained_on: str = "nothing",
    **more: Any,
) -> ModelCard:
    """order: within its block of a table, lowest first; a system's own shuffled voices are third of the floor."""
    return ModelCard(
        name, "1", "anchor", description, trained_on=trained_on, place=place, order=order, **more
    )


class _AlwaysApplies:
    def applies(self, evaluation: Evaluation) -> str | None:
        """None: it can always be computed."""
        return None


class Chance(_AlwaysApplies):
    """Knows nothing: the whole gallery is tied."""

    card = _card("floor", 0, "chance", "knows nothing; exact", tolerance=1e-6, purpose="chance")

    def answer(self, evaluation: Evaluation) -> Answer:
        """The same position for everybody."""
        alike = np.zeros((len(evaluation.identities), 1))
        return Answer(ranking=(alike, alike))


class GenderOracle:
    """Knows the speaker's gender and nothing else: all of one gender are tied."""

    card = _card(
        "floor",
        1,
        "gender-oracle",
        "knows the true gender and nothing else; exact",
        tolerance=1e-6,
        purpose="known-attribute",
        words="knowing only the gender",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where every test identity's gender is known."""
        unknown = sum(gender is None for gender in evaluation.genders)
        return f"{unknown} test identities have no known gender" if unknown else None

    def answer(self, evaluation: Evaluation) -> Answer:
        """One-hot gender."""
        kinds = sorted({str(gender) for gender in evaluation.genders})
        known = np.array([[float(gender == kind) for kind in kinds] for gender in evaluation.genders])
        return Answer(ranking=(known, known))


class MeanFace(_AlwaysApplies):
    """Shows the mean of all training photos for everybody."""

    card = _card(
        "floor",
        2,
        "mean-face",
        "the mean training photo for everybody",
        "the training split's photos",
        fitted_to="nothing",
        purpose="one-face",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The same face for everybody."""
        mean = np.mean([faces.mean(axis=0, dtype=np.float64) for faces in evaluation.train_faces], axis=0)
        return Answer(
            faces=np.repeat(np.rint(mean).astype(np.uint8)[None], len(evaluation.identities), axis=0)
        )


class NearestTrainingFace(_AlwaysApplies):
    """Shows a photo of the training identity that ridge regression on the voice finds nearest.

    Regression and search are in the space of the training loss's network: the judge stays unseen.
    """

    card = _card(
        "floor",
        4,
        "nearest-training-face",
        "a photo of the training identity nearest to a ridge regression on voice statistics",
        "the training split",
        fitted_to="nothing",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The first photo of the training identity whose template has the largest cosine."""
        predicted = _listener(evaluation, "training-loss").predict(evaluation.voice_statistics)
        nearest = np.argmax(_unit(predicted) @ _unit(evaluation.train_templates("training-loss")).T, axis=1)
        return Answer(faces=np.stack([evaluation.train_faces[row][0] for row in nearest]))


class LinearListener(_AlwaysApplies):
    """What a linear model hears: ridge regression from voice statistics to each extractor's embedding."""

    card = _card(
        "ceiling",
        0,
        "linear-listener",
        "ridge regression from voice statistics straight to the extractor's embedding; no face is generated",
        "the training split, in the judge's own space",
        fitted_to="nothing",
        purpose="straight-line",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """One query per identity and extractor."""
        return Answer(
            embeddings={
                role: _listener(evaluation, role).predict(evaluation.voice_statistics)
                for role in evaluation.recognisers
            }
        )


class SharedFactorOracleFace:
    """Knows the true shared factors of a synthetic world: their face, everything else at its mean."""

    card = _card(
        "ceiling",
        1,
        "shared-factor-oracle-face",
        "the face rendered from the true shared factors, all else at its mean",
        fitted_to="nothing",
        purpose="shared-factors",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where the law of the data is known."""
        return None if isinstance(evaluation.dataset, KnownLaw) else "the law of real data is not known"

    def answer(self, evaluation: Evaluation) -> Answer:
        """One rendered face each."""
        size = evaluation.image_size
        faces = [evaluation.dataset.oracle_face(identity.id, size) for identity in evaluation.identities]
        return Answer(faces=np.stack(faces))


class SharedFactorOracleEmbedding(SharedFactorOracleFace):
    """The mean embedding over many faces with the true shared factors and random face-only factors.

    For a query by inner product with unit embeddings, the expected embedding given all that a voice can tell is
    the query that maximises the expected similarity to the true person. It is close to, not exactly, the best
    possible one for recall: recall depends on the order in a gallery, not on expected similarity; the mean is over
    finitely many faces; and a system may not hear the factors themselves, only what the voice shows of them.
    """

    card = _card(
        "ceiling",
        1,
        "shared-factor-oracle-embedding",
        f"mean embedding of {ORACLE_FACES} faces with the true shared factors and random face-only factors",
        fitted_to="nothing",
        purpose="shared-factors",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The mean of unit embeddings, per extractor."""
        found: dict[str, list[NDArray[np.floating]]] = {role: [] for role in evaluation.recognisers}
        for identity in evaluation.identities:
            faces = evaluation.dataset.faces_given_shared(identity.id, ORACLE_FACES, 0, evaluation.image_size)
            for role, means in found.items():
                means.append(_unit(evaluation.embed(role, faces)[0]).mean(axis=0))
        return Answer(embeddings={role: np.stack(means) for role, means in found.items()})


class RealPhotoOracle:
    """Another photo of the same person: the ceiling, and the test of the judge itself."""

    card = _card(
        "ceiling",
        2,
        "real-photo-oracle",
        "another real photo of the same person (held out of the gallery)",
        fitted_to="nothing",
        tolerance=1e-4,
        purpose="true-photo",
        off_scale=True,
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where test identities have two photos; those with one are left out of this row."""
        count = int(evaluation.has_held_out.sum())
        need = evaluation.benchmark.gallery_size
        return None if count >= need else f"{count} test identities have two photos, a gallery needs {need}"

    def answer(self, evaluation: Evaluation) -> Answer:
        """The held-out photos."""
        return Answer(faces=evaluation.held_out_photos, rows=evaluation.has_held_out)


def _listener(evaluation: Evaluation, role: str) -> Pipeline:
    """Ridge regression from voice statistics [2 * filters] to the identity's template [D]."""
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGE_STRENGTHS))
    return model.fit(evaluation.train_voice_statistics, evaluation.train_templates(role))


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
