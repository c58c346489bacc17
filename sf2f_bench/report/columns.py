"""Which metrics each table shows, by whom, and what they are called there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sf2f_bench.protocols.names import PAPER, SEGMENT_FRAMES
from sf2f_bench.protocols.paper.metrics import FUSED, INCEPTION_PARTS, MEAN_VOICE, ONE_SEGMENT, PARTS
from sf2f_bench.results.numbers import Error, Format
from sf2f_bench.results.selection import Group

STRATA = {"G": "gender", "N": "nationality", "A": "age", "GNA": "all three"}
FRAMES_PER_SECOND = 100  # of the windows that `SEGMENT_FRAMES` counts


@dataclass(frozen=True)
class Column:
    """A metric as a column. `pattern` finds its score; the lowest `rank` leaves first where room is short.

    Columns of one rank leave together.
    by: a role, or the id of the extractor that is asked.
    error: what stands after the value: its interval (the spread where it has none), its spread, or nothing.
    """

    heading: str
    pattern: str
    format: Format
    rank: int
    plotted: bool = False
    by: str = "judge"
    error: Error = "interval"
    factor: float = 1.0  # what the table multiplies by, and the heading says so


@dataclass(frozen=True)
class Family:
    """Published networks whose distances and scores have names of their own."""

    title: str
    frechet: str = "Frechet"
    kernel: str = "kernel distance"
    information: str = "MI score"


PLAIN = Family("By a further network")
FAMILIES = {  # what an extractor's id begins with, the longer of two first
    "inception-2015": Family("By Inception, which tells pictures apart and not people", "FID", "KID", "IS"),
    "vggface2-resnet50-rgb": Family(
        "By VGGFace2's classifier, its channels in the order of the published code",
        "FVFD",
        information="VGGFace Score",
    ),
    "vggface2-resnet50": Family("By VGGFace2's classifier", "FVFD", information="VGGFace Score"),
    "dinov2": Family("By DINOv2, which tells pictures apart and not people"),
}


def family_of(extractor: str) -> Family:
    """How an extractor's numbers are called; one without a published name (every embedded one) has plain words."""
    return next((family for start, family in FAMILIES.items() if extractor.startswith(start)), PLAIN)


def retrieval_columns(group: Group) -> list[Column]:
    """Recall in galleries at 1, 5 and 10 (those the benchmark has), and what else the protocol has of ranks."""
    gallery, top = group.gallery, group.headline_k
    ks = sorted({k for k in (1, 5) if k in group.rows[0].record.benchmark.ks and k < top} | {top})
    recalls = [
        Column(f"recall@{k} {gallery}", f"recall@{k}/{gallery}", "share", 9 if k == top else k, k == top)
        for k in ks
    ]
    if group.protocol == PAPER:
        for words, ending, rank in (("one segment", ONE_SEGMENT, 8), ("mean voice", MEAN_VOICE, 7)):
            pattern = f"recall@{top}/{gallery}{ending}"
            recalls.append(Column(f"recall@{top} {words}", pattern, "share", rank, ending == ONE_SEGMENT))
        return [replace(column, by="training-loss", error="spread") for column in recalls]
    return [
        *recalls,
        Column(f"recall@{top} full", f"recall@{top}/full", "share", 8, True),
        Column("median rank", "median-rank/full", "rank", 7, True),
        Column("MRR", "mrr/full", "share", 6, True),
        Column("matching 1:2", "matching/1:2", "share", 0),
        Column("mAP", "map/photos", "share", -1),
    ]


def likeness_columns(group: Group) -> list[Column]:
    """Similarity to the true identity and the quality of the drawn faces."""
    return _paper_likeness(group) if group.protocol == PAPER else _similarity_and_quality(group, "judge")


def paper_classifier(group: Group) -> str | None:
    """Who plays the classifier of the published quality score: VGGFace2's, or the judge."""
    return group.asked(_information(PARTS))


