"""The metrics of protocol `sf2f-paper/1`: what SF2F's published tables hold, computed as its code does it.

They are plain numbers over the rows of one run; `over_runs` turns ten runs into one `Score`. Truth and
predictions enter as they come: means of embeddings are not brought back to length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sf2f_bench.metrics import distribution, quality, retrieval
from sf2f_bench.metrics.arrays import slices
from sf2f_bench.metrics.similarity import SIMILARITIES, likeness_card
from sf2f_bench.protocols.names import headline_k
from sf2f_bench.protocols.scores import NamedMetric
from sf2f_bench.statistics.intervals import mean_interval
from sf2f_bench.types import BenchError, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sf2f_bench.metrics.arrays import Matrix

GALLERIES = 3
PARTS = 5  # of the VGGFace Score
INCEPTION_PARTS = 3  # of the Inception Score
ONE_SEGMENT = "/one-segment"  # ends the name of a metric of faces that were generated from one segment each
MEAN_VOICE = "/mean-voice"  # of faces that were generated from the mean of the segments' voice embeddings
FUSED = "/fused"  # ends the name of a quality metric of faces that were generated from all segments at once


class PaperMetric(NamedMetric, Protocol):
    """A metric that gives a number for each identity; the last identities may be left out."""

    @property
    def needs_embeddings(self) -> bool:
        """Whether it needs more than an order of the gallery."""
        ...

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The smallest and largest value possible."""
        ...

    def __call__(self, predictions: ArrayLike, truth: ArrayLike) -> Matrix:
        """Predictions and truth ``[N, D]`` -> values ``[n]`` of the first n identities, in their order."""
        ...


def _of_faces(card: MetricCard, suffix: str) -> MetricCard:
    """The card of a metric whose name ends so: ``FID fused``, with the spread over the runs beside its values."""
    faces = suffix.removeprefix("/")
    words = f" {faces.replace('-', ' ')}" if suffix else ""
    return replace(
        card,
        parameters={**card.parameters, **({"faces": faces} if suffix else {})},
        heading=f"{card.heading}{words}",
        headings={convention: f"{name}{words}" for convention, name in card.headings.items()},
        error="spread",
    )


