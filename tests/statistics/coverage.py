"""Do the intervals cover and are the tests honest? Simulations with a known truth, as functions and as a table.

``python -m tests.statistics.coverage --out FILE`` runs every case at full length (minutes) and writes a Markdown table;
`test_coverage` runs them short. Every case draws a world, measures it as the metrics do, and says whether the interval
held the truth, or which p-value a pair of systems of one law got.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import special
from scipy import stats as scipy_stats

from sf2f_bench.metrics import distribution, verification
from sf2f_bench.metrics.diversity import Diversity, EffectiveFaces
from sf2f_bench.metrics.draws import draw_metrics
from sf2f_bench.metrics.matching import Matching
from sf2f_bench.metrics.quality import MutualInformationScore
from sf2f_bench.metrics.retrieval import MeanReciprocalRank, MedianRank, Recall
from sf2f_bench.metrics.similarity import TrueIdentity
from sf2f_bench.statistics.intervals import (
    FEWEST_PAIRED,
    binomial_interval,
    half_sample_interval,
    half_samples,
    jackknife_interval,
    mean_interval,
    median_interval,
    paired_difference,
    pseudo_values,
)
from sf2f_bench.statistics.paired import Comparison, Measured, compare_scores, seeds_interval
from sf2f_bench.types import Features, Metric
from tests.statistics.worlds import (
    MEANS,
    Random,
    bernoulli,
    embeddings,
    judge_draws,
    judge_world,
    over_seeds,
    ranks,
    rare_hits,
    recall_like,
)

Interval = tuple[float, float]
UNIT = (0.0, 1.0)
AIM, TOLERANCE, LEAST = 0.95, 0.02, 0.85
CHANCE = 2.0  # standard errors of a simulation of few worlds that the table allows on top


@dataclass(frozen=True)
class Case:
    """One simulation. draw: an interval and its truth, or a p-value; runs: at full length; quick: in the tests.

    conservative: may cover more often (or reject less often) than it says, never the other way.
    """

    name: str
    n: int
    draw: Callable[[Random], tuple[Interval, float] | float]
    runs: int = 0  # 0: 2000, or 800 beyond 100 identities
    quick: int = 300
    conservative: str = ""
    narrow: str = ""  # why it covers less than it says, down to a share of LEAST
    withheld: str = ""  # the interval is not printed; how often it would cover is the reason


@dataclass(frozen=True)
class Outcome:
    """share: of intervals that held the truth, or of p-values up to .05; uniform: Kolmogorov-Smirnov's p."""

    case: Case
    runs: int
    share: float
    uniform: float | None = None

    @property
    def aim(self) -> float:
        return AIM if self.uniform is None else 1 - AIM

    def holds(self, chance: float = 0.0) -> bool:
        """Within two per cent of what it says; `chance`: standard errors of the simulation allowed on top."""
        if self.case.withheld:
            return True
        if self.case.narrow:
            return self.share >= LEAST
        slack = TOLERANCE + chance * float(np.sqrt(AIM * (1 - AIM) / self.runs))
        sign = 1 if self.uniform is None else -1  # too high a share of small p-values is the fault
        off = sign * (self.share - self.aim)
        if self.uniform is not None and not self.case.conservative and self.uniform < 0.001:
            return False
        return off >= -slack and (bool(self.case.conservative) or off <= slack)


def simulate(case: Case, runs: int, narrowed: float = 1.0) -> Outcome:
    """Draw the case so often. narrowed: intervals shrunk about their middle, to see that it is noticed."""
    rng = np.random.default_rng(sum(map(ord, case.name)) + case.n)
    drawn = [case.draw(rng) for _ in range(runs)]
    if isinstance(drawn[0], float):
        p = np.array(drawn) ** (1 / narrowed)
        uniform = float(scipy_stats.kstest(p, "uniform").pvalue)
        return Outcome(case, runs, float(np.mean(p <= 0.05)), uniform)
    covered = []
    for (low, high), truth in drawn:
        middle, half = (low + high) / 2, narrowed * (high - low) / 2
        covered.append(middle - half - 1e-12 <= truth <= middle + half + 1e-12)
    return Outcome(case, runs, float(np.mean(covered)))