def paper_inception(group: Group) -> str | None:
    """Who gives FID and Inception Score; None where its weights were not there."""
    return group.asked(_information(INCEPTION_PARTS)) or group.asked("frechet-distance")


def _information(parts: int) -> str:
    return f"mutual-information/{parts}-parts"


def _paper_likeness(group: Group) -> list[Column]:
    """Distances by the network of the training loss, then what the published quality scores are."""
    score = _information(PARTS)
    classifier = paper_classifier(group) or "judge"
    name = family_of(classifier).information
    columns = [
        Column("cosine", "cosine", "share", 9, True, "training-loss", "spread"),
        Column("L1", "l1", "size", 7, True, "training-loss", "spread"),
        Column("L2", "l2", "size", 6, True, "training-loss", "spread"),
        Column(name, score, "size", 8, True, classifier, "spread"),
        Column(
            f"{name.removesuffix(' score')} ± over parts",
            f"{score}/deviation",
            "size",
            4,
            False,
            classifier,
            "none",
        ),
        Column(f"{name} fused", f"{score}{FUSED}", "size", 5, False, classifier, "spread"),
    ]
    if inception := paper_inception(group):
        score, words = _information(INCEPTION_PARTS), family_of(inception)
        fid = _with_n(group, words.frechet, "frechet-distance", inception)
        columns += [
            Column(fid, "frechet-distance", "size", 3, False, inception, "spread"),
            Column(f"{fid} fused", f"frechet-distance{FUSED}", "size", 1, False, inception, "spread"),
            Column(words.information, score, "size", 2, False, inception, "spread"),
            Column(f"{words.information} fused", f"{score}{FUSED}", "size", 0, False, inception, "spread"),
        ]
    return columns


def _similarity_and_quality(group: Group, by: str) -> list[Column]:
    """Cosine, verification AUC, MI score, Frechet distance at n and at infinite n, kernel distance."""
    words = family_of(group.extractor(by) or by)
    return [
        Column("cosine", "cosine", "share", 9, True, by),
        Column("verification AUC", "verification-auc", "share", 8, True, by),
        Column(words.information, r"mutual-information-score/parts\d+", "size", 7, True, by),
        Column(
            _with_n(group, words.frechet, "frechet-distance", by), "frechet-distance", "size", 6, True, by
        ),
        Column(f"{words.frechet}, n to infinity", "frechet-distance/extrapolated", "size", 4, False, by),
        Column(f"{words.kernel} x1000", "kernel-distance", "size", 5, True, by, factor=1000),
    ]


def training_loss_columns(group: Group) -> list[Column]:
    """The three columns shown by the network of the training loss."""
    top = group.headline_k
    recall = Column(f"recall@{top} {group.gallery}", f"recall@{top}/{group.gallery}", "share", 9)
    cosine, _, information, *_ = _similarity_and_quality(group, "training-loss")
    return [replace(recall, by="training-loss"), cosine, information]


def strata_columns(group: Group) -> list[Column]:
    """Who is who among people of one gender, nationality, age, or all three; matching and verification at large."""
    top, gallery = group.headline_k, group.gallery
    recalls = [
        Column(f"recall@{top} {gallery} within {letter}", f"recall@{top}/{gallery}/{letter}", "share", rank)
        for letter, rank in zip(STRATA, (9, 6, 5, 8), strict=True)
    ]
    matching = [
        Column(f"matching 1:2 within {letter}", f"matching/1:2/{letter}", "share", rank)
        for letter, rank in zip(STRATA, (7, 1, 0, 2), strict=True)
    ]
    return [
        *recalls,
        *matching,
        Column("matching 1:10", "matching/1:10", "share", 4),
        Column("verification EER", "verification-eer", "share", 3),
    ]


def strata_of(group: Group) -> list[str]:
    """The letters of the strata that this group has numbers within."""
    metrics = {score.metric for score in group.scores}
    return [letter for letter in STRATA if any(metric.endswith(f"/{letter}") for metric in metrics)]


