"""How much worse is a regression, and by which metrics: the defaults, and how a user says otherwise."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from typing import Any

from sf2f_bench.protocols.names import headline_k
from sf2f_bench.results.records import BenchmarkPart, ScoreRecord
from sf2f_bench.types import BenchError


@dataclass(frozen=True)
class Margin:
    """How much less than the reference is no regression yet.

    amount: in the metric's own unit, or where `relative` as a share of the reference's value. reason: why so much.
    """

    amount: float
    reason: str = "stated by the user"
    relative: bool = False

    def of(self, reference: float) -> float:
        """In the metric's own unit, where the reference has this value."""
        return self.amount * abs(reference) if self.relative else self.amount


@dataclass(frozen=True)
class Named:
    """Metrics by one kind of extractor: a role of `ScoreRecord` and a pattern of names.

    ``{k}`` and ``{gallery}`` in a pattern stand for the benchmark's headline k and its gallery's size.
    """

    role: str
    pattern: str

    def fits(self, score: ScoreRecord, part: BenchmarkPart) -> bool:
        """Is this score one of them?"""
        k = headline_k(part.ks)
        pattern = self.pattern.format(k=k, gallery=part.gallery_size)
        return score.extractor_role == self.role and fnmatchcase(score.metric, pattern)


OWN_UNIT = "in a unit of the network's own"
MARGINS = (  # the first pattern that fits counts
    ("recall@*", Margin(0.05, "half of what knowing the gender adds to chance at k = 10 of 100")),
    ("matching/1:2*", Margin(0.03, "as the AUC, which it estimates")),
    ("matching/*", Margin(0.05, "as recall")),
    ("map/*", Margin(0.02, "a fifth of what a straight line from voice statistics reaches")),
    ("mrr/*", Margin(0.02, "likewise")),
    ("median-rank/*", Margin(0.1, "ranks grow with the gallery", relative=True)),
    ("verification-auc", Margin(0.03, "an eighth of what knowing the gender adds to chance")),
    ("verification-eer", Margin(0.03, "as the AUC")),
    ("cosine*", Margin(0.03, "a tenth of what a straight line from voice statistics reaches")),
    ("inter-identity-similarity", Margin(0.03, "as the cosine")),
    ("l1", Margin(0.05, OWN_UNIT, relative=True)),
    ("l2", Margin(0.05, OWN_UNIT, relative=True)),
    ("mutual-information*", Margin(0.1, "it counts kinds of faces: a tenth of them", relative=True)),
    ("effective-faces", Margin(0.1, "likewise", relative=True)),
    ("frechet-distance*", Margin(0.1, OWN_UNIT, relative=True)),
    ("kernel-distance", Margin(0.2, f"{OWN_UNIT}, and of squares", relative=True)),
    ("age-difference", Margin(1.0, "a year")),
    ("*", Margin(0.05, "of a share")),
)
DECIDING = (
    Named("judge", "recall@{k}/g{gallery}"),
    Named("judge", "cosine"),
    Named("judge", "verification-auc"),
    Named("judge", "mutual-information-score/*"),
    Named("judge", "kernel-distance"),
    Named(
        "training-loss", "cosine"
    ),  # it flatters, so it does not praise; but where it falls, training broke
    Named("training-loss", "verification-auc"),
    Named("training-loss", "recall@{k}/g{gallery}x*[0-9]"),  # of sf2f-paper: in so many fixed galleries
)
SHOWN = (
    Named("judge", "median-rank/full"),
    Named("judge", "map/photos"),
    Named("judge", "matching/1:2"),
    Named("judge", "frechet-distance"),
    Named("judge", "diversity"),
    Named("judge", "consistency"),
    Named("training-loss", "recall@{k}/g{gallery}"),
    Named("training-loss", "mutual-information-score/*"),
    Named("further", "recall@{k}/g{gallery}"),
    Named("further", "cosine"),
    Named("further", "frechet-distance"),
)


@dataclass(frozen=True)
class Rules:
    """Margins (the user's before the default ones), and which metrics decide and which are shown beside them."""

    margins: tuple[tuple[str, Margin], ...] = ()
    deciding: tuple[Named, ...] = DECIDING

    def margin(self, metric: str) -> Margin:
        """Of the first pattern that fits the metric's name."""
        return next(margin for pattern, margin in (*self.margins, *MARGINS) if fnmatchcase(metric, pattern))

    def decides(self, score: ScoreRecord, part: BenchmarkPart) -> bool:
        """May this score's fall fail the gate?"""
        return any(named.fits(score, part) for named in self.deciding)

    def shows(self, score: ScoreRecord, part: BenchmarkPart) -> bool:
        """Does it decide, or stand beside those that do?"""
        return self.decides(score, part) or any(named.fits(score, part) for named in SHOWN)


def rules_of(words: Sequence[str] = (), file: Path | None = None) -> Rules:
    """Rules from words ``METRIC=VALUE``, which go before those of a TOML file, which go before the defaults.

    METRIC may be a pattern like ``recall@*``; VALUE is in the metric's unit, or a share of the reference's value like
    ``20%``. The file has a table ``[margins]`` of such, and ``decide``, a list like ``["judge:cosine"]``.
    Raises BenchError that says what came and what is allowed.
    """
    said = [_margin(*word.rpartition("=")[::2]) for word in words]
    if file is None:
        return Rules(tuple(said))
    content = _read(file)
    table, decide = content.pop("margins", {}), content.pop("decide", None)
    if content or not isinstance(table, dict) or not isinstance(decide, list | None):
        raise BenchError(f"{file}: expected a table [margins] and a list decide, got also {sorted(content)}")
    said += [_margin(metric, value) for metric, value in table.items()]
    return Rules(tuple(said), DECIDING if decide is None else tuple(map(_named, decide)))


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BenchError(f"{file} is not a TOML file that can be read: {error}") from None


def _margin(metric: str, value: object) -> tuple[str, Margin]:
    """``("cosine", "0.03")`` or ``("kernel-distance", "20%")``."""
    text = str(value).strip()
    try:
        amount = float(text.removesuffix("%"))
    except ValueError:
        amount = -1.0
    if not metric.strip() or not 0 <= amount < inf:
        raise BenchError(
            f"a margin is METRIC=VALUE with a VALUE of 0 or more, like cosine=0.03 or kernel-distance=20%; "
            f"got {metric!r} and {text!r}"
        )
    relative = text.endswith("%")
    return metric.strip(), Margin(amount / 100 if relative else amount, relative=relative)


def _named(word: object) -> Named:
    role, colon, pattern = str(word).partition(":")
    if not (colon and pattern) or role not in ("judge", "training-loss", "further"):
        raise BenchError(
            f"decide takes ROLE:METRIC with role judge, training-loss or further, like judge:cosine; got {word!r}"
        )
    return Named(role, pattern)
