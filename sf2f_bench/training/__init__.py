"""Training: the context that the harness hands to a system, and its checkpoints."""

from sf2f_bench.training.loop import TrainContext

__all__ = ["TrainContext"]
