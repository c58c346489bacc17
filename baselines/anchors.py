"""Anchor rows: a score means something only between chance and the ceiling.

Chance and the gender oracle answer in a space of their own in which all identities (or all of one gender) are tied;
the harness counts ties by their expectation, so both rows are exact and nothing is simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sf2f_bench import Answer, Evaluation, KnownLaw, ModelCard

Rows = NDArray[np.floating]

RIDGE_STRENGTHS = np.logspace(-1, 4, 11)
ORACLE_FACES = 48  # rendered per identity for the mean embedding of the shared-factor oracle


def _card(
    place: Literal["floor", "ceiling"],
    order: int,
    name: str,
    description: str,
    trained_on: str = "nothing",
    **more: Any,
) -> ModelCard:
    """order: within its block of a table, lowest first."""
    more = {"version": "1", **more}
    return ModelCard(
        name, kind="anchor", description=description, trained_on=trained_on, place=place, order=order, **more
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
        return _unknown(evaluation, "gender")

    def answer(self, evaluation: Evaluation) -> Answer:
        """One-hot gender."""
        return _tied([str(gender) for gender in evaluation.genders])


class GenderAgeOracle:
    """Knows the speaker's gender, and which third of the test identities' ages: all of both alike are tied."""

    card = _card(
        "floor",
        2,
        "gender-age-oracle",
        "knows the true gender and the third of the ages, and nothing else; exact",
        tolerance=1e-6,
        purpose="known-attribute",
        words="knowing only gender and third of age",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where every test identity's gender and age are known."""
        return _unknown(evaluation, "gender", "age")

    def answer(self, evaluation: Evaluation) -> Answer:
        """One-hot gender and third."""
        ages = _ages(evaluation, "test")
        thirds = np.searchsorted(np.quantile(ages, [1 / 3, 2 / 3]), ages)
        return _tied([f"{gender} {third}" for gender, third in zip(evaluation.genders, thirds, strict=True)])