# ---------------------------------------------------------------- metrics, as they keep what a comparison needs


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "verification AUC": lambda truth, drawn: verification.verification_auc(drawn, truth),
    "equal error rate": lambda truth, drawn: verification.equal_error_rate(drawn, truth),
    "kernel distance": distribution.kernel_distance,
    "Frechet distance": distribution.frechet_distance,
}
LEAVE_ONE_OUT: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "verification AUC": lambda truth, drawn: verification.verification_auc_leave_one_out(drawn, truth),
    "kernel distance": distribution.kernel_distance_leave_one_out,
}
BOUNDS = {"verification AUC": UNIT, "equal error rate": UNIT, "Frechet distance": (0.0, np.inf)}


def measured(metric: str, truth: np.ndarray, drawn: np.ndarray) -> Measured:
    """The metric with its pseudo-values or its half-samples."""
    statistic, n = STATISTICS[metric], len(truth)
    value = statistic(truth, drawn)
    if metric in LEAVE_ONE_OUT:
        parts = pseudo_values(value, LEAVE_ONE_OUT[metric](truth, drawn))
        return Measured(np.array([value]), parts[None], "pseudo-values", n)
    halves = np.array([statistic(truth[rows], drawn[rows]) for rows in half_samples(n)])
    return Measured(np.array([value]), halves[None], "replicates", n)


@lru_cache(maxsize=32)
def expected(metric: str, n: int, hears: float, d: int) -> float:
    """The metric's mean over worlds of n identities, its bias at that n included."""
    rng = np.random.default_rng(1)
    runs = 4000 if n <= 100 else 1500
    return float(np.mean([STATISTICS[metric](*embeddings(rng, n, [hears], d)) for _ in range(runs)]))


# ---------------------------------------------------------------- the metrics of the main tables


RETRIEVAL = {50: 400, 100: 400, 300: 300, 1000: 100}  # identities: worlds
LIKENESS = {50: 200, 100: 200, 300: 100, 1000: 24}  # of what takes seconds a world
SYSTEMS = {"as sf2f-64": 1.0, "hears nothing": 0.0}
NOISE_ADDS = "leaving out one identity adds noise to a step"
WHOLE_RANKS = "half-samples of whole ranks"
AT_LEAST = {
    "recall@10/full": NOISE_ADDS,
    "recall@1/g": NOISE_ADDS,
    "mrr/full": NOISE_ADDS,
    "median-rank/full": WHOLE_RANKS,
    "frechet-distance": "pairs of identities weigh more than single ones",
    "kernel-distance": "pairs of identities weigh more than single ones",
    "effective-faces": "half-samples have fewer faces",
}
TOO_NARROW = {  # up to so many identities
    "mutual-information": (100, "half-samples have parts of 5 or 10 faces"),
    "effective-faces": (50, "half-samples have 25 faces"),
}


def retrieval_metrics(n: int) -> list[Metric]:
    gallery = min(n, 100)
    full = [Recall(10)] if gallery < n else []
    recalls = [Recall(k, gallery) for k in (1, 5, 10)]
    return [*recalls, *full, MedianRank(), MeanReciprocalRank(), Matching(2)]  # type: ignore[list-item]


def likeness_metrics() -> list[Metric]:
    return [
        TrueIdentity("cosine"),
        verification.VerificationAUC(),
        MutualInformationScore(),
        distribution.FrechetDistance(),
        distribution.KernelDistance(),
        Diversity(),
        EffectiveFaces(),
    ]  # type: ignore[list-item]


def judged_features(rng: Random, n: int, hears: float) -> tuple[Features, Features]:
    """Both sides as the judge sees them; its classes are 100 other people."""
    names = tuple(map(str, range(n)))
    templates, photos, faces = judge_world(rng, n, hears)
    classes = judge_world(np.random.default_rng(0), 100)[1]
    probabilities = special.softmax(20 * faces @ classes.T, axis=1)
    return Features(names, templates, photos), Features(names, faces, faces, probabilities)


