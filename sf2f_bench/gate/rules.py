"""The margin of each metric and the metrics that decide: as their cards have them, unless the user sets others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path

from sf2f_bench.config import read_toml
from sf2f_bench.registry import unknown
from sf2f_bench.results.records import ScoreRecord
from sf2f_bench.types import BenchError, Margin

ROLES = ("judge", "training-loss", "further")


@dataclass(frozen=True)
class MetricPattern:
    """Metrics computed with an extractor of this role whose names match `pattern`, such as ``recall@*``."""

    role: str
    pattern: str

    def matches(self, score: ScoreRecord) -> bool:
        """Whether a score is one of these metrics."""
        return score.extractor_role == self.role and fnmatchcase(score.metric, self.pattern)


@dataclass(frozen=True)
class Rules:
    """The user's margins by pattern, first match first, and the metrics that the user lets decide.

    Both default to the cards of the metrics.
    """

    margins: tuple[tuple[str, Margin], ...] = ()
    deciding: tuple[MetricPattern, ...] | None = None

    def margin(self, score: ScoreRecord) -> Margin:
        """The user's first margin whose pattern matches the metric's name, else its card's."""
        set_by_user = (margin for pattern, margin in self.margins if fnmatchcase(score.metric, pattern))
        return next(set_by_user, score.card.margin)

    def decides(self, score: ScoreRecord) -> bool:
        """Whether a drop of this score may fail the gate."""
        if self.deciding is None:
            return score.extractor_role in score.card.decides
        return any(pattern.matches(score) for pattern in self.deciding)

    def check(self, metrics: Collection[str]) -> None:
        """Raise BenchError for a pattern that none of these metrics matches: it would be ignored without a word."""
        patterns = [pattern for pattern, _ in self.margins]
        patterns += [pattern.pattern for pattern in self.deciding or ()]
        for pattern in patterns:
            if not any(fnmatchcase(metric, pattern) for metric in metrics):
                raise BenchError(unknown("metric", pattern, sorted(metrics)))

    def shows(self, score: ScoreRecord) -> bool:
        """Whether this score decides, or is listed beside those that do."""
        return self.decides(score) or score.extractor_role in score.card.shown


def rules_of(words: Sequence[str] = (), file: Path | None = None) -> Rules:
    """Rules from ``METRIC=VALUE`` words, which take precedence over a TOML file, which does over the cards.

    METRIC may be a pattern such as ``recall@*``; VALUE is in the metric's unit, or a share of the reference's value
    such as ``20%``. The file may hold a table ``[margins]`` and ``decide``, a list such as ``["judge:cosine"]``.
    Raises BenchError for anything else.
    """
    margins = [_margin(*word.rpartition("=")[::2]) for word in words]
    if file is None:
        return Rules(tuple(margins))
    content = read_toml(file)
    table, decide = content.pop("margins", {}), content.pop("decide", None)
    if content or not isinstance(table, dict) or not isinstance(decide, list | None):
        raise BenchError(
            f"{file}: expected a table [margins] and a list decide and nothing else, got also {sorted(content)}"
        )
    margins += [_margin(metric, value) for metric, value in table.items()]
    return Rules(tuple(margins), None if decide is None else tuple(map(_pattern, decide)))


def _margin(metric: str, value: object) -> tuple[str, Margin]:
    """``("cosine", "0.03")`` or ``("kernel-distance", "20%")``."""
    text = str(value).strip()
    try:
        amount = float(text.removesuffix("%"))
    except ValueError:
        amount = -1.0
    if not metric.strip() or not 0 <= amount < inf:
        raise BenchError(
            "a margin is METRIC=VALUE with a VALUE of 0 or more, such as cosine=0.03 or kernel-distance=20%; "
            f"got {metric!r} and {text!r}"
        )
    relative = text.endswith("%")
    return metric.strip(), Margin(amount / 100 if relative else amount, relative=relative)


def _pattern(word: object) -> MetricPattern:
    role, colon, pattern = str(word).partition(":")
    if not (colon and pattern) or role not in ROLES:
        raise BenchError(
            f"decide takes ROLE:METRIC with role {', '.join(ROLES[:-1])} or {ROLES[-1]}, such as judge:cosine; "
            f"got {word!r}"
        )
    return MetricPattern(role, pattern)