NEIGHBOURHOODS = [
    Column("precision k=5", "precision/k5", "share", 5),
    Column("manifold recall k=5", "manifold-recall/k5", "share", 4),
    Column("density k=5", "density/k5", "share", 2),
    Column("coverage k=5", "coverage/k5", "share", 3),
]


def distribution_columns(group: Group) -> list[Column]:
    """Where the faces lie, how many unlike ones there are, whether they are copied, whether the voice decides them."""
    return [
        *NEIGHBOURHOODS,
        Column("diversity", "diversity", "share", 7),
        Column(_with_n(group, "effective faces", "effective-faces", "judge"), "effective-faces", "size", 1),
        Column(_with_n(group, "distinct faces", "distinct-faces", "judge"), "distinct-faces", "share", 9),
        Column("copied faces", "copied-faces", "share", 8),
        Column("consistency", "consistency", "share", 6),
        Column("consistency AUC", "consistency-auc", "share", 0),
    ]


def attribute_columns(judge: str) -> list[Column]:
    """Does the drawn face have the person's gender, ethnicity and age?"""
    return [
        Column("gender agreement", "gender-agreement", "share", 9, by=judge),
        Column("ethnicity agreement", "ethnicity-agreement", "share", 7, by=judge),
        Column("age difference (years)", "age-difference", "size", 8, by=judge),
    ]


def seconds_of_speech(group: Group) -> dict[float, str]:
    """The points of the audio-length curve and what their metrics' names end in; all speech is the plain metric."""
    metrics = {score.metric for score in group.scores}
    found = {float(length[1]): length[0] for name in metrics if (length := re.search(r"/([\d.]+)s$", name))}
    everything = group.rows[0].record.benchmark.segments * SEGMENT_FRAMES / FRAMES_PER_SECOND
    return {**dict(sorted(found.items())), everything: ""} if found else {}


def length_columns(group: Group) -> list[Column]:
    """The headline recall and the cosine at each length of speech; none where shorter speech was not drawn from."""
    lengths, top = seconds_of_speech(group), group.headline_k
    return [
        Column(f"{name} {seconds:g} s", re.escape(f"{metric}{ending}"), "share", rank)
        for name, metric, ranks in (  # the longest speech stays longest
            (f"recall@{top}", f"recall@{top}/{group.gallery}", range(10, 10 + len(lengths))),
            ("cosine", "cosine", [0] * len(lengths)),
        )
        for (seconds, ending), rank in zip(lengths.items(), ranks, strict=True)
    ]


def further_columns(group: Group, extractor: str) -> list[Column]:
    """What one further network has numbers for: distances between distributions, and who is who where it can tell."""
    top = group.headline_k
    cosine, auc, information, frechet, unbiased, kernel = _similarity_and_quality(group, extractor)
    ranked: Sequence[tuple[int, Column]] = [
        (9, frechet),
        (4, unbiased),
        (7, kernel),
        (6, information),
        (8, Column(f"recall@{top} {group.gallery}", f"recall@{top}/{group.gallery}", "share", 0)),
        (5, cosine),
        (1, auc),
        *zip((3, 2, -1, 0), NEIGHBOURHOODS, strict=True),
    ]
    columns = [replace(column, rank=rank, by=extractor) for rank, column in ranked]
    mine = [score.metric for score in group.scores if score.extractor == extractor]
    return [column for column in columns if any(re.fullmatch(column.pattern, metric) for metric in mine)]


def _with_n(group: Group, heading: str, pattern: str, by: str) -> str:
    """``FID n=300``: what n decides is never named without it."""
    found = {score.n for row in group.rows if (score := row.score(pattern, by)) is not None}
    return f"{heading} n={'-'.join(str(n) for n in sorted({min(found), max(found)}))}" if found else heading
