"""The suite: every metric that a judge is asked for, as three sets that the entry points name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sf2f_bench.metrics.distribution import ExtrapolatedFrechetDistance, FrechetDistance, KernelDistance
from sf2f_bench.metrics.diversity import (
    Consistency,
    ConsistencyAUC,
    CopiedFaces,
    CopiedPictures,
    DistinctFaces,
    Diversity,
    EffectiveFaces,
)
from sf2f_bench.metrics.manifold import SIDES, ManifoldShare
from sf2f_bench.metrics.matching import STRATA, Matching, RecallWithin
from sf2f_bench.metrics.precision import MeanAveragePrecision
from sf2f_bench.metrics.quality import MutualInformationScore
from sf2f_bench.metrics.retrieval import (
    Heard,
    HeardCosine,
    InterIdentitySimilarity,
    MeanReciprocalRank,
    MedianRank,
    Recall,
    check_k,
)
from sf2f_bench.metrics.similarity import SIMILARITIES, TrueIdentity
from sf2f_bench.metrics.verification import (
    VerificationAUC,
    VerificationEqualErrorRate,
    VerificationTrueAcceptRate,
)
from sf2f_bench.protocols.names import headline_k
from sf2f_bench.types import BenchError, Metric

# The order of the sets' names and of the metrics within them enters the keys of records: add at the end.

CANDIDATES = range(2, 11)  # of 1:N matching, as the association literature has it
FALSE_ACCEPTS = (0.01, 0.1)  # of the true accept rate
CANDIDATES_WITHIN = (2, 10)  # of 1:N matching within a stratum


def face_metrics(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """The generated faces as a set: where they lie, how varied they are, whether copied. No argument matters."""
    return _metrics(
        ExtrapolatedFrechetDistance(),
        *(ManifoldShare(side) for side in SIDES if side != "capped-precision"),
        Diversity(),
        EffectiveFaces(),
        DistinctFaces(),
        CopiedFaces(),
        CopiedPictures(),
        Consistency(),
        ConsistencyAUC(),
        ManifoldShare("capped-precision"),
    )


def identity_metrics(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """Retrieval, similarity, verification, quality and distances, for galleries among `n_test` test identities.

    ks: the k of recall@k. Raises BenchError where a k is larger than the gallery, the gallery larger than
    the test split, or no k is given.
    """
    top = _headline_k(ks)
    if gallery_size > n_test:
        raise BenchError(
            f"galleries of {gallery_size} need as many test identities, there are {n_test}: choose a smaller "
            "gallery or more test identities."
        )
    for k in ks:
        check_k(k, gallery_size)
    return _metrics(
        *(Recall(k, gallery_size, "cosine", top) for k in ks),
        *(Recall(k, gallery_size, "l1", top) for k in ks),
        *(Recall(k, None, "cosine", top) for k in ks),
        MedianRank(),
        MeanReciprocalRank(),
        *(TrueIdentity(name) for name in SIMILARITIES),
        InterIdentitySimilarity(),
        VerificationAUC(),
        MutualInformationScore(),
        FrechetDistance(),
        KernelDistance(),
        Heard(top, gallery_size, "cosine", top),
        HeardCosine(),
    )


def matching_metrics(gallery_size: int, ks: Sequence[int], n_test: int) -> list[Metric]:
    """1:N matching, matching and headline recall within strata, mAP, equal error rate and true accept rates.

    gallery_size: of recall within strata; ks: its k is the largest one up to 10. n_test is not used: a metric
    that finds too few identities says so by its `min_n`. Raises BenchError where no k is given.
    """
    k = _headline_k(ks)
    within = [  # the same stratum's together: its ranks are kept for the next one
        metric
        for stratum in STRATA
        for metric in (
            *(Matching(candidates, stratum) for candidates in CANDIDATES_WITHIN),
            RecallWithin(k, gallery_size, stratum),
        )
    ]
    return _metrics(
        *map(Matching, CANDIDATES),
        *within,
        MeanAveragePrecision(),
        VerificationEqualErrorRate(),
        *map(VerificationTrueAcceptRate, FALSE_ACCEPTS),
    )


def _headline_k(ks: Sequence[int]) -> int:
    if not ks:
        raise BenchError("no k for recall@k was given: name at least one, such as 10.")
    return headline_k(ks)


def _metrics(*metrics: object) -> list[Metric]:
    return cast("list[Metric]", list(metrics))  # frozen fields are read-only, which the protocol does not say
