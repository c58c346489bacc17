"""How often the gate and `compare` say what, by the size of a fall; from records of many seeds of one system.

A check is drawn at random: ten seeds stand for the reference and others for the new side, whose numbers are then moved
down by so many margins. Nothing is trained, generated or scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sf2f_bench.gate import Judgement, Rules
from sf2f_bench.gate.instrument import Instrument
from sf2f_bench.gate.judgement import FLOORS, JudgedMetric, floor_of, judged_metric, with_q
from sf2f_bench.results.numbers import number
from sf2f_bench.results.records import ScoreRecord, load_all
from sf2f_bench.results.seed_runs import pair_of, seed_runs
from sf2f_bench.statistics.paired import SIGNIFICANT, Measured, compare_scores

DRAWS = 200
REFERENCE_SEEDS = 10
NEW_SEEDS = (1, 2, 4)
ALONE_SEEDS = (1, 2)
FALLS = (0, 1, 2, 3, 4, 6)  # in margins
SAME_INSTRUMENT = Instrument((), 0, (), ())
BETWEEN_TABLES = """
One metric falls alone, in its own units; noticeable, tells: by one new seed, by two.
"""


@dataclass(frozen=True)
class Pool:
    """Every deciding metric of one system with all of its seeds, and the floor of each."""

    metrics: tuple[tuple[ScoreRecord, Measured, float | None], ...]

    @staticmethod
    def of(folders: Sequence[Path], model: str, rules: Rules) -> Pool:
        """From the records of several folders."""
        records = [record for folder in folders for record in load_all(folder)]
        runs = seed_runs([record for record in records if record.system.name == model])
        floors = [record for record in records if record.system.purpose in FLOORS]
        found = []
        for key, (score, *_) in runs.scores.items():
            if rules.decides(score):
                pair = pair_of(runs, runs, key, key)
                assert not isinstance(pair, str), pair
                found.append((score, pair[0], floor_of(score, floors, runs)))
        return Pool(tuple(found))

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.metrics[0][1].values)

    def line(self, i: int, rows: np.ndarray, new_seeds: int, fall: float, rules: Rules) -> JudgedMetric:
        """Metric i: the first rows stand for the reference, the next for the new side, fallen by so many margins."""
        score, measured, floor = self.metrics[i]
        reference = _rows(measured, rows[:REFERENCE_SEEDS])
        new = _rows(measured, rows[REFERENCE_SEEDS : REFERENCE_SEEDS + new_seeds])
        margin = rules.margin(score).of(float(reference.values.mean()))
        by = (-1 if score.higher_is_better else 1) * fall * margin
        new = replace(new, values=new.values + by, parts=new.parts + by)
        return judged_metric("system", score, new, reference, rules, floor)

    def lines(self, rows: np.ndarray, new_seeds: int, fall: float, rules: Rules) -> list[JudgedMetric]:
        """Of all metrics, which have fallen together."""
        return [self.line(i, rows, new_seeds, fall, rules) for i in range(len(self.metrics))]


def _judgement(lines: Sequence[JudgedMetric]) -> Judgement:
    families = tuple(dict.fromkeys(line.family for line in lines))
    return Judgement("", with_q(lines), SAME_INSTRUMENT, (), {}, {"system": families}, ())


def name_of(score: ScoreRecord) -> str:
    """``cosine (judge)``."""
    return f"{score.metric} ({score.extractor_role})"


def _rows(measured: Measured, rows: np.ndarray) -> Measured:
    seeds = tuple(measured.seeds[row] for row in rows)
    return replace(measured, values=measured.values[rows], parts=measured.parts[rows], seeds=seeds)


def measured_power(folders: Sequence[Path], model: str, rules: Rules) -> list[str]:
    """Two tables: every metric has fallen, and one alone has."""
    pool = Pool.of(folders, model, rules)
    random = np.random.default_rng(0)
    draws = [random.permutation(pool.seeds) for _ in range(DRAWS)]
    rows = [
        "| fall, in margins | new seeds | regression | cannot tell | no regression | shown to be no worse |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    for fall in FALLS:
        for new_seeds in NEW_SEEDS:
            found = [_judgement(pool.lines(draw, new_seeds, fall, rules)) for draw in draws]
            codes = Counter(one.exit_code for one in found)
            shown = sum(replace(one, non_inferior=True).exit_code == 0 for one in found)
            shares = [_percent(count, DRAWS) for count in (codes[1], codes[2], codes[0], shown)]
            rows.append(f"| {fall} | {new_seeds} | {' | '.join(shares)} |")
    alone = [
        "| metric | reference | floor | margin | noticeable | tells | fall of 2, 3, 4 margins | "
        "regressed: one new seed | two |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    honest = {size: [pool.lines(draw, size, 0, rules) for draw in draws] for size in ALONE_SEEDS}
    alone += [_alone(pool, i, draws, honest, rules) for i in range(len(pool.metrics))]
    return [*rows, BETWEEN_TABLES, *alone]


def _alone(
    pool: Pool,
    i: int,
    draws: Sequence[np.ndarray],
    honest: dict[int, list[list[JudgedMetric]]],
    rules: Rules,
) -> str:
    """A row on metric i, which falls alone."""
    score = pool.metrics[i][0]
    seen = []
    for size, every in honest.items():
        verdicts = [
            [
                _verdict([*lines[:i], pool.line(i, draw, size, fall, rules), *lines[i + 1 :]], i)
                for draw, lines in zip(draws, every, strict=True)
            ]
            for fall in (2, 3, 4)
        ]
        seen.append(", ".join(_percent(one.count("regressed"), DRAWS) for one in verdicts))

    def shown(value: float | None) -> str:
        return "-" if value is None else number(value, score.card.format, 3)

    mine = {size: [with_q(lines)[i] for lines in every] for size, every in honest.items()}
    first = mine[ALONE_SEEDS[0]]
    margin = float(np.mean([line.margin for line in first]))
    parts = [
        name_of(score),
        shown(float(np.mean([line.reference for line in first]))),
        shown(first[0].floor),
        shown(margin),
        ", ".join(shown(float(np.mean([line.noticeable for line in found]))) for found in mine.values()),
        ", ".join(_percent(sum(line.tells for line in found), DRAWS) for found in mine.values()),
        ", ".join(shown(fall * margin) for fall in (2, 3, 4)),
        *seen,
    ]
    return f"| {' | '.join(parts)} |"


def _verdict(lines: Sequence[JudgedMetric], i: int) -> str:
    return with_q(lines)[i].verdict


def measured_comparisons(folders: Sequence[Path], model: str, rules: Rules) -> list[str]:
    """A table: how often two groups of seeds of one system differ by p < .05, with one a side and with three."""
    pool = Pool.of(folders, model, rules)
    random = np.random.default_rng(0)
    draws = [random.permutation(pool.seeds) for _ in range(DRAWS)]
    rows = ["| metric | one seed a side | three seeds a side |", "|---|---:|---:|"]
    for score, measured, _ in pool.metrics:
        rates = []
        for seeds in (1, 3):
            pairs = [
                (_rows(measured, draw[:seeds]), _rows(measured, draw[seeds : 2 * seeds])) for draw in draws
            ]
            p = [compare_scores(*pair, np.random.default_rng(0)).p for pair in pairs]
            rates.append(_percent(sum(one < SIGNIFICANT for one in p), DRAWS))
        rows.append(f"| {name_of(score)} | {' | '.join(rates)} |")
    return rows


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.3g} %"