def judged(n: int, runs: int, system: str, metrics: Sequence[Metric]) -> list[Outcome]:
    """Every metric on the same worlds. The truth is the mean of the values: what n identities give on average."""
    rng = np.random.default_rng(n)
    return _covered(n, system, metrics, rng, (judged_features(rng, n, SYSTEMS[system]) for _ in range(runs)))


DRAWS = 8
DRAWN = {100: 400, 300: 200}  # identities: worlds
DRAWING = {  # what is heard, and the share of the rest that all draws for a voice have in common
    "draws hear as sf2f-64": (1.0, 0.0),
    "draws hear nothing": (0.0, 0.0),
    "draws are alike": (1.0, 0.7),
}


def drawn(n: int, runs: int, system: str, draws: int = DRAWS) -> list[Outcome]:
    """As `judged`, every metric of several faces for one voice."""
    rng, names = np.random.default_rng(n), tuple(map(str, range(n)))
    gallery = min(n, 100)
    one_face = [Recall(10, gallery, headline_k=10), verification.VerificationAUC()]

    def features() -> tuple[Features, Features]:
        templates, faces = judge_draws(rng, n, draws, *DRAWING[system])
        return Features(names, templates, templates), Features(names, faces[0], faces[0], draws=faces)

    metrics = draw_metrics(one_face, n, draws)  # type: ignore[arg-type]
    return _covered(n, system, metrics, rng, (features() for _ in range(runs)))


def _covered(
    n: int, system: str, metrics: Sequence[Metric], rng: Random, worlds: Iterable[tuple[Features, Features]]
) -> list[Outcome]:
    scores = [[metric(*features, rng) for metric in metrics] for features in worlds]
    runs, found = len(scores), []
    for metric, column in zip(metrics, zip(*scores, strict=True), strict=True):
        truth = np.mean([score.value for score in column])
        covered = [
            bool(score.interval and score.interval[0] <= truth <= score.interval[1]) for score in column
        ]
        why = next((words for name, words in AT_LEAST.items() if metric.name.startswith(name)), "")
        few, because = next(
            (words for name, words in TOO_NARROW.items() if metric.name.startswith(name)), (0, "")
        )
        narrow = because if n <= few else ""
        case = Case(f"{metric.name}, {system}", n, lambda rng: 0.0, conservative=why, narrow=narrow)
        found.append(Outcome(case, runs, float(np.mean(covered))))
    return found


# ---------------------------------------------------------------- cases


def of_mean(values: Callable[[Random, int], np.ndarray], n: int) -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        return mean_interval(values(rng, n), rng, UNIT, resamples=1000), MEANS[values]

    reasons = {rare_hits: "allows for hits not seen", bernoulli: "in whole identities"}
    why = reasons.get(values, "") if n < 100 else ""
    return Case(f"mean_interval, {values.__name__.replace('_', ' ')}", n, draw, conservative=why)


def of_cosines(n: int) -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        return mean_interval(0.1 + 0.2 * rng.standard_normal(n), rng, resamples=1000), 0.1

    return Case("mean_interval, cosine", n, draw)


def of_binomial(n: int) -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        return binomial_interval(int(rng.binomial(n, 0.3)), n), 0.3

    return Case("binomial_interval", n, draw, conservative="exact, in whole identities")


def of_median(n: int) -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        return median_interval(rng.exponential(size=n)), float(np.log(2))

    return Case("median_interval", n, draw, conservative="order statistics")


