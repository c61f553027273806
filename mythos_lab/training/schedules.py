"""Learning rates over the steps, as components."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from mythos_blocks import Component, component, declare_slot
from mythos_blocks.declaring.types import AtMost

declare_slot("schedule", "The learning rate over the steps, as a share of its peak.")

Share = Annotated[float, Field(ge=0, le=1)]
Warmup = Annotated[int, Field(ge=0), AtMost(2**31 - 1)] | Annotated[float, Field(ge=0, lt=1)]
"""A number of steps, or a share of all of them."""


class Schedule(Component):
    """A share of the peak learning rate for each step."""

    def share(self, step: int) -> float:
        """The factor on the peak learning rate in step ``step`` (0-based)."""
        raise NotImplementedError


@component("schedule", "constant")
class Constant(Schedule):
    """The peak learning rate throughout, after a linear warm-up.

    Args:
        max_steps: Optimiser steps of the run.
        warmup_steps: Steps of the warm-up; a number below 1 with a point is their share of all steps.
    """

    def __init__(self, max_steps: int, *, warmup_steps: Warmup = 0) -> None:
        self.warmup_steps = _within(warmup_steps, max_steps)

    def share(self, step: int) -> float:
        return _warmup(step, self.warmup_steps)


@component("schedule", "cosine")
class Cosine(Schedule):
    """Linear warm-up, then half a cosine that would be at ``final`` one step after the last (arXiv 1608.03983).

    Args:
        max_steps: Optimiser steps of the run.
        warmup_steps: Steps of the warm-up; a number below 1 with a point is their share of all steps.
        final: Share of the peak learning rate at the end.
    """

    def __init__(self, max_steps: int, *, warmup_steps: Warmup = 0, final: Share = 0.1) -> None:
        self.max_steps, self.warmup_steps, self.final = max_steps, _within(warmup_steps, max_steps), final

    def share(self, step: int) -> float:
        span = max(1, self.max_steps - self.warmup_steps)
        progress = min(1.0, max(0.0, (step - self.warmup_steps) / span))
        cosine = self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2
        return cosine * _warmup(step, self.warmup_steps)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _within(warmup_steps: float, max_steps: int) -> int:
    if isinstance(warmup_steps, float):
        return min(round(warmup_steps * max_steps), max_steps - 1)
    if warmup_steps >= max_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be below max_steps={max_steps}")
    return warmup_steps
