"""Sentences that every form of the report says in the same words."""

from __future__ import annotations

ETHICS = (
    "This is an instrument for comparing models. It is not a tool to identify people and must not be used as one: "
    "not for guessing what a speaker looks like, not for surveillance, policing, hiring, border control, profiling "
    "or any other decision about a person.",
    "Most of a face cannot be heard. A generated face is a sample of what similar voices looked like in training, not "
    "a likeness; it repeats what the training data associate, and groups that are rare there get the worst faces.",
    "Recall above knowing only the gender shows that something beyond gender is used, not that a face resembles its "
    "speaker. Publish numbers together with the anchors, and no generated face as a portrait of a real person.",
    "Voice and face are biometric data. Recordings and photos of people may not be usable for this where you are, "
    "even when they are public.",
)
SYNTHETIC = (
    "The law of the synthetic world is invented: it shows which system hears more of a known law under equal "
    "conditions, and nothing about how much real voices tell about real faces."
)
SEEDS = "The intervals do not contain the variation between training seeds, which is large at small budgets."
MARKS_OF_SEEDS = (
    "A mark is about a system, not about the row that bears it: all training seeds of the system{others} are "
    "compared with all of the reference's ({reference}), for new seeds and new identities, and each of its rows bears "
    "the same mark. Few seeds show only large differences: Student's t is 4.3 with three seeds, 2.8 with five."
)
NO_MARKS = (
    "Better or worse than the reference ({reference} seeds) is marked only with three training seeds a side{others}: "
    "another seed is another model."
)
PUBLISHED = (
    "Published results cannot be compared with the tables above, nor with each other: each source uses its own data, "
    "split, gallery and scoring network, mostly the network that the systems were trained with, and gives no interval. "
    "They show the order of magnitude of what was printed, and nothing else."
)
CLAIMS_HEADINGS = ("claim", "answer", "difference [95 %]", "what was compared", "made in")
CLAIMS_READING = (
    "Each claim says that a difference is above zero. It is supported where the difference is above zero with "
    "q < .05 and a 95 % interval without zero, and contradicted where it is below zero in the same way. Otherwise it "
    "cannot be told, which does not mean that there is no difference. Differences are paired by identity "
    "and hold for new people and new training seeds (three seeds a side, Student's t); q is corrected for the number "
    "of claims after Benjamini and Hochberg. With fewer seeds the interval is for new people alone, and there is no "
    "answer. † is behind the number of a system that was trained too briefly, ! behind that of one with a warning: a "
    "longer training might change such an answer."
)
CLAIMS_ELSEWHERE = (
    "The same page for real people: train SF2F, voice2face and the ablations on hq-voxceleb-64 with the paper budget "
    "and three seeds, as docs/benchmark.md shows, and make the report of these records."
)
