"""Agreement of face and person in what a voice gives away: gender, age, ethnicity.

These metrics compare an attribute judge's verdicts on the generated faces with what is known of the people. The
judge's error on true photos (`evaluation.attribute_judges.judge_error`) belongs beside them, but it is no ceiling: a
smooth face that shows an attribute plainly is judged more reliably than a photo. The ceiling is a perfect verdict on
everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sf2f_bench.metrics.common import UNIT, mean_of_known
from sf2f_bench.types import BenchError, Margin, MetricCard, Score

if TYPE_CHECKING:
    from sf2f_bench.metrics.arrays import Matrix
    from sf2f_bench.statistics.intervals import Interval


@dataclass(frozen=True)
class WordAgreement:
    """Share of faces whose judged word is the reference's; the interval is a bootstrap over identities.

    attribute: "gender" or "ethnicity". Chance is no constant: a system that shows one word only gets that word's
    share among the people (one half at best for balanced genders, far more where one ethnicity prevails), one that
    shows words in the people's shares gets the sum of the shares' squares. The mean face's row shows the first.

    Formula: mean over the people of whom it is known of [judge's word of the face = word of the person].
    Range: 0..1; 1 is the ceiling.
    Direction: higher is better.
    Source: agreement of judged attributes as in Speech2Face (Oh et al. 2019, arXiv 1905.09773).
    Pitfall: the true photos' row is no ceiling: a smooth face that shows the gender plainly is judged more reliably
    than a photo with its pose and light, so a system can lie above it. The ceiling is 1.
    """

    attribute: str
    version: int = 1
    higher_is_better: bool = True
    min_n: int = 2

    @property
    def name(self) -> str:
        """``gender-agreement`` or ``ethnicity-agreement``."""
        return f"{self.attribute}-agreement"

    @property
    def card(self) -> MetricCard:
        """Gender before ethnicity; the age stands last."""
        is_gender = self.attribute == "gender"
        return MetricCard(
            self.name,
            "attribute",
            heading=f"{self.attribute} agreement",
            bounds=UNIT,
            tables={"attributes": 9 if is_gender else 7},
            order={"attributes": 0 if is_gender else 1},
            smooth=False,
        )

    def __call__(
        self, reference: Sequence[str | None], judged: Sequence[str], rng: np.random.Generator
    ) -> Score:
        """One word an identity on both sides; None where nothing is known: that identity does not take part."""
        pairs = zip(reference, _aligned(self.name, reference, judged), strict=True)
        same = [np.nan if word is None else float(word == verdict) for word, verdict in pairs]
        return _mean_of_known(self, np.array(same, np.float64), UNIT, rng)


@dataclass(frozen=True)
class AgeDifference:
    """Mean absolute difference in years between the judged age and the reference's.

    Chance: a system that shows one age only gets at best the people's mean absolute deviation from their median
    age.

    Formula: mean over the people whose age is known of |judge's age of the face - age of the person|.
    Range: 0 or more; years.
    Direction: lower is better.
    Source: agreement of judged attributes as in Speech2Face (Oh et al. 2019, arXiv 1905.09773).
    Pitfall: the judge's error on photos, of years, is in the true photos' row and need not be in a system's: a smooth
    face with plain signs of age is read more reliably. So that row is no limit; the limit is 0.
    """

    attribute: str = "age"
    name: str = "age-difference"
    version: int = 1
    higher_is_better: bool = False
    min_n: int = 2
    card: ClassVar[MetricCard] = MetricCard(
        "age-difference",
        "attribute",
        heading="age difference (years)",
        format="size",
        bounds=(0.0, None),
        margin=Margin(1.0, "a year"),
        tables={"attributes": 8},
        order={"attributes": 2},
        smooth=False,
    )

    def __call__(
        self, reference: Sequence[float | None], judged: Sequence[float], rng: np.random.Generator
    ) -> Score:
        """One age an identity on both sides; None where it is not known: that identity does not take part."""
        years = np.array([np.nan if age is None else age for age in reference], np.float64)
        difference = np.abs(years - np.asarray(_aligned(self.name, reference, judged), np.float64))
        if not np.isfinite(difference[~np.isnan(years)]).all():
            raise BenchError(f"{self.name}: the judge gave an age that is no finite number.")
        return _mean_of_known(self, difference, None, rng)


AttributeMetric = WordAgreement | AgeDifference
METRICS: tuple[AttributeMetric, ...] = (WordAgreement("gender"), WordAgreement("ethnicity"), AgeDifference())


def _aligned(name: str, reference: Sequence[object], judged: Sequence[object]) -> Sequence[object]:
    if len(reference) != len(judged):
        raise BenchError(
            f"{name}: {len(judged)} faces were judged for {len(reference)} people: expected one each."
        )
    return judged


def _mean_of_known(
    metric: AttributeMetric, values: Matrix, bounds: Interval | None, rng: np.random.Generator
) -> Score:
    """`mean_of_known`; BenchError where too few identities are known."""
    if (n := np.count_nonzero(~np.isnan(values))) < metric.min_n:
        raise BenchError(f"{metric.name} needs at least {metric.min_n} people of whom it is known, got {n}.")
    return mean_of_known(values, rng, bounds)
