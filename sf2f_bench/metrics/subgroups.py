"""Results of subgroups of the test people: women and men, thirds by age, nationalities.

Every subgroup is searched for in the gallery of all people, so their numbers can be compared with each other and with
the number of all; the strata also narrow the gallery, which asks another question. A subgroup of fewer than 30 people
has no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from sf2f_bench.metrics.arrays import Matrix, slices
from sf2f_bench.metrics.closeness import PROBE_BLOCK, TIE_TOLERANCE, prepared
from sf2f_bench.metrics.common import UNIT, card_of, mean_of_known, pair_score, short_term
from sf2f_bench.metrics.retrieval import Recall, expected_recall, ranking_of
from sf2f_bench.metrics.verification import (
    VerificationAUC,
    lost_to,
    matching_below,
    verification_auc,
    verification_auc_leave_one_out,
)
from sf2f_bench.types import Features, Margin, Metric, MetricCard, Score

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TABLE = "subgroups"
SMALLEST = 30  # people of a subgroup
THIRDS = ("youngest third", "middle third", "oldest third")
KNOWN = {"gender": ("women", "men"), "age": THIRDS, "nationality": ()}  # the others' names are in the data
LEVEL = 0.95


def thirds(ages: Sequence[float | None]) -> tuple[str | None, ...]:
    """The third by age of each person; people of one age are in one third, None where the age is not known."""
    known = [age for age in ages if age is not None]
    if not known:
        return (None,) * len(ages)
    ends = np.quantile(known, [1 / 3, 2 / 3])
    return tuple(None if age is None else THIRDS[int(np.searchsorted(ends, age))] for age in ages)


def auc_of_members(
    probes: ArrayLike | Any, gallery: ArrayLike | Any, members: NDArray[np.bool_]
) -> tuple[float, Matrix]:
    """`verification.verification_auc` of the members' probes against the whole gallery, and without each member.

    probes, gallery: ``[N, D]``; members: bool ``[N]``, M of them, M >= 3. The second result is ``[M]``: without a
    member as probe and as another's rival, where members keep their share of all rivals.

    Formula: the chance that the matching pair of a member has the higher cosine than a pair of a member's probe and
    another person, ties (within 1e-12) counting half.
    """
    left, right = prepared(probes, gallery, "cosine", at_least=3)
    rows, others = np.flatnonzero(members), right[~members]
    m, n = len(rows), len(left)
    left, right = left[rows], right[rows]
    value, without_each = verification_auc(left, right), verification_auc_leave_one_out(left, right)
    if not len(others):
        return value, without_each
    matching = np.einsum("nd,nd->n", left, right)
    lost_by, as_pair, as_both = np.zeros(m), np.zeros(m), np.zeros(m)
    for part in slices(m, PROBE_BLOCK):
        block = left[part] @ others.T
        ordered = np.sort(block, axis=None)
        beaten = np.searchsorted(ordered, matching + TIE_TOLERANCE, "right")
        beaten += np.searchsorted(ordered, matching - TIE_TOLERANCE, "left")
        lost_by += block.size - beaten / 2
        as_pair[part] = matching_below(np.sort(matching), block).sum(axis=1)
        as_both[part] = lost_to(block, matching[part, None]).sum(axis=1)
    remaining = lost_by.sum() - lost_by - as_pair + as_both
    share = (n - m) / (n - 1)  # of all rivals
    outside = 1 - lost_by.sum() / (m * m * (n - m))
    outside_without = 1 - remaining / ((m - 1) * (m - 1) * (n - m))
    return float((1 - share) * value + share * outside), (1 - share) * without_each + share * outside_without


def gap_between(groups: Sequence[Score]) -> Score:
    """Best less worst of two or more subgroups, with an interval that allows for the choice of the two.

    The differences of all pairs of subgroups hold together at 95 % (Bonferroni), so the largest true one lies between
    the largest lower and the largest upper end; 0 or less at the lower end: no difference is shown.
    Source: Dunn 1961, multiple comparisons among means.
    """
    pairs = list(combinations(groups, 2))
    tail = (1 - LEVEL) / 2 / len(pairs)
    low, high = 0.0, 0.0
    for one, other in pairs:
        difference = abs(one.value - other.value)
        errors = [np.nanvar(np.asarray(side.per_identity), ddof=1) / side.n for side in (one, other)]
        reach = float(stats.t.isf(tail, min(one.n, other.n) - 1) * np.sqrt(sum(errors)))
        low, high = max(low, difference - reach), max(high, difference + reach)
    values = [group.value for group in groups]
    n = sum(group.n for group in groups)
    return Score(max(values) - min(values), n, (low, min(1.0, high)))


@dataclass(frozen=True)
class OfSubgroup:
    """A metric of one subgroup, or (group empty) the gap between the best and the worst one of an attribute."""

    metric: Metric
    attribute: str
    group: str = ""
    version: int = 1

    @property
    def name(self) -> str:
        """``recall@10/g100/women``, ``verification-auc/gap by gender``."""
        group = self.group.replace("/", "-").replace("|", "-")
        return f"{self.metric.name}/{group or f'gap by {self.attribute}'}"

    @property
    def higher_is_better(self) -> bool:
        """A gap is bad."""
        return self.metric.higher_is_better and bool(self.group)

    @property
    def card(self) -> MetricCard:
        """The metric's own, in the table of subgroups."""
        whole = card_of(self.metric)
        attributes, known = list(KNOWN), KNOWN[self.attribute]
        within = known.index(self.group) if self.group in known else 50 + 49 * (not self.group)
        place = (0 if whole.headline else 1000) + 100 * attributes.index(self.attribute) + within
        card = replace(
            whole,
            parameters={**whole.parameters, "subgroup": self.group or self.attribute},
            heading=f"{short_term(whole)} {self.group or f'gap by {self.attribute}'}",
            decides=(),
            shown=(),
            headline=False,
            tables={TABLE: 9 - attributes.index(self.attribute)},
            order={TABLE: place},
            plotted=False,
            heading_with_n=True,
        )
        if self.group:
            return card
        margin = Margin(0.05, "as recall")
        return replace(card, quantity=f"gap-of-{whole.term}", bounds=UNIT, chance=None, margin=margin)


