"""Anchor rows: what a number means is seen only between chance and the ceiling.

Chance and the gender oracle answer in a space of their own in which all (or all of one gender) are tied; the
harness counts ties by their expectation, so both rows are exact and nothing is simulated.
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
ORACLE_FACES = 16  # drawn per identity for the mean embedding of the shared-factor oracle


def _card(
    name: str, description: str, place: Literal["floor", "ceiling"], order: int, **more: Any
) -> ModelCard:
    """The card of an anchor, `order` within its block of a table; trained on nothing unless `more` says otherwise."""
    return ModelCard(
        name, "1", "anchor", description, place=place, order=order, **{"trained_on": "nothing", **more}
    )


def _listener(evaluation: Evaluation, role: str) -> Pipeline:
    """Ridge regression from voice statistics [2 * filters] to the identity's template [D]."""
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGE_STRENGTHS))
    return model.fit(evaluation.train_voice_statistics, evaluation.train_templates(role))


class Chance:
    """Knows nothing: all of the gallery is tied."""

    card = _card("chance", "knows nothing; exact", "floor", 0, tolerance=1e-6, purpose="chance")

    def applies(self, evaluation: Evaluation) -> str | None:
        """Always."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """Everybody looks alike."""
        alike = np.zeros((len(evaluation.identities), 1))
        return Answer(ranking=(alike, alike))


class GenderOracle:
    """Knows the speaker's gender and nothing else: all of one gender are tied."""

    card = _card(
        "gender-oracle",
        "knows the true gender and nothing else; exact",
        "floor",
        1,
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


class MeanFace:
    """Draws the mean of all training photos for everybody."""

    card = _card(
        "mean-face",
        "the mean training photo for everybody",
        "floor",
        2,
        trained_on="the training split's photos",
        fitted_to="nothing",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Always."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """The same face for all."""
        mean = np.mean([faces.mean(axis=0, dtype=np.float64) for faces in evaluation.train_faces], axis=0)
        return Answer(
            faces=np.repeat(np.rint(mean).astype(np.uint8)[None], len(evaluation.identities), axis=0)
        )


class NearestTrainingFace:
    """Shows a photo of the training identity that a straight line from the voice finds nearest.

    The line and the search live in the space of the training loss's network: the judge stays unseen.
    """

    card = _card(
        "nearest-training-face",
        "a photo of the training identity nearest to a ridge regression on voice statistics",
        "floor",
        4,  # after a system's own shuffled voices
        trained_on="the training split",
        fitted_to="nothing",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Always."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """The first photo of the training identity whose template has the largest cosine."""
        heard = _listener(evaluation, "training-loss").predict(evaluation.voice_statistics)
        nearest = np.argmax(_unit(heard) @ _unit(evaluation.train_templates("training-loss")).T, axis=1)
        return Answer(faces=np.stack([evaluation.train_faces[row][0] for row in nearest]))


class LinearListener:
    """What a straight line hears: ridge regression from voice statistics to each extractor's embedding."""

    card = _card(
        "linear-listener",
        "ridge regression from voice statistics straight to the extractor's embedding; no face is drawn",
        "ceiling",
        0,
        trained_on="the training split, in the judge's own space",
        fitted_to="nothing",
        purpose="straight-line",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Always."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """One query per identity and extractor."""
        return Answer(
            embeddings={
                role: _listener(evaluation, role).predict(evaluation.voice_statistics)
                for role in evaluation.recognisers
            }
        )


class SharedFactorOracleFace:
    """Knows the true shared factors of a synthetic world: draws them, everything else at its mean."""

    card = _card(
        "shared-factor-oracle-face",
        "the face drawn from the true shared factors, all else at its mean",
        "ceiling",
        1,
        fitted_to="nothing",
        purpose="shared-factors",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where the law of the data is known."""
        return None if isinstance(evaluation.dataset, KnownLaw) else "the law of real data is not known"

    def answer(self, evaluation: Evaluation) -> Answer:
        """One drawn face each."""
        size = evaluation.image_size
        faces = [evaluation.dataset.oracle_face(identity.id, size) for identity in evaluation.identities]
        return Answer(faces=np.stack(faces))


class SharedFactorOracleEmbedding(SharedFactorOracleFace):
    """The mean embedding over many faces with the true shared factors and random face-only factors.

    For a query by inner product with unit embeddings, the expected embedding given all that a voice can tell is
    the query that maximises the expected similarity to the true person. It is close to, not exactly, the best
    possible one for recall: recall asks for the order in a gallery, not for expected similarity; the mean is over
    finitely many faces; and a system may not hear the factors themselves, only what the voice shows of them.
    """

    card = _card(
        "shared-factor-oracle-embedding",
        f"mean embedding of {ORACLE_FACES} faces with the true shared factors and random face-only factors",
        "ceiling",
        1,
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
        "real-photo-oracle",
        "another real photo of the same person (held out of the gallery)",
        "ceiling",
        2,
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


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
