"""Numbers as the tables print them, and the names of the metrics' columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from sf2f_bench.metrics.paper import FUSED, ONE_SEGMENT, PARTS
from sf2f_bench.protocols import PAPER
from sf2f_bench.records import ScoreRecord
from sf2f_bench.report.selection import Group, Role

Format = Literal["share", "rank", "size"]
Error = Literal["interval", "spread", "none"]
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A metric as a column. `pattern` finds its score; the lowest `rank` leaves first where room is short.

    error: what stands after the value: its interval (the spread where it has none), its spread, or nothing.
    """

    heading: str
    pattern: str
    format: Format
    rank: int
    plotted: bool = True
    role: Role = "judge"
    error: Error = "interval"


def retrieval_columns(group: Group) -> list[Column]:
    """Recall in galleries at 1, 5 and 10 (those the benchmark has), and what else the protocol has of ranks."""
    gallery, top = group.gallery, group.headline_k
    ks = sorted({k for k in (1, 5) if k in group.rows[0].record.benchmark.ks and k < top} | {top})
    recalls = [
        Column(f"recall@{k} {gallery}", f"recall@{k}/{gallery}", "share", 9 if k == top else k, k == top)
        for k in ks
    ]
    if group.protocol == PAPER:
        one_segment = f"recall@{top}/{gallery}{ONE_SEGMENT}"
        recalls.append(Column(f"recall@{top} one segment", one_segment, "share", 8))
        return [replace(column, role="training-loss", error="spread") for column in recalls]
    return [
        *recalls,
        Column(f"recall@{top} full", f"recall@{top}/full", "share", 8),
        Column("median rank", "median-rank/full", "rank", 7),
        Column("MRR", "mrr/full", "share", 6),
    ]


def likeness_columns(group: Group) -> list[Column]:
    """Similarity to the true identity and the quality of the drawn faces."""
    return PAPER_LIKENESS_COLUMNS if group.protocol == PAPER else LIKENESS_COLUMNS


LIKENESS_COLUMNS = [
    Column("cosine", "cosine", "share", 9),
    Column("verification AUC", "verification-auc", "share", 8),
    Column("MI score", r"mutual-information-score/parts\d+", "size", 7),
    Column("Frechet", "frechet-distance", "size", 6),
    Column("kernel distance", "kernel-distance", "size", 5),
]


_MI = f"mutual-information/{PARTS}-parts"
PAPER_LIKENESS_COLUMNS = [
    Column("cosine", "cosine", "share", 9, role="training-loss", error="spread"),
    Column("L1", "l1", "size", 7, role="training-loss", error="spread"),
    Column("L2", "l2", "size", 6, role="training-loss", error="spread"),
    Column("MI score", _MI, "size", 8, error="spread"),
    Column("MI ± over parts", f"{_MI}/deviation", "size", 4, False, error="none"),
    Column("MI score fused", f"{_MI}{FUSED}", "size", 5, False, error="spread"),
]


def training_loss_columns(group: Group) -> list[Column]:
    """The three columns shown by the network of the training loss."""
    top = group.headline_k
    recall = Column(f"recall@{top} {group.gallery}", f"recall@{top}/{group.gallery}", "share", 9)
    return [replace(column, role="training-loss") for column in (recall, *LIKENESS_COLUMNS[:3:2])]


def number(value: float, format_: Format, digits: int) -> str:
    """One number: a share as ``.365``, a rank as ``14.5`` or ``14``, a size with `digits` figures."""
    if format_ == "share":
        if round(abs(value), digits) >= 1:  # as wide as the others: "1.00" beside ".365"
            return f"{value:.{digits - 1}f}"
        return _without_leading_zero(f"{value:.{digits}f}")
    if format_ == "rank":
        return f"{value:.{max(0, digits - 2)}f}".removesuffix(".0")
    if value == 0:
        return "0"
    if abs(value) < 1e-3 or abs(value) >= 1e5:
        return f"{value:.{digits - 1}e}".replace("e-0", "e-").replace("e+0", "e")
    decimals = max(0, digits - 1 - _exponent(value))
    return _without_leading_zero(f"{value:.{decimals}f}")


def cell(score: ScoreRecord | None, format_: Format, error: Error = "interval") -> str:
    """A score as ``.365 [.30, .43]`` or ``3.21 ± .12``, alone where it is exact; a dash for none."""
    if score is None:
        return NOTHING
    value = number(score.value, format_, 3)
    exact = score.interval == (score.value, score.value)
    if error == "interval" and score.interval is not None and not exact:
        low, high = (number(bound, format_, 2) for bound in score.interval)
        return f"{value} [{low}, {high}]"
    if error != "none" and score.spread is not None:
        digits = 3 if format_ == "share" else 2  # a share's digits are decimals, a size's are figures
        return f"{value} ± {number(score.spread, format_, digits)}"
    return value


def _exponent(value: float) -> int:
    """The power of ten of the leading figure."""
    return int(f"{value:e}".split("e")[1])


def _without_leading_zero(text: str) -> str:
    """``-0.365`` -> ``-.365``; a negative zero loses its sign."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    if not digits.strip("0."):
        sign = ""
    return sign + (digits[1:] if digits.startswith("0.") else digits)
