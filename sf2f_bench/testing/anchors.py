"""The contract of an anchor, on the tiny world judged by the embedded networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from sf2f_bench.audio import LogFilterbank
from sf2f_bench.benchmarks import Benchmark
from sf2f_bench.evaluation.test_people import Evaluation
from sf2f_bench.extractors.embedded import EmbeddedExtractor
from sf2f_bench.testing.checks import expect, is_word
from sf2f_bench.testing.world import TinyWorld, tiny_store
from sf2f_bench.types import Anchor, Answer, ModelCard

SIZE = 64


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
    """A `ModelCard` of kind "anchor"."""
    card = trial.anchor.card
    expect(
        isinstance(card, ModelCard),
        "anchor.card to be a ModelCard",
        type(card).__name__,
        "see sf2f_bench.ModelCard",
    )
    for field in ("name", "version", "description", "licence"):
        value = getattr(card, field)
        expect(is_word(value), f"card.{field} to say something", repr(value), "fill it in")


def it_says_whether_it_applies(trial: AnchorTrial) -> None:
    """`applies` gives None or the reason why it cannot be computed."""
    reason = trial.anchor.applies(trial.evaluation)
    expect(reason is None or is_word(reason), "None or a reason in words", repr(reason), "see Anchor.applies")


def it_answers_in_one_form(trial: AnchorTrial) -> None:
    """Faces, embeddings or a ranking, one row an identity that it answers for, the same again."""
    if trial.anchor.applies(trial.evaluation) is not None:
        return
    answer = trial.anchor.answer(trial.evaluation)
    expect(isinstance(answer, Answer), "an Answer", type(answer).__name__, "see sf2f_bench.Answer")
    people = len(trial.evaluation.identities)
    rows = np.ones(people, bool) if answer.rows is None else answer.rows
    right = rows.dtype == bool and rows.shape == (people,)
    expect(right, f"rows bool [{people}]", f"{rows.dtype} {list(rows.shape)}", "one truth value an identity")
    given = [name for name in ("faces", "embeddings", "ranking") if getattr(answer, name) is not None]
    expect(
        len(given) == 1,
        "exactly one of faces, embeddings and ranking",
        given or "none",
        "leave the others None",
    )
    _check_form(trial, answer, int(rows.sum()))
    again = trial.anchor.answer(trial.evaluation)
    same = all(np.array_equal(one, other) for one, other in zip(_arrays(answer), _arrays(again), strict=True))
    expect(same, "the same answer when asked again", "another one", "seed whatever is random")


def _check_form(trial: AnchorTrial, answer: Answer, count: int) -> None:
    if answer.faces is not None:
        wanted = (count, 3, SIZE, SIZE)
        came = f"{answer.faces.dtype} {list(answer.faces.shape)}"
        right = answer.faces.dtype == np.uint8 and answer.faces.shape == wanted
        expect(
            right, f"faces uint8 {list(wanted)}", came, "one picture an identity, of evaluation.image_size"
        )
        return
    known = set(trial.evaluation.extractors)
    strangers = set(answer.embeddings or {}) - known
    expect(not strangers, f"embeddings by {sorted(known)}", sorted(strangers), "see evaluation.recognisers")
    for array in _arrays(answer):
        right = array.ndim == 2 and len(array) == count and bool(np.isfinite(array).all())
        expect(
            right, f"finite rows [{count}, D]", f"{array.dtype} {list(array.shape)}", "one row an identity"
        )


def _arrays(answer: Answer) -> list[np.ndarray]:
    if answer.faces is not None:
        return [answer.faces]
    return [*(answer.embeddings or {}).values(), *(answer.ranking or ())]


ANCHOR_CHECKS: tuple[Callable[[AnchorTrial], None], ...] = (
    card_is_complete,
    it_says_whether_it_applies,
    it_answers_in_one_form,
)
