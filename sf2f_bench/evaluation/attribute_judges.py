"""Attribute judges over an evaluation: a probe of any extractor's space, the scores of an answer, the judge's error.

The reference is what the data set knows of a person. Where it knows nothing, the judge's own verdict on the person's
other true photos stands in, which makes the number an agreement of verdicts, not of facts; `notes` says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sf2f_bench.files import hash_of, kept, load_facts, save_facts, seed_of
from sf2f_bench.metrics.arrays import unit_rows
from sf2f_bench.metrics.attributes import METRICS, AttributeMetric
from sf2f_bench.registry.sources import keyed
from sf2f_bench.types import Answer, AttributeJudge, BenchError, ExtractorCard, Score, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

    from sf2f_bench.evaluation.test_people import Evaluation
    from sf2f_bench.types import ByteArray, FloatArray

REFERENCE_PHOTOS = 5  # of a person, at most, where the judge's verdict on them is the reference
VERDICTS_VERSION = 1  # of the artefact that `judged` keeps
FOLDS = 5  # of the training identities, for choosing the strength of a probe's regularisation
STRENGTHS = np.logspace(-4, 4, 9)
WORDS = {"gender": ("f", "m")}  # an attribute judge's words, where they are fixed

Verdicts = Mapping[str, Sequence[Any]]


# ---------------------------------------------------------------- a judge for any data


class AttributeProbe:
    """An attribute judge fitted on the training split's photos in an extractor's space.

    Gender by logistic regression, age by ridge regression on unit embeddings, every identity of equal weight, the
    regularisation chosen by cross-validation over identities. It judges only attributes that the data set knows of
    enough training identities (five of each gender; ten ages), and says nothing of ethnicity. It errs: see
    `judge_error`. Raises Unavailable where the training split knows neither.
    """

    VERSION = 1
    card = ExtractorCard(
        title="By a probe of the judge's space",
        trained_on="the training split's photos, and what the data set knows of the people",
        licence="Apache-2.0",
    )

    def __init__(self, evaluation: Evaluation, key: str = "judge") -> None:
        self._evaluation, self._key = evaluation, key
        people = evaluation.store.identities("train")
        self._genders = np.array([person.gender for person in people], object)
        self._ages = np.array([np.nan if person.age is None else person.age for person in people], float)
        enough = {
            "gender": min(np.sum(self._genders == word) for word in WORDS["gender"]) >= FOLDS,
            "age": np.isfinite(self._ages).sum() >= 2 * FOLDS,
        }
        self.attributes = tuple(name for name, known in enough.items() if known)
        if not self.attributes:
            raise Unavailable(
                f"{evaluation.store.card.name} knows gender or age of too few training people to fit a probe: "
                f"it needs {FOLDS} of each gender or {2 * FOLDS} ages."
            )
        self.id = f"probe/{self.VERSION} on {evaluation.extractors[key].id}"

    def __call__(self, images: Tensor) -> dict[str, list[str] | FloatArray]:
        """uint8 ``[B, 3, H, W]`` -> "gender" ("f", "m") ``[B]`` and "age" in years ``[B]``, as far as fitted."""
        rows = unit_rows(np.asarray(self._evaluation.embed(self._key, images.cpu().numpy())[0], np.float64))
        found: dict[str, list[str] | FloatArray] = {}
        if "gender" in self._models:
            found["gender"] = [str(word) for word in self._models["gender"].predict(rows)]
        if "age" in self._models:
            found["age"] = np.asarray(self._models["age"].predict(rows), np.float64)
        return found

    @cached_property
    def sha256(self) -> str:
        """Of the fitted coefficients."""
        digest = hashlib.sha256()
        for model in self._models.values():
            digest.update(np.asarray(model.coef_, np.float64).tobytes())
            digest.update(np.asarray(model.intercept_, np.float64).tobytes())
        return digest.hexdigest()

    @cached_property
    def _models(self) -> dict[str, Any]:
        """Fitted on first use: a run with nothing to score never waits for it."""
        photos, owners = _training_photos(self._evaluation, self._key)
        fits = {"gender": (_gender_model, self._genders), "age": (_age_model, self._ages)}
        chosen = {name: fits[name] for name in self.attributes}
        return {name: fit(photos, known[owners], owners) for name, (fit, known) in chosen.items()}


def _training_photos(evaluation: Evaluation, key: str) -> tuple[FloatArray, FloatArray]:
    """Embeddings of all training photos at length 1, ``[T, D]`` float64, and the identity's row of each ``[T]``."""
    counts = [len(faces) for faces in evaluation.train_faces]
    photos = evaluation.real(key).training_photos
    if photos is None:  # kept for the judge alone
        photos = evaluation.embed(key, np.concatenate(evaluation.train_faces))[0]
    return unit_rows(np.asarray(photos, np.float64)), np.repeat(np.arange(len(counts)), counts)


