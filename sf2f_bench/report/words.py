"""Sentences that every form of the report says in the same words."""

from __future__ import annotations

from sf2f_bench.protocols.names import BENCH, PAPER

PROTOCOLS = {
    BENCH: "Each system hears the first 20 windows of 1.25 s of a test identity's recordings and draws one face. "
    "A judge that took no part in any training compares it with the mean over the person's true photos, of which "
    "one is held out of everything. recall@k is how often the right person is among the k nearest, expected over "
    "all galleries that the test identities allow; ties count by their expectation.",
    PAPER: "The published evaluation of SF2F, quirks and all: the network of the training loss scores, the truth "
    "is the mean over all photos, galleries are few and fixed, runs differ in random crops. It is for comparison "
    "in kind only.",
}
ETHICS = (
    "This is an instrument for comparing models. It is not a tool to identify people and must not be used as one: "
    "not for guessing what a speaker looks like, not for surveillance, policing, hiring, border control, profiling "
    "or any other decision about a person.",
    "Most of a face cannot be heard. A drawn face is a sample of what similar voices looked like in training, not a "
    "likeness; it repeats what the training data associate, and groups that are rare there get the worst faces.",
    "Recall above knowing only the gender shows that something beyond gender is used, not that a face resembles its "
    "speaker. Publish numbers with the anchors beside them, and no drawn face as a portrait of a real person.",
    "Voice and face are biometric data. Recordings and photos of people may not be usable for this where you are, "
    "even when they are public.",
)
SYNTHETIC = (
    "The law of the synthetic world is invented: it says which system hears more of a known law under equal "
    "conditions, and nothing of how much real voices tell about real faces."
)
SEEDS = "The intervals do not contain the variation between training seeds, which is large at small budgets."
MARKS_OF_ONE_SEED = (
    "A mark speaks of these trained models alone, with one training seed each: another seed is another model, and may "
    "bear another mark."
)
MARKS_OF_SEEDS = (
    "A mark speaks of a system, not of the row that bears it: all training seeds of the system{others} are "
    "compared with all of the reference's ({reference}), for new seeds and new people, and each of its rows bears the "
    "same mark. Few seeds show only large differences: Student's t is 12.7 with two seeds, 2.8 with five."
)
SINGLE_SEED = "A single seed is taken to vary as the other side's do."
ONE_AGAINST_ONE = "One seed against one speaks of these two trained models alone."
PUBLISHED = (
    "These rows stand apart because no number of this report may be compared with them: they come from other data "
    "and other test identities; recall is searched in other galleries and seen by other networks, mostly by the one "
    "that the systems were trained with; none has an interval; and rows of different sources differ in gallery and "
    "network among themselves. They show the order of magnitude of what was printed, and nothing else."
)