class MeanFace(_AlwaysApplies):
    """Shows the mean of all training photos for everybody."""

    card = _card(
        "floor",
        3,
        "mean-face",
        "the mean training photo for everybody",
        "the training split's photos",
        fitted_to="nothing",
        purpose="one-face",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The same face for everybody."""
        mean = _mean_face(evaluation.train_faces)
        return Answer(faces=np.repeat(mean[None], len(evaluation.identities), axis=0))


class FourFaces:
    """One of four mean training faces, by true gender and by the older or younger half: a lookup table.

    It shows how far four faces go: a system that scores no more may have learned no more.
    """

    card = _card(
        "floor",
        4,
        "four-faces",
        "the mean training photo of the person's gender and older or younger half",
        "the training split's photos, genders and ages",
        fitted_to="nothing",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where gender and age are known, and the training split has people of all four kinds."""
        reason = _unknown(evaluation, "gender", "age", splits=("train", "test"))
        if reason:
            return reason
        missing = set(_four_kinds(evaluation, "test")) - set(_four_kinds(evaluation, "train"))
        return f"no training identity is of the kind {min(missing)}" if missing else None

    def answer(self, evaluation: Evaluation) -> Answer:
        """The mean face of each one's kind."""
        kinds, faces = np.array(_four_kinds(evaluation, "train")), evaluation.train_faces
        means = {
            kind: _mean_face([faces[row] for row in np.flatnonzero(kinds == kind)]) for kind in set(kinds)
        }
        return Answer(faces=np.stack([means[kind] for kind in _four_kinds(evaluation, "test")]))


class RandomPhoto:
    """A random training photo of the right gender: the quality of true photos, and nothing heard but the gender."""

    card = _card(
        "floor",
        5,
        "random-photo-same-gender",
        "a photo of a random training identity of the person's gender",
        "the training split's photos and genders",
        fitted_to="nothing",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where genders are known, and the training split has people of each."""
        reason = _unknown(evaluation, "gender", splits=("train", "test"))
        if reason:
            return reason
        missing = set(evaluation.genders) - {person.gender for person in evaluation.store.identities("train")}
        return f"no training identity has the gender {min(map(str, missing))}" if missing else None

    def answer(self, evaluation: Evaluation) -> Answer:
        """The first photo of each one's random training identity, as far as there are enough a different one each."""
        people = evaluation.store.identities("train")
        order = np.random.default_rng(0).permutation(len(people))
        rows = {
            gender: [row for row in order if people[row].gender == gender] for gender in evaluation.genders
        }
        used = dict.fromkeys(rows, 0)
        faces = []
        for gender in evaluation.genders:
            faces.append(evaluation.train_faces[rows[gender][used[gender] % len(rows[gender])]][0])
            used[gender] += 1
        return Answer(faces=np.stack(faces))


class NearestTrainingFace(_AlwaysApplies):
    """Shows a photo of the training identity that ridge regression on the voice finds nearest.

    Regression and search are in the space of the training loss's network: the judge stays unseen.
    """

    card = _card(
        "floor",
        6,
        "nearest-training-face",
        "a photo of the training identity nearest to a ridge regression on voice statistics",
        "the training split",
        fitted_to="nothing",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The first photo of the training identity whose template has the largest cosine."""
        listener = _listener(evaluation, "training-loss")
        templates = _unit(evaluation.train_templates("training-loss")).T

        def of(statistics: Rows) -> Answer:
            nearest = np.argmax(_unit(listener(statistics)) @ templates, axis=1)
            return Answer(faces=np.stack([evaluation.train_faces[row][0] for row in nearest]))

        return _heard(evaluation, of)


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

        def of(statistics: Rows) -> Answer:
            roles = evaluation.recognisers
            return Answer(embeddings={role: self._queries(evaluation, role, statistics) for role in roles})

        return _heard(evaluation, of)

    def _queries(self, evaluation: Evaluation, role: str, statistics: Rows) -> Rows:
        return _listener(evaluation, role)(statistics)


class WhitenedLinearListener(LinearListener):
    """The linear listener's query, whitened by what the line leaves of the training identities' templates.

    Formula: q = S^-1 (prediction - mu), S the covariance of the training residuals, mu the mean training template.
    """

    card = _card(
        "ceiling",
        1,
        "linear-listener-whitened",
        "the linear listener's query, whitened by its residual on the training split; no face is generated",
        "the training split, in the judge's own space",
        fitted_to="nothing",
        purpose="straight-line",
    )

    def _queries(self, evaluation: Evaluation, role: str, statistics: Rows) -> Rows:
        predict, templates = _listener(evaluation, role), evaluation.train_templates(role)
        residual = templates - predict(evaluation.train_voice_statistics)
        spread, _ = ledoit_wolf(residual)  # shrunk where identities are few for the network's dimensions
        return _whitened(predict(statistics), templates, spread)


class SharedFactorOracleFace:
    """Knows the true shared factors of a synthetic world: their face, everything else at its mean."""

    card = _card(
        "ceiling",
        2,
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

    It maximises the expected similarity to the true person, which is not what recall asks for: the whitened query
    reaches far more with the same knowledge, so this row is no bound.
    """

    card = _card(
        "ceiling",
        3,
        "shared-factor-oracle-embedding",
        f"mean embedding of {ORACLE_FACES} faces with the true shared factors and random face-only factors",
        fitted_to="nothing",
        purpose="shared-factors",
        version="2",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """The mean of unit embeddings, per extractor."""
        return Answer(embeddings={role: means for role, (means, _) in _oracle_moments(evaluation).items()})


class SharedFactorOracleDraws(SharedFactorOracleFace):
    """Faces with the true shared factors and random face-only factors: a perfect system that draws its faces.

    No system that draws one face at random, without favouring likely ones, can be expected to score more by its single
    faces; the best and the mean of the draws say what several of them are worth.
    """

    card = _card(
        "ceiling",
        3,
        "shared-factor-oracle-draws",
        "faces with the true shared factors and random face-only factors: what perfect draws score",
        fitted_to="nothing",
        purpose="shared-factors",
    )
    one_to_many = True

    def answer(self, evaluation: Evaluation) -> Answer:
        """As many faces for everybody as a system that draws them generates."""
        size, count = evaluation.image_size, evaluation.draws
        drawn = [
            evaluation.dataset.faces_given_shared(identity.id, count, 1, size)
            for identity in evaluation.identities
        ]
        draws = np.stack(drawn, axis=1)
        return Answer(faces=draws[0], draws=draws)


class WhitenedSharedFactorOracle(SharedFactorOracleFace):
    """The mean embedding of the shared-factor oracle, whitened: directions in which its own faces scatter count less.

    The linear part of the likelihood ratio "this person against anybody" if embeddings scatter normally and alike
    around everybody's mean. It is the strongest query of a judge's space known here that uses only what voice and face
    share, an estimate of the limit and no proof of it: the mean and the covariance are over finitely many faces, and
    recall is of the order by cosine.

    Formula: q = S^-1 (m - mu), m an identity's mean over faces with its shared factors, S the covariance of these faces
    around their m, pooled over identities, mu the mean training template.
    """

    card = _card(
        "ceiling",
        4,
        "shared-factor-oracle-whitened",
        f"whitened mean embedding of {ORACLE_FACES} faces with the true shared factors and random face-only factors",
        fitted_to="nothing",
        purpose="shared-factors",
    )

    def answer(self, evaluation: Evaluation) -> Answer:
        """One query per identity and extractor."""
        found = {}
        for role, (means, spread) in _oracle_moments(evaluation).items():
            found[role] = _whitened(means, evaluation.train_templates(role), spread)
        return Answer(embeddings=found)


class RealPhotoOracle:
    """Another photo of the same person: the ceiling, and the test of the judge itself."""

    card = _card(
        "ceiling",
        5,
        "real-photo-oracle",
        "another real photo of the same person (held out of the gallery)",
        fitted_to="nothing",
        tolerance=1e-4,
        purpose="true-photo",
        off_scale=True,
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Where test identities have two photos; those with one are left out of this row."""
        return why_no_held_out(evaluation)

    def answer(self, evaluation: Evaluation) -> Answer:
        """The held-out photos."""
        return Answer(faces=evaluation.held_out_photos, rows=evaluation.has_held_out)


def why_no_held_out(evaluation: Evaluation) -> str | None:
    """Why held-out photos cannot answer: too few people have two; None where they can."""
    count, need = int(evaluation.has_held_out.sum()), evaluation.benchmark.gallery_size
    return None if count >= need else f"{count} test identities have two photos, a gallery needs {need}"


def _heard(evaluation: Evaluation, of: Callable[[Rows], Answer]) -> Answer:
    """What is made of voice statistics, with what is made of disturbed voices'."""
    disturbed = evaluation.disturbed_voice_statistics.items()
    made = {what: found if isinstance(found, str) else of(found) for what, found in disturbed}
    return replace(of(evaluation.voice_statistics), disturbed=made)


@lru_cache(maxsize=4)  # by identity: plain, whitened and nearest face ask for one fit of each network
def _listener(evaluation: Evaluation, role: str) -> Callable[[Rows], Rows]:
    """Ridge regression from voice statistics [2 * filters] to the identity's template [D]."""
    model = make_pipeline(StandardScaler(), RidgeCV(RIDGE_STRENGTHS))
    return model.fit(evaluation.train_voice_statistics, evaluation.train_templates(role)).predict


@lru_cache(maxsize=1)  # the plain and the whitened oracle look at the same faces
def _oracle_moments(evaluation: Evaluation) -> dict[str, tuple[Rows, Rows]]:
    """Per extractor the mean unit embedding of each identity's faces [N, D], and their pooled covariance [D, D]."""
    means: dict[str, list[Rows]] = {role: [] for role in evaluation.recognisers}
    spreads: dict[str, list[Rows]] = {role: [] for role in evaluation.recognisers}
    for identity in evaluation.identities:
        faces = evaluation.dataset.faces_given_shared(identity.id, ORACLE_FACES, 0, evaluation.image_size)
        for role in means:
            seen = _unit(evaluation.embed(role, faces)[0].astype(np.float64))
            means[role].append(seen.mean(axis=0))
            spreads[role].append(np.cov(seen.T))
    return {role: (np.stack(found), np.mean(spreads[role], axis=0)) for role, found in means.items()}


def _whitened(means: Rows, templates: Rows, spread: Rows) -> Rows:
    """spread^-1 (mean - mean template) [N, D], of length 1; directions in which nothing scatters take no part."""
    centred = means.astype(np.float64) - templates.mean(axis=0, dtype=np.float64)
    queries = centred @ np.linalg.pinv(spread, rcond=1e-6, hermitian=True)
    return queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), np.finfo(np.float64).tiny)


def _unknown(evaluation: Evaluation, *attributes: str, splits: tuple[str, ...] = ("test",)) -> str | None:
    """Of how many identities an attribute is not known, in words; None where all are."""
    for split in splits:
        for attribute in attributes:
            people = evaluation.store.identities(split)
            if unknown := sum(getattr(person, attribute) is None for person in people):
                words = "test" if split == "test" else "training"
                return f"{unknown} {words} identities have no known {attribute}"
    return None


def _ages(evaluation: Evaluation, split: str) -> Rows:
    return np.array([person.age for person in evaluation.store.identities(split)], np.float64)


def _four_kinds(evaluation: Evaluation, split: str) -> list[str]:
    """Gender and side of the median training age, of each identity."""
    middle = np.median(_ages(evaluation, "train"))
    people = evaluation.store.identities(split)
    return [f"{person.gender} {'older' if (person.age or 0) > middle else 'younger'}" for person in people]


def _tied(labels: list[str]) -> Answer:
    """An order in which all of one label are tied, and before all others."""
    kinds = sorted(set(labels))
    known = np.array([[float(label == kind) for kind in kinds] for label in labels])
    return Answer(ranking=(known, known))


def _mean_face(photos: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Over identities, of each one's mean over photos: uint8 [3, H, W]."""
    mean = np.mean([faces.mean(axis=0, dtype=np.float64) for faces in photos], axis=0)
    return np.rint(mean).astype(np.uint8)


def _unit(rows: Rows) -> Rows:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
