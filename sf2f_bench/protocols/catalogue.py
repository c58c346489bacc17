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


class _OtherProtocol(BenchProtocol):
    """One that this version does not know: its records are shown in the tables of `sf2f-bench/1`, without its words."""

    description = ""
    is_default = False


def protocol_of_records(name: str) -> EvaluationProtocol:
    """The protocol that records name, which may be one that this version does not know."""
    return PROTOCOLS.get(name) or _OtherProtocol()
