"""A stranger's anchor."""

from __future__ import annotations

import numpy as np

from sf2f_bench import Answer, Evaluation, ModelCard


class FirstPhoto:
    """The first training photo for everybody."""

    card = ModelCard(
        "first-photo", "1", "anchor", "one training photo for everybody", place="floor", fitted_to="nothing"
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """Always."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """The same face for all."""
        return Answer(faces=np.repeat(evaluation.train_faces[0][:1], len(evaluation.identities), axis=0))
