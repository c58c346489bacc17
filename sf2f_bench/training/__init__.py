"""Training: the context that the harness hands to a system, the machine it runs on, its checkpoints."""

from sf2f_bench.training.loop import TrainContext
from sf2f_bench.training.machine import Machine
from sf2f_bench.training.validation import Validated, Validation

__all__ = ["Machine", "TrainContext", "Validated", "Validation"]