def of_metric(metric: str, n: int, hears: float = 0.6, d: int = 8, runs: int = 1000, why: str = "") -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        truth, drawn = embeddings(rng, n, [hears], d)
        bounds = BOUNDS.get(metric)
        if metric in LEAVE_ONE_OUT:
            value, left_out = STATISTICS[metric](truth, drawn), LEAVE_ONE_OUT[metric](truth, drawn)
            return jackknife_interval(value, left_out, bounds), expected(metric, n, hears, d)
        found = measured(metric, truth, drawn)
        interval = half_sample_interval(found.values[0], found.parts[0], n, bounds)
        return interval, expected(metric, n, hears, d)

    method = "jackknife" if metric in LEAVE_ONE_OUT else "half-samples"
    quick = 0 if n > 50 or d > 8 or metric == "equal error rate" else 150
    return Case(f"{method}, {metric}, {d} dimensions", n, draw, runs, quick, why)


def of_seeds(seeds: int, n: int, seed: float, words: str, why: str = "") -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        values = over_seeds(rng, n, seeds, 0.3, seed, 0.27 * rng.standard_normal(n))
        return seeds_interval(values)[1], 0.3

    return Case(f"seeds_interval, {seeds} seeds, {words}", n, draw, 2000, 600, why)


def of_pairs(values: Callable[[Random, int], np.ndarray], n: int) -> Case:
    """Half of the identities come out the same under both; A is pulled up by a tenth of the way to 1."""

    def draw(rng: Random) -> tuple[Interval, float]:
        b = values(rng, n)
        a = np.where(rng.random(n) < 0.5, b, values(rng, n))
        a = np.where(rng.random(n) < 0.1, 1.0, a)
        return paired_difference(a, b, rng, resamples=500)[1], 0.1 * (1 - MEANS[values])

    return Case(
        f"paired_difference, {values.__name__.replace('_', ' ')}",
        n,
        draw,
        quick=200 if n == 50 else 0,
        withheld=f"below {FEWEST_PAIRED} identities" if n < FEWEST_PAIRED else "",
    )


def pair(kind: str, rng: Random, n: int, other: bool, d: int = 8) -> tuple[Measured, Measured]:
    """Two systems measured on the same identities; other: A is better, else of the same law."""
    if kind == "mean":
        clear = rng.standard_normal(n)
        a, b = scipy_stats.norm.cdf(clear + rng.standard_normal((2, n)) + [[0.5 * other], [0]])
        return tuple(Measured(np.array([x.mean()]), x[None], "mean", n) for x in (a, b))  # type: ignore[return-value]
    if kind == "median rank":
        both = ranks(rng, n, (200 if other else 300, 300))
        return tuple(Measured(np.array([np.median(x)]), x[None], "median", n) for x in both)  # type: ignore[return-value]
    truth, *drawn = embeddings(rng, n, (0.8 if other else 0.6, 0.6), d)
    first, second = (measured(kind, truth, one) for one in drawn)
    return first, second


@lru_cache(maxsize=32)
def expected_difference(kind: str, n: int, d: int) -> float:
    """The true difference of `pair` where A is better."""
    if kind == "mean":
        return float(scipy_stats.norm.cdf(0.5 / np.sqrt(3)) - 0.5)
    if kind == "median rank":
        rng = np.random.default_rng(2)
        a, b = ranks(rng, 2_000_000, (200, 300))
        return float(np.median(a) - np.median(b))
    return expected(kind, n, 0.8, d) - expected(kind, n, 0.6, d)


def of_difference(kind: str, n: int, runs: int = 0, quick: int = 200, d: int = 8, why: str = "") -> Case:
    def draw(rng: Random) -> tuple[Interval, float]:
        return compare_scores(*pair(kind, rng, n, True, d), rng).interval, expected_difference(kind, n, d)

    return Case(f"compare_scores, {kind}", n, draw, runs, quick, why)


def of_null(kind: str, n: int, runs: int = 0, quick: int = 300, d: int = 8, why: str = "") -> Case:
    def draw(rng: Random) -> float:
        return compare_scores(*pair(kind, rng, n, False, d), rng).p

    return Case(f"compare_scores, {kind}", n, draw, runs, quick, why)


