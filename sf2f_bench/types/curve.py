"""The columns of a training curve beside the losses that a system logs."""

from __future__ import annotations

PLACE = ("stage", "step", "samples")  # of a point: samples of all processes since the stage began
SIMILARITY = "validation_similarity"  # mean cosine of generated and true faces
RECALL = "validation_recall@10"  # share of voices whose true face is among the ten most similar to the generated one
CHANCE, GENDER = (
    "validation_chance",
    "validation_gender",
)  # that recall of guessing, of knowing the gender alone
VALIDATION = (SIMILARITY, RECALL, CHANCE, GENDER)
