"""An ablation of the stranger's model."""

from __future__ import annotations

from dataclasses import replace

from .model import Listener


class WithoutDeviation(Listener):
    """It hears the mean of every band alone."""

    card = replace(
        Listener.card, name="listener-mean", ablation_of="listener", change="without deviation of the bands"
    )
    deviation = False
