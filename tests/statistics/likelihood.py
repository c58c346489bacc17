"""Why the suite has no held-out likelihood: what FLD tells apart at 300 faces, beside the suite's distances. As a page.

``python -m tests.statistics.likelihood --out FILE`` draws features from a known law, with a spectrum like the judge's,
and asks each score which of two generators is the worse one. FLD is that of Jiralerspong et al. 2023 (arXiv
2302.04440): one Gaussian around each generated face, its width fitted to the training photos, and the likelihood of
the test photos under their mixture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sf2f_bench.metrics.distribution import frechet_distance, kernel_distance

Rows = NDArray[np.float64]
TRAINING, FACES, DIMENSIONS = 1000, 300, 128
SPECTRUM = 1 / np.sqrt(np.arange(1, DIMENSIONS + 1))  # standard deviations of the directions
STEPS, RATE = 100, 0.1


def fld(training: Rows, test: Rows, faces: Rows) -> float:
    """-100 / d times the mean log likelihood of test ``[N, D]`` by Gaussians around faces ``[M, D]``: less is better.

    The widths, one a face, are fitted to the likelihood of training ``[T, D]``. The published value adds a constant
    of the data, which no order of generators depends on.
    """
    scale = training.std(axis=0)
    sides = [torch.from_numpy((rows - training.mean(axis=0)) / scale) for rows in (training, test, faces)]
    near, far = (torch.cdist(side, sides[2]).square() for side in sides[:2])
    d = faces.shape[1]
    width = (
        torch.full((len(faces),), float(near.min(dim=1).values.median() / d)).log().double().requires_grad_()
    )
    optimiser = torch.optim.Adam([width], RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        (-_likelihood(near, width, d) / d).backward()
        optimiser.step()
    with torch.no_grad():
        return float(-100 / d * _likelihood(far, width, d))


def _likelihood(squares: torch.Tensor, width: torch.Tensor, d: int) -> torch.Tensor:
    """Mean log likelihood; width: log variances ``[M]``."""
    each = -squares / (2 * width.exp()) - d / 2 * (width + np.log(2 * np.pi))
    return (torch.logsumexp(each, dim=1) - np.log(squares.shape[1])).mean()


def law(random: np.random.Generator, count: int) -> Rows:
    """Features of photos ``[count, D]``."""
    return random.standard_normal((count, DIMENSIONS)) * SPECTRUM


def shifted(random: np.random.Generator, training: Rows) -> Rows:
    return law(random, FACES) + 0.15 * SPECTRUM


def narrow(random: np.random.Generator, training: Rows) -> Rows:
    return 0.9 * law(random, FACES)


def noisy(random: np.random.Generator, training: Rows) -> Rows:
    return law(random, FACES) + 0.3 * SPECTRUM * random.standard_normal((FACES, DIMENSIONS))


def few(random: np.random.Generator, training: Rows) -> Rows:
    """Half of all faces are one of twenty."""
    faces = law(random, FACES)
    faces[: FACES // 2] = faces[random.integers(0, 20, FACES // 2)] + 0.05 * law(random, FACES // 2)
    return faces


def copied(random: np.random.Generator, training: Rows) -> Rows:
    """Training photos, nearly: what FLD is made for."""
    return training[random.permutation(TRAINING)[:FACES]] + 0.05 * law(random, FACES)


WORSE: dict[str, Callable[[np.random.Generator, Rows], Rows]] = {
    "mean moved by .15 standard deviations": shifted,
    "spread of .9": narrow,
    "noise of .3 added": noisy,
    "half of the faces are one of twenty": few,
    "copies of training photos": copied,
}


def rates(trials: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """By fault and score: the share of trials in which the worse generator has the worse score."""
    found: dict[str, dict[str, float]] = {}
    for name, worse in WORSE.items():
        random, right = np.random.default_rng(seed), {"FLD": 0, "Frechet": 0, "kernel distance": 0}
        for _ in range(trials):
            training, test = law(random, TRAINING), law(random, FACES)
            sides = [worse(random, training), law(random, FACES)]
            scores = {
                "FLD": [fld(training, test, faces) for faces in sides],
                "Frechet": [frechet_distance(test, faces) for faces in sides],
                "kernel distance": [kernel_distance(test, faces) for faces in sides],
            }
            for score, (bad, good) in scores.items():
                right[score] += bad > good
        found[name] = {score: count / trials for score, count in right.items()}
    return found


HEAD = """# A held-out likelihood at 300 faces

Made by `python -m tests.statistics.likelihood`: {trials} trials a line. In each, features of {training}
training photos, of {faces} test photos and of two generators' {faces} faces are drawn in {d} dimensions, with a falling
spectrum; one generator draws from the law of the photos, the other has a fault. The share of trials in which the score
names the faulty one: 50 % is guessing.

"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = rates(options.trials)
    scores = list(next(iter(found.values())))
    lines = [f"| fault | {' | '.join(scores)} |", f"|---{'|---:' * len(scores)}|"]
    lines += [
        f"| {name} | {' | '.join(f'{100 * shares[score]:.0f} %' for score in scores)} |"
        for name, shares in found.items()
    ]
    head = HEAD.format(trials=options.trials, training=TRAINING, faces=FACES, d=DIMENSIONS)
    options.out.write_text(f"{head}{chr(10).join(lines)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