def seeded(rng: Random, n: int, seeds: tuple[int, int], seed: float, in_pairs: bool) -> Comparison:
    """Two systems of one law with so many trainings each, of the same seeds or of others."""
    identity, first = 0.27 * rng.standard_normal(n), 0
    sides = []
    for count in seeds:
        values = over_seeds(rng, n, count, 0.3, seed, identity + 0.15 * rng.standard_normal(n))
        sides.append(Measured(values.mean(axis=1), values, "mean", n, tuple(range(first, first + count))))
        first += 0 if in_pairs else count
    return compare_scores(*sides, rng)


def of_seeded(seeds: tuple[int, int], seed: float, words: str, null: bool, why: str = "") -> Case:
    """null: the p-value, else the interval; the same seeds on both sides where there are as many."""

    def draw(rng: Random) -> tuple[Interval, float] | float:
        found = seeded(rng, 300, seeds, seed, "other" not in words)
        return found.p if null else (found.interval, 0.0)

    return Case(f"compare_scores, mean, {seeds[0]} and {seeds[1]} {words}", 300, draw, 1000, 300, why)


PAIRS_WEIGH = "pairs of identities weigh more than single ones"
TWO_SOURCES = "two sources of error, each with its own t"
LIKE_README, STEADY = (
    0.06,
    0.02,
)  # the seed's luck: as between the committed runs of sf2f-64, and a third of it
DIFFER, LITTLE = "seeds differ", "seeds differ little"
SEEDED = [
    *((seeds, LIKE_README, f"seeds in pairs, {DIFFER}", "") for seeds in ((2, 2), (3, 3), (5, 5))),
    ((3, 3), STEADY, f"seeds in pairs, {LITTLE}", TWO_SOURCES),
    ((3, 3), LIKE_README, f"other seeds, {DIFFER}", TWO_SOURCES),
    ((3, 1), LIKE_README, f"other seeds, {DIFFER}", TWO_SOURCES),
]

INTERVALS = [
    *(of_mean(values, n) for values in MEANS for n in (50, 300)),
    *(of_cosines(n) for n in (50, 300)),
    *(of_binomial(n) for n in (50, 300)),
    *(of_median(n) for n in (50, 300)),
    of_metric("verification AUC", 50),
    of_metric("kernel distance", 50),
    of_metric("Frechet distance", 50, runs=400),
    of_metric("equal error rate", 50, runs=400),
    *(of_pairs(recall_like, n) for n in (6, 10, 20, FEWEST_PAIRED)),
    *(of_pairs(values, n) for values in MEANS for n in (50, 300)),
    *(of_seeds(seeds, 300, LIKE_README, DIFFER) for seeds in (3, 5)),
    *(of_seeds(seeds, 50, LIKE_README, DIFFER, TWO_SOURCES) for seeds in (2, 3, 5)),
    *(of_seeds(seeds, 300, STEADY, LITTLE, TWO_SOURCES) for seeds in (2, 3, 5)),
    of_difference("mean", 50),
    of_difference("mean", 300, quick=0),
    *(of_difference("median rank", n, runs=400, quick=0) for n in (50, 300)),
    of_difference("verification AUC", 50),
    of_difference("kernel distance", 50, why=PAIRS_WEIGH),
    of_difference("kernel distance", 300, runs=400, quick=0),
    of_difference("Frechet distance", 50, runs=300, quick=0, why=PAIRS_WEIGH),
    of_difference("equal error rate", 50, runs=300, quick=0),
    *(of_seeded(seeds, seed, words, False, why) for seeds, seed, words, why in SEEDED),
]
NULLS = [
    of_null("mean", 50),
    of_null("mean", 300, quick=0),
    *(of_null("median rank", n, runs=400, quick=0) for n in (50, 300)),
    of_null("verification AUC", 50),
    of_null("kernel distance", 50, why=PAIRS_WEIGH),
    of_null("kernel distance", 300, runs=400, quick=0),
    of_null("Frechet distance", 50, runs=300, quick=0, why=PAIRS_WEIGH),
    of_null("equal error rate", 50, runs=300, quick=0),
    *(of_seeded(seeds, seed, words, True, why) for seeds, seed, words, why in SEEDED),
]


