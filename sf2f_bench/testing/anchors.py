"""`check_anchor`: whether an anchor keeps the contract of `Anchor`, on the tiny world with the embedded networks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.testing.checks import (
    WORDS,
    Rule,
    expect,
    expect_array,
    expect_card,
    expect_finite,
    is_word,
    one_of,
    run_checks,
)
from sf2f_bench.testing.world import TinyWorld, tiny_store
from sf2f_bench.types import Anchor, Answer, ModelCard

SIZE = 64
CARD: dict[str, Rule] = {  # of systems and of anchors
    "version": WORDS,
    "description": WORDS,
    "licence": WORDS,
    "trained_on": WORDS,
    "tolerance": (
        lambda value: value is None or (isinstance(value, float) and 0 < value < 1),
        "to be None or a relative difference between 0 and 1",
        "state how far rounding may move its numbers",
    ),
}
ANCHOR_CARD: dict[str, Rule] = {
    "name": WORDS,
    "kind": one_of(["anchor"]),
    **CARD,
    "place": (
        ("floor", "ceiling").__contains__,
        "to be 'floor' or 'ceiling'",
        "say whether systems should score above it or below",
    ),
}


def check_anchor(anchor: Any) -> None:
    """Run every check of an anchor's contract; anchor: what ``--models`` names, or an instance of it.

    Raises BenchError that names the check, what was expected, what came and what to do.
    """
    made = anchor() if isinstance(anchor, type) else anchor
    with tempfile.TemporaryDirectory() as folder:
        name = getattr(getattr(made, "card", None), "name", type(made).__name__)
        run_checks(f"anchor {name}", ANCHOR_CHECKS, AnchorTrial(made, Path(folder)))


class AnchorTrial:
    """An anchor and the evaluation that it answers."""

    def __init__(self, anchor: Anchor, folder: Path) -> None:
        self.anchor, self.folder = anchor, folder

    @cached_property
    def evaluation(self) -> Evaluation:
        """Five test people, galleries of three."""
        frontend = LogFilterbank()
        names = {"judge": "embedded-judge", "training-loss": "embedded-perceptual"}
        return Evaluation(
            Benchmark("tiny", "synthetic", SIZE, gallery_size=3, ks=(1, 2)),
            tiny_store(frontend, SIZE, self.folder / "store"),
            TinyWorld(),
            frontend,
            {key: EmbeddedExtractor(name) for key, name in names.items()},
            self.folder / "features",
        )


def card_is_complete(trial: AnchorTrial) -> None:
    """A `ModelCard` of kind "anchor" that says where it belongs in a table."""
    expect_card(trial.anchor.card, ModelCard, ANCHOR_CARD)


def it_says_whether_it_applies(trial: AnchorTrial) -> None:
    """`applies` gives None or the reason why it cannot be computed."""
    reason = trial.anchor.applies(trial.evaluation)
    expect(reason is None or is_word(reason), "None or a reason in words", repr(reason), "see Anchor.applies")


def it_answers_in_one_form(trial: AnchorTrial) -> None:
    """Faces, embeddings or a ranking, one row for each identity that it answers for, the same again."""
    if trial.anchor.applies(trial.evaluation) is not None:
        return
    answer, people = trial.anchor.answer(trial.evaluation), len(trial.evaluation.identities)
    expect(isinstance(answer, Answer), "an Answer", type(answer).__name__, "see sf2f_bench.Answer")
    rows = np.ones(people, bool) if answer.rows is None else answer.rows
    expect_array(rows, "rows", "bool", [people], "give one truth value for each identity")
    given = [name for name in ("faces", "embeddings", "ranking") if getattr(answer, name) is not None]
    expected = "exactly one of faces, embeddings and ranking"
    expect(len(given) == 1, expected, given or "none", "leave the others None")
    _check_form(trial, answer, int(rows.sum()))
    again = trial.anchor.answer(trial.evaluation)
    same = all(np.array_equal(one, other) for one, other in zip(_arrays(answer), _arrays(again), strict=True))
    expect(same, "the same answer when asked again", "another one", "seed whatever is random")


def _check_form(trial: AnchorTrial, answer: Answer, count: int) -> None:
    if answer.faces is not None:
        remedy = "give one picture an identity, of evaluation.image_size"
        expect_array(answer.faces, "faces", "uint8", [count, 3, SIZE, SIZE], remedy)
        return
    known = set(trial.evaluation.extractors)
    strangers = set(answer.embeddings or {}) - known
    expect(not strangers, f"embeddings by {sorted(known)}", sorted(strangers), "see evaluation.recognisers")
    for array in _arrays(answer):
        expect_array(array, "rows", str(array.dtype), [count, "D"], "give one row an identity")
        expect_finite(array, f"rows [{count}, D]", "look for a division by zero")


def _arrays(answer: Answer) -> list[np.ndarray]:
    if answer.faces is not None:
        return [answer.faces]
    return [*(answer.embeddings or {}).values(), *(answer.ranking or ())]


ANCHOR_CHECKS: tuple[Callable[[AnchorTrial], None], ...] = (
    card_is_complete,
    it_says_whether_it_applies,
    it_answers_in_one_form,
)