def with_subgroups(metrics: Iterable[Metric]) -> list[Metric]:
    """The metrics that are also computed of subgroups: the headline's recall and the AUC."""
    return [metric for metric in metrics if card_of(metric).headline or isinstance(metric, VerificationAUC)]


def known_subgroups(metrics: Iterable[Metric]) -> list[OfSubgroup]:
    """Those that are named alike in all data."""
    return [
        OfSubgroup(metric, attribute, group)
        for metric in with_subgroups(metrics)
        for attribute, groups in KNOWN.items()
        for group in (*groups, "")
    ]


def subgroup_scores(
    metrics: Iterable[Metric],
    real: Features,
    fake: Features,
    random: Callable[[OfSubgroup], np.random.Generator],
) -> Iterator[tuple[OfSubgroup, Score | str]]:
    """Each metric of each subgroup that is large enough, and the gaps; the reason where there is none."""
    for metric in with_subgroups(metrics):
        if len(real.identities) < metric.min_n:
            continue
        for attribute, labels in real.subgroups.items():
            yield from _of_attribute(metric, attribute, labels, real, fake, random)


def _of_attribute(
    metric: Metric,
    attribute: str,
    labels: Sequence[str | None],
    real: Features,
    fake: Features,
    random: Callable[[OfSubgroup], np.random.Generator],
) -> Iterator[tuple[OfSubgroup, Score | str]]:
    counts = Counter(label for label in labels if label is not None)
    known = KNOWN[attribute]
    names = sorted(counts, key=lambda name: (known.index(name) if name in known else 0, name))
    large = [name for name in names if counts[name] >= SMALLEST]
    found = []
    for name in large:
        asked = OfSubgroup(metric, attribute, name)
        score = _score(metric, np.array([label == name for label in labels]), real, fake, random(asked))
        found.append(score)
        yield asked, score
    small = len(names) - len(large)
    reason = (
        f"{small} of {len(names)} subgroups by {attribute} have fewer than {SMALLEST} people and no number"
    )
    if len(large) > 1:
        yield OfSubgroup(metric, attribute), gap_between(found)
    elif names:
        yield OfSubgroup(metric, attribute), f"needs two subgroups of {SMALLEST} people: {reason}"


def _score(
    metric: Metric, members: NDArray[np.bool_], real: Features, fake: Features, rng: np.random.Generator
) -> Score:
    """Of the members' probes among all people; the interval is about other members and the same other people."""
    if isinstance(metric, Recall):
        order = ranking_of(real, fake, metric.similarity)
        values = expected_recall(order.better, order.ties, len(order.better), metric.gallery_size, metric.k)
        return mean_of_known(np.where(members, values, np.nan), rng)
    found = pair_score(*auc_of_members(fake.embeddings, real.embeddings, members), UNIT)
    values = np.full(len(members), np.nan)
    values[members] = found.per_identity
    return replace(found, per_identity=values)


def labels_of(
    genders: Sequence[str | None], ages: Sequence[float | None], nationalities: Sequence[str | None]
) -> Mapping[str, tuple[str | None, ...]]:
    """The subgroup of each person by attribute; an attribute that is known of nobody is left out."""
    words = dict(zip(("f", "m"), KNOWN["gender"], strict=True))
    found = {
        "gender": tuple(words.get(str(gender)) for gender in genders),
        "age": thirds(ages),
        "nationality": tuple(nationalities),
    }
    return {name: labels for name, labels in found.items() if any(label is not None for label in labels)}
