"""The two versioned protocols, and what both decide about an identity's voice.

Same name and number of a protocol means comparable results; any change to it raises the number and says so in
the changelog. Numbers of different protocols never share a table.
"""

from __future__ import annotations

BENCH = "sf2f-bench/1"  # the sound one: see `sf2f_bench.evaluation`
PAPER = "sf2f-paper/1"  # as SF2F's code and supplement do it: see `sf2f_bench.paper_protocol`
PROTOCOLS = (BENCH, PAPER)

SEGMENTS = 20  # evaluation segments of an identity, at most, where a segment is SEGMENT_FRAMES long
SEGMENT_FRAMES = 125  # 1.25 s

_LEFT_OUT = {
    PAPER: {
        "real-photo-oracle": "the paper's truth is the mean over ALL photos of a person: none is held out that "
        "could answer, and one that is in the truth would find itself"
    }
}


def left_out(protocol: str, anchor: str) -> str | None:
    """Why an anchor has no row under a protocol; None where nothing of the protocol speaks against it."""
    return _LEFT_OUT.get(protocol, {}).get(anchor)