# ---------------------------------------------------------------- the table


def line(outcome: Outcome) -> str:
    """One row of the Markdown table."""
    case = outcome.case
    cells = [case.name, str(case.n), str(outcome.runs), f"{100 * outcome.share:.1f} %"]
    if outcome.uniform is not None:
        cells.append(f"{outcome.uniform:.3f}")
    if case.withheld:
        return f"| {' | '.join([*cells, f'withheld {case.withheld}'])} |"
    if case.narrow and outcome.holds():
        return f"| {' | '.join([*cells, f'less than it says: {case.narrow}'])} |"
    verdict = "yes" if outcome.holds(CHANCE) else "NO"
    cells.append(f"{verdict}; at least: {case.conservative}" if case.conservative else verdict)
    return f"| {' | '.join(cells)} |"


HEAD = "| interval of | n | runs | covered | holds |\n|---|---|---|---|---|"


def draws_table(say: Callable[[str], object]) -> list[Outcome]:
    """The metrics of several faces for one voice at full length."""
    say(HEAD)
    held = [outcome for system in DRAWING for n, runs in DRAWN.items() for outcome in drawn(n, runs, system)]
    for outcome in held:
        say(line(outcome))
    return held


def table(say: Callable[[str], object]) -> bool:
    """Every case at full length; False where one does not hold."""
    say("# Do the intervals cover?\n")
    say(
        "Made by `python -m tests.statistics.coverage`. Simulated worlds with a known truth and n identities each; the "
        'share of\n95 % intervals that contain the truth (aim: 95 +- 2, and two standard errors of the simulation; "at '
        'least": it\nmay be more, for the reason given).\n\n'
        "First the metrics of the main tables themselves, on embeddings of 112 dimensions with the spread that the "
        "judge's have of\ntrue photos and of sf2f-64's faces. Precision, recall, density and coverage by nearest "
        "neighbours have no interval: a few\nlarge balls decide them, and no interval was found that covers. mAP has "
        "a bootstrap over probes, which does not see that a\nperson's photos are everybody's rivals. Nothing here "
        "holds what other training seeds would give.\n"
    )
    say(HEAD)
    held = []
    every = [(retrieval_metrics(n), n, runs, system) for system in SYSTEMS for n, runs in RETRIEVAL.items()]
    every += [(likeness_metrics(), n, runs, "as sf2f-64") for n, runs in LIKENESS.items()]
    for metrics, n, runs, system in every:
        for outcome in judged(n, runs, system, metrics):
            held.append(outcome)
            say(line(outcome))
    say(f"\nSeveral faces for one voice, {DRAWS} draws:\n")
    held += draws_table(say)
    say("\nThen the intervals and the paired comparisons, on invented values:\n")
    say(HEAD)
    for case in INTERVALS:
        held.append(simulate(case, case.runs or (2000 if case.n <= 100 else 800)))
        say(line(held[-1]))
    say(
        "\nPairs of systems with the same distribution: the share of p-values up to .05 (aim: 5 +- 2; "
        '"at least": it may be less),'
    )
    say("and the Kolmogorov-Smirnov test's p for uniform p-values.\n")
    say("| p-value of | n | runs | p <= .05 | uniform | holds |\n|---|---|---|---|---|---|")
    for case in NULLS:
        held.append(simulate(case, case.runs or (2000 if case.n <= 100 else 800)))
        say(line(held[-1]))
    return all(outcome.holds(CHANCE) for outcome in held)


def main() -> int:
    """Print the table, or write it to --out line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--draws", action="store_true", help="The metrics of several faces for one voice alone."
    )
    given = parser.parse_args()
    wanted = given.out
    began, lines = time.time(), []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    good = all(outcome.holds(CHANCE) for outcome in draws_table(say)) if given.draws else table(say)
    print(f"{time.time() - began:.0f} s", file=sys.stderr)
    if wanted:
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
