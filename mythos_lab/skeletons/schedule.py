"""A schedule: a straight line down."""

from __future__ import annotations

from mythos_blocks import component
from mythos_blocks.declaring.types import Probability
from mythos_lab.training.schedules import Schedule


@component("schedule", "skeleton")
class Skeleton(Schedule):
    """From the peak learning rate in a straight line to ``final`` of it.

    Args:
        max_steps: Optimiser steps of the run.
        final: Share of the peak learning rate at the end.
    """

    def __init__(self, max_steps: int, *, final: Probability = 0.1) -> None:
        self.max_steps, self.final = max_steps, final

    def share(self, step: int) -> float:
        return 1 - (1 - self.final) * step / self.max_steps