def _gender_model(photos: FloatArray, genders: FloatArray, owners: FloatArray) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    known = np.isin(genders, WORDS["gender"])
    photos, genders, owners = photos[known], genders[known].astype(str), owners[known]
    # Deterministic: lbfgs has no random start, and the folds are not shuffled.
    model, folds = LogisticRegression(max_iter=5000), StratifiedGroupKFold(FOLDS)
    return _fitted(model, {"C": STRENGTHS}, folds, "neg_log_loss", photos, genders, owners)


def _age_model(photos: FloatArray, ages: FloatArray, owners: FloatArray) -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    known = np.isfinite(ages)
    photos, ages, owners, score = photos[known], ages[known], owners[known], "neg_mean_absolute_error"
    return _fitted(Ridge(), {"alpha": STRENGTHS}, GroupKFold(FOLDS), score, photos, ages, owners)


def _fitted(
    model: Any, search: dict[str, Any], folds: Any, score: str, photos: Any, truth: Any, owners: Any
) -> Any:
    """The model at its best strength; no identity is in two folds, and all weigh the same."""
    from sklearn.model_selection import GridSearchCV

    _, rows, counts = np.unique(owners, return_inverse=True, return_counts=True)
    chosen = GridSearchCV(model, search, scoring=score, cv=folds)
    return chosen.fit(photos, truth, groups=owners, sample_weight=1 / counts[rows]).best_estimator_


# ---------------------------------------------------------------- scores


def attribute_scores(
    evaluation: Evaluation, judge: AttributeJudge, answer: Answer
) -> list[tuple[AttributeMetric, Score]]:
    """The agreement of an answer's faces with their identities, one score for each attribute that the judge names.

    A metric is left out where the judge does not name its attribute or the reference is known of too few identities;
    all are left out where the answer has no faces. Raises BenchError where the judge's answer is malformed.
    """
    if answer.faces is None:
        return []
    rows = np.ones(len(evaluation.identities), bool) if answer.rows is None else answer.rows
    verdicts = judged(evaluation, judge, answer.faces)
    known = references(evaluation, judge, list(verdicts))
    found: list[tuple[AttributeMetric, Score]] = []
    for metric in METRICS:
        if metric.attribute not in verdicts:
            continue
        reference = list(compress(known[metric.attribute], rows))
        if sum(value is not None for value in reference) >= metric.min_n:
            random = np.random.default_rng(seed_of(metric.name, judge.id))
            found.append((metric, metric(reference, verdicts[metric.attribute], random)))
    return found


def judged(evaluation: Evaluation, judge: AttributeJudge, faces: ByteArray) -> dict[str, list[Any]]:
    """The judge's verdicts on uint8 ``[N, 3, H, W]``, one for each face; BenchError where they are malformed.

    They are kept in the cache whatever the order of the faces: handing faces to other identities asks nothing anew.
    """
    digests = [hashlib.sha256(face.tobytes()).hexdigest() for face in faces]
    first = {digest: row for row, digest in reversed(list(enumerate(digests)))}
    key = hash_of([keyed(judge), judge.sha256, VERDICTS_VERSION, sorted(first)])

    def make(path: Path) -> None:
        rows = sorted(first.values())
        verdicts = _asked(judge, faces if len(rows) == len(faces) else faces[rows])
        asked = [digests[row] for row in rows]
        save_facts(path, {name: dict(zip(asked, values, strict=True)) for name, values in verdicts.items()})

    known = kept(evaluation.cache / f"{key}.json", make, load_facts, evaluation.say)
    return {name: [values[digest] for digest in digests] for name, values in known.items()}


