"""my-anchor: a template of a row that needs no training. Yours to change from the first line to the last."""

from __future__ import annotations

import numpy as np

from sf2f_bench import Answer, Evaluation, ModelCard


class MyAnchor:
    """Shows the first training photo for everybody: a floor that any system should clear."""

    card = ModelCard(
        name="my-anchor",
        version="1",  # raise it when a change of the code changes its answer
        kind="anchor",
        description="one training photo for everybody",
        trained_on="nothing",
        place="floor",  # of a table; "ceiling" for one that knows what no system can know
        fitted_to="nothing",
    )

    def applies(self, evaluation: Evaluation) -> str | None:
        """None where it can be computed, else the reason why it cannot: it is printed in place of the row."""
        return None

    def answer(self, evaluation: Evaluation) -> Answer:
        """One answer for each of `evaluation.identities`: faces, embeddings or a ranking, see `Answer`."""
        photo = evaluation.train_faces[0][:1]  # uint8 [1, 3, H, W]
        return Answer(faces=np.repeat(photo, len(evaluation.identities), axis=0))
