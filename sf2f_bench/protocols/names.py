"""Names and constants of the protocols: how they are called, how many segments they hear, which k is the headline.

The protocols themselves are found with `sf2f_bench.protocols.catalogue`. Results under a protocol of the same name and
number are comparable; any change to a protocol raises its number and is listed in the changelog. Numbers of different
protocols never share a table.
"""

from __future__ import annotations

from collections.abc import Sequence

BENCH = "sf2f-bench/1"  # the sound one: see `sf2f_bench.evaluation.test_people`
PAPER = "sf2f-paper/1"  # as SF2F's code and supplement do it: see `sf2f_bench.protocols.paper.scoring`
PROTOCOLS = (BENCH, PAPER)

HEADLINE_K = 10  # of recall@k in verdicts: the benchmark's largest k that does not exceed it
SEGMENTS = 20  # evaluation segments of an identity, at most, where a segment is SEGMENT_FRAMES long
SEGMENT_FRAMES = 125  # 1.25 s
SECONDS = (1.25, 2.5, 5.0, 10.0)  # of the audio-length curve; its last point is all segments
DISTURBANCES = (
    "clean",
    "noise 20 dB",
    "noise 10 dB",
    "noise 0 dB",
    "telephone",
    "MP3",
)  # of the robustness curves
DISTURBED_SECONDS = 5.0  # of speech that is heard of a disturbed voice
DRAWS, MOST_DRAWS = 8, 64  # faces for one voice by a system that draws them
RUNS = 10  # of sf2f-paper, each with other random crops
TRAINING_LOSS, INCEPTION = "training-loss", "inception-2015"  # keys of the networks that play the paper's
CLASSIFIER, JUDGE = "paper-classifier", "judge"


def headline_k(ks: Sequence[int]) -> int:
    """The k of recall@k in verdicts: `HEADLINE_K`, or the largest smaller one of the benchmark's, else its smallest."""
    return max((k for k in ks if k <= HEADLINE_K), default=min(ks))