def gallery_count(identities: int, size: int) -> int:
    """How many galleries of `size` this many identities fill: 1 to 3. Raises BenchError for none."""
    if size < 1 or identities < size:
        raise BenchError(
            f"a gallery of {size} needs as many test identities, there are {identities}: choose a smaller "
            "gallery (--gallery) with k below its size (--ks)."
        )
    return min(GALLERIES, identities // size)


@dataclass(frozen=True)
class GalleryRecall:
    """Recall@k in fixed galleries: rows 0-99, 100-199 and 200-299 of the sorted list of test identities.

    Quirks: which identities compete follows from the order of the list; identities past the last full gallery (past
    300) never enter; three galleries are a sample of all possible ones. Unlike the official code's order of
    equals, ties count by their expectation.

    Range: 0..1; chance k / size exactly, knowing only the gender about twice that.
    Direction: higher is better.
    Computed by: `retrieval.ranks`, `retrieval.expected_recall`.
    Source: SF2F's evaluation code (arXiv 2006.05888).
    Pitfall: another order of the test list gives another number; the network of the training loss scores.
    """

    k: int
    size: int = 100
    galleries: int = GALLERIES
    suffix: str = ""
    headline_k: int = 0
    version: int = 1
    higher_is_better: bool = True
    needs_embeddings: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def name(self) -> str:
        """``recall@5/g100x3``, ``recall@5/g100x3/one-segment``."""
        return f"recall@{self.k}/g{self.size}x{self.galleries}{self.suffix}"

    @property
    def card(self) -> MetricCard:
        """Columns of all faces at a few k, and of one segment and the mean voice at the headline's k."""
        is_top, shown = self.k == self.headline_k, self.k in retrieval.SHOWN_KS and self.k < self.headline_k
        place = ("", ONE_SEGMENT, MEAN_VOICE).index(self.suffix) if is_top else 0
        has_column = is_top or (shown and not self.suffix)
        card = retrieval.Recall(self.k, self.size).card
        return _of_faces(
            replace(
                card,
                parameters={**card.parameters, "galleries": self.galleries},
                heading=f"recall@{self.k}" + ("" if self.suffix else f" g{self.size}x{self.galleries}"),
                headline=is_top and not self.suffix,
                decides=("training-loss",) if is_top and not self.suffix else (),
                tables={"retrieval": 9 - place if is_top else self.k} if has_column else {},
                order={"retrieval": place} if has_column else {},
                plotted=is_top and self.suffix != MEAN_VOICE,
            ),
            self.suffix,
        )

    def __call__(self, predictions: ArrayLike, truth: ArrayLike) -> Matrix:
        """``[N, D]``, ``[N, D]`` -> ``[galleries * size]``. Raises BenchError for fewer rows than that."""
        probes, answers = np.asarray(predictions), np.asarray(truth)
        needed, n = self.galleries * self.size, min(len(probes), len(answers))
        if n < needed:
            raise BenchError(f"{self.name} needs {needed} identities, got {n}.")
        galleries = slices(needed, self.size)
        ranks = (retrieval.ranks(probes[rows], answers[rows]) for rows in galleries)
        return np.concatenate([retrieval.expected_recall(*both, self.size, None, self.k) for both in ranks])


@dataclass(frozen=True)
class PublishedSimilarity:
    """Cosine, L1 or L2 of each prediction to its identity's truth, over all identities, past 300 too.

    Quirks: neither side is brought back to length 1 after its mean, so the distances shrink where the embeddings
    of several faces or photos disagree; PairwiseDistance adds 1e-6 to every difference.

    Range: -1..1 (cosine), 0 or more (l1, l2).
    Direction: higher is better (cosine), lower is better (l1, l2).
    Computed by: `similarity.cosine_similarity`, `similarity.l1_distance`, `similarity.l2_distance`.
    Pitfall: averaging over many faces raises the cosine and shrinks the distances, whatever the faces.
    """

    kind: str
    suffix: str = ""
    version: int = 1
    needs_embeddings: bool = True
    bounds: None = None

    @property
    def name(self) -> str:
        """``cosine``, ``l1``, ``l2``, each perhaps with ``/one-segment``."""
        return f"{self.kind}{self.suffix}"

    @property
    def higher_is_better(self) -> bool:
        """The cosine is a similarity, the others are distances."""
        return self.kind == "cosine"

    @property
    def card(self) -> MetricCard:
        """Columns of all faces; those of one segment and of the mean voice stand in files alone."""
        card = _of_faces(likeness_card(self.kind), self.suffix)
        if self.suffix:
            return replace(card, decides=(), shown=())
        place = tuple(SIMILARITIES).index(self.kind)
        return replace(card, tables={"likeness": (9, 7, 6)[place]}, order={"likeness": place}, plotted=True)

    def __call__(self, predictions: ArrayLike, truth: ArrayLike) -> Matrix:
        """``[N, D]``, ``[N, D]`` -> ``[N]``."""
        return SIMILARITIES[self.kind](predictions, truth)


@dataclass(frozen=True)
class Deviation:
    """A standard deviation over the parts, reported beside a mutual-information score.

    Formula: the population standard deviation of the parts' values.
    Range: 0 or more.
    Direction: lower is better.
    Computed by: `quality.mutual_information_score`.
    Pitfall: small is only steady, not good; it is no confidence interval.
    """

    name: str
    version: int
    higher_is_better: bool = False
    card: MetricCard = field(default_factory=MetricCard, compare=False)


@dataclass(frozen=True)
class MutualInformation:
    """exp of the mutual information of face and class, a mean over parts of the faces.

    With VGGFace2's classifier and five shuffled parts the VGGFace Score; with Inception's classes and three parts in
    the order of the test list the Inception Score. Quirks: one face an identity; which face lands in which part is
    chance, or the alphabet. Here 0 log 0 is 0, where the official code gives NaN.

    Range: 1..min(C, N / parts).
    Direction: higher is better.
    Computed by: `quality.mutual_information_score`.
    Pitfall: it cannot exceed the size of a part, so it is comparable at equal N only.
    """

    suffix: str = ""
    parts: int = PARTS
    shuffled: bool = True
    version: int = 1
    higher_is_better: bool = True

    @property
    def name(self) -> str:
        """``mutual-information/5-parts``, ``mutual-information/3-parts/fused``."""
        return f"mutual-information/{self.parts}-parts{self.suffix}"

    @property
    def min_n(self) -> int:
        """Two faces a part: with one the score is 1 whatever the face."""
        return 2 * self.parts

    @property
    def deviation(self) -> Deviation:
        """The metric beside it: the standard deviation over the parts."""
        shown = self.parts == PARTS and not self.suffix
        card = replace(
            self.card,
            parameters={**self.card.parameters, "deviation": "over parts"},
            heading="MI ± over parts",
            headings={"inception": "IS ± over parts", "vggface2": "VGGFace Score ± over parts"},
            bounds=(0.0, None),
            tables={"likeness": 4} if shown else {},
            order={"likeness": 4} if shown else {},
            error="none",
            plotted=False,
        )
        return Deviation(f"{self.name}/deviation", self.version, card=card)

    @property
    def card(self) -> MetricCard:
        """Its name in tables is that of the published network's score, where a published network gives it."""
        priority, place = {
            (PARTS, ""): (8, 3),
            (PARTS, FUSED): (5, 5),
            (INCEPTION_PARTS, ""): (2, 8),
            (INCEPTION_PARTS, FUSED): (0, 9),
        }[self.parts, self.suffix]
        card = quality.MutualInformationScore(self.parts).card
        return replace(
            _of_faces(card, self.suffix),
            decides=(),
            shown=(),
            tables={"likeness": priority},
            order={"likeness": place},
            plotted=self.parts == PARTS and not self.suffix,
            caveat=card.caveat.replace("one part", f"one of {self.parts} parts"),
        )

    def __call__(self, probabilities: ArrayLike, rng: np.random.Generator) -> tuple[float, float]:
        """``[N, C]`` -> mean and population standard deviation over the parts."""
        order = rng.permutation(len(np.asarray(probabilities))) if self.shuffled else None
        return quality.mutual_information_score(probabilities, self.parts, order)


def inception_score(suffix: str = "") -> MutualInformation:
    """The Inception Score as the official code cuts it."""
    return MutualInformation(suffix, INCEPTION_PARTS, shuffled=False)


@dataclass(frozen=True)
class PublishedFrechetDistance:
    """FID as published: one random photo an identity against one face an identity, Inception's pool features.

    Range: 0 or more.
    Direction: lower is better.
    Computed by: `distribution.frechet_distance`.
    Pitfall: with N identities, far fewer than the 2048 features, it is mostly bias, in an amount that depends on the
    system (arXiv 1911.07023).
    """

    suffix: str = ""
    version: int = 1
    higher_is_better: bool = False
    min_n: int = 2

    @property
    def name(self) -> str:
        """``frechet-distance``, ``frechet-distance/fused``."""
        return f"frechet-distance{self.suffix}"

    @property
    def card(self) -> MetricCard:
        """Called FID, because Inception gives it."""
        return replace(
            _of_faces(distribution.FrechetDistance.card, self.suffix),
            shown=() if self.suffix else ("judge", "further"),
            tables={"likeness": 1 if self.suffix else 3},
            order={"likeness": 7 if self.suffix else 6},
            plotted=False,
            caveat=f"{distribution.FRECHET_CAVEAT}.",
        )

    def __call__(self, photos: ArrayLike, faces: ArrayLike) -> float:
        """``[N, D]``, ``[N, D]`` -> 0 or more."""
        return distribution.frechet_distance(photos, faces)


def similarity_metrics(
    gallery_size: int, ks: Sequence[int], identities: int, suffix: str = ""
) -> list[PaperMetric]:
    """Recalls and distances for galleries of `gallery_size` among this many test identities.

    Raises BenchError where no gallery can be filled, or a k is not in 1..gallery_size.
    """
    galleries = gallery_count(identities, gallery_size)
    for k in ks:
        retrieval.check_k(k, gallery_size)
    return [
        *(GalleryRecall(k, gallery_size, galleries, suffix, headline_k(ks)) for k in ks),
        *(PublishedSimilarity(kind, suffix) for kind in SIMILARITIES),
    ]


def all_metrics(gallery_size: int, ks: Sequence[int], identities: int) -> list[NamedMetric]:
    """Every metric that a record of the protocol may hold. Raises BenchError as `similarity_metrics` does."""
    suffixes = ("", FUSED)
    qualities = [make(suffix) for make in (MutualInformation, inception_score) for suffix in suffixes]
    return [
        *(
            metric
            for suffix in ("", ONE_SEGMENT, MEAN_VOICE)
            for metric in similarity_metrics(gallery_size, ks, identities, suffix)
        ),
        *qualities,
        *(metric.deviation for metric in qualities),
        *(PublishedFrechetDistance(suffix) for suffix in suffixes),
    ]


def over_runs(
    metric: PaperMetric, predictions: ArrayLike, truth: ArrayLike, rng: np.random.Generator
) -> Score:
    """The mean over runs ``[R, N, D]`` against one truth ``[N, D]``; spread: deviation over the runs.

    The spread is the population standard deviation of the runs' means, None for a single run: it holds the test
    identities fixed and says only what another crop of the same voices would change. The interval is a
    bootstrap over identities of their means over the runs.
    """
    runs = np.stack([metric(prediction, truth) for prediction in np.asarray(predictions)])  # [R, n]
    values = runs.mean(axis=0)
    spread = float(runs.mean(axis=1).std()) if len(runs) > 1 else None
    interval = mean_interval(values, rng, metric.bounds)
    return Score(float(values.mean()), len(values), interval, values, spread=spread)


def quality_over_runs(
    metric: MutualInformation, probabilities: ArrayLike, rng: np.random.Generator
) -> tuple[Score, Score]:
    """``[R, N, C]`` -> the score (mean and spread over the runs) and its deviation over the parts.

    Where the metric shuffles, each run does so anew. The deviation over parts, which published tables print after
    the score, is the mean of the runs'. Neither has an interval: the score is biased by N.
    """
    runs = np.asarray(probabilities)
    found = np.array([metric(rows, rng) for rows in runs])  # [R, 2]
    spreads = found.std(axis=0).tolist() if len(runs) > 1 else (None, None)
    means = zip(found.mean(axis=0).tolist(), spreads, strict=True)
    score, deviation = (Score(mean, runs.shape[1], spread=spread) for mean, spread in means)
    return score, deviation


def frechet_over_runs(metric: PublishedFrechetDistance, photos: ArrayLike, faces: ArrayLike) -> Score:
    """``[R, N, D]``, ``[R, N, D]`` -> mean over the runs, spread: deviation over them; no interval, biased by N."""
    pairs = zip(np.asarray(photos), np.asarray(faces), strict=True)
    found = np.array([metric(*pair) for pair in pairs])
    spread = float(found.std()) if len(found) > 1 else None
    return Score(float(found.mean()), np.shape(faces)[1], spread=spread)
