"""From a protocol's name to the protocol itself."""

from __future__ import annotations

from sf2f_bench.protocols.bench.protocol import BenchProtocol
from sf2f_bench.protocols.paper.protocol import PaperProtocol
from sf2f_bench.protocols.protocol import EvaluationProtocol
from sf2f_bench.registry import unknown
from sf2f_bench.types import BenchError

PROTOCOLS: dict[str, EvaluationProtocol] = {
    protocol.name: protocol for protocol in (BenchProtocol(), PaperProtocol())
}


def protocol_named(name: str) -> EvaluationProtocol:
    """The protocol ``sf2f-bench/1`` or ``sf2f-paper/1``. Raises BenchError with the nearest names for another."""
    if name not in PROTOCOLS:
        raise BenchError(unknown("protocol", name, list(PROTOCOLS)))
    return PROTOCOLS[name]