def _asked(judge: AttributeJudge, faces: ByteArray) -> dict[str, list[Any]]:
    answer = judge(torch.from_numpy(faces))
    verdicts = {name: np.asarray(values).tolist() for name, values in answer.items()}
    for name, values in verdicts.items():
        if len(values) != len(faces):
            raise BenchError(f"{judge.id}: {len(values)} verdicts on {name} for {len(faces)} faces.")
        if strange := sorted({str(value) for value in values if value not in WORDS.get(name, (value,))}):
            said = ", ".join(strange)
            raise BenchError(f"{judge.id}: {name} must be one of {WORDS[name]}, it says {said}.")
        if name == "age" and not np.isfinite(values).all():
            raise BenchError(f"{judge.id}: an age must be a finite number of years, it says NaN or infinity.")
    return verdicts


def references(
    evaluation: Evaluation, judge: AttributeJudge, attributes: Sequence[str]
) -> dict[str, list[Any]]:
    """By attribute the reference of each test identity: what is known, else the judge's verdict, else None."""
    known = {name: known_of(evaluation, name) for name in attributes}
    unknown = [name for name, values in known.items() if None in values]
    if unknown:
        verdicts = _verdicts_on_photos(evaluation, judge)
        for name in unknown:
            pairs = zip(known[name], verdicts[name], strict=True)
            known[name] = [verdict if value is None else value for value, verdict in pairs]
    return known


def known_of(evaluation: Evaluation, attribute: str) -> list[Any]:
    """What the data set knows of each test identity, None where it does not; no data set knows ethnicity."""
    return [getattr(person, attribute, None) for person in evaluation.identities]


def _verdicts_on_photos(evaluation: Evaluation, judge: AttributeJudge) -> dict[str, list[Any]]:
    """By attribute the judge's verdict on each test identity's photos without the held-out one."""
    others = [faces[1:] if len(faces) > 1 else faces for faces in evaluation.test_faces]
    photos = [faces[:REFERENCE_PHOTOS] for faces in others]
    owners = np.repeat(np.arange(len(photos)), [len(faces) for faces in photos])
    verdicts = judged(evaluation, judge, np.concatenate(photos))
    return {
        name: [_summary(name, list(compress(values, owners == row))) for row in range(len(photos))]
        for name, values in verdicts.items()
    }


def _summary(attribute: str, verdicts: Sequence[Any]) -> Any:
    """One verdict from several: the mean age; the most frequent word, None where two are equally frequent."""
    if attribute == "age":
        return float(np.mean(verdicts))
    (word, most), *others = Counter(verdicts).most_common(2)
    return None if others and others[0][1] == most else word


# ---------------------------------------------------------------- the judge itself


def judge_error(
    evaluation: Evaluation, judge: AttributeJudge
) -> dict[str, tuple[float, tuple[float, float], int]]:
    """By attribute the judge's error on one true photo of each identity: (value, 95 % interval, identities).

    gender and ethnicity: share of wrong verdicts; age: mean absolute years. The held-out photos by the same metrics:
    what separates the row of another true photo from a perfect one. Empty where no identity has a photo to hold out.
    """
    if not evaluation.has_held_out.any():
        return {}
    truth = Answer(faces=evaluation.held_out_photos, rows=evaluation.has_held_out)
    found: dict[str, tuple[float, tuple[float, float], int]] = {}
    for metric, score in attribute_scores(evaluation, judge, truth):
        assert score.interval is not None
        value, (low, high) = score.value, score.interval
        if metric.higher_is_better:  # a share of right verdicts
            value, low, high = 1 - value, 1 - high, 1 - low
        found[metric.attribute] = value, (low, high), score.n
    return found


def notes(evaluation: Evaluation, judge: AttributeJudge) -> tuple[str, ...]:
    """One sentence for each attribute, for a record: how often the judge errs on true photos, and against what."""
    found = []
    for attribute, (value, (low, high), n) in judge_error(evaluation, judge).items():
        if attribute == "age":
            text = f"errs by {value:.1f} ({low:.1f} to {high:.1f}) years in age"
        else:
            text = f"is wrong on {attribute} for {value:.1%} ({low:.1%} to {high:.1%})"
        if guessed := sum(known is None for known in known_of(evaluation, attribute)):
            text += (
                f"; for {guessed} of {len(evaluation.identities)} people, of whom it is not known, the judge's own "
                "verdict on their other photos is the reference"
            )
        found.append(f"On one true photo each of {n} people {judge.id} {text}.")
    return tuple(found)
