"""Learning rates over the steps, as components."""

from __future__ import annotations

import math
from typing import Annotated, Literal

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


@component("schedule", "wsd")
class WarmupStableDecay(Schedule):
    """Linear warm-up, the peak learning rate, then a decay that would be at ``final`` one step after the last.

    What trains on from before the decay loses nothing, unlike a cosine, whose every rate depends on the last step
    (MiniCPM, arXiv 2404.06395; the decay by the root, arXiv 2405.18392).

    Args:
        max_steps: Optimiser steps of the run.
        warmup_steps: Steps of the warm-up; a number below 1 with a point is their share of all steps.
        decay_steps: Steps of the decay, likewise.
        shape: ``linear`` in the steps, or ``root``: 1 less the square root of the share of the decay that is done.
        final: Share of the peak learning rate at the end.
    """

    def __init__(
        self,
        max_steps: int,
        *,
        warmup_steps: Warmup = 0,
        decay_steps: Warmup = 0.2,
        shape: Literal["linear", "root"] = "root",
        final: Share = 0.0,
    ) -> None:
        self.warmup_steps = _within(warmup_steps, max_steps)
        if not decay_steps and (shape != "root" or final):
            raise ValueError(f"{'final' if final else 'shape'} is of the decay, and decay_steps=0 leaves none")
        if isinstance(decay_steps, float):
            decay_steps = min(round(decay_steps * max_steps), max_steps - self.warmup_steps)
        if self.warmup_steps + decay_steps > max_steps:
            raise ValueError(
                f"decay_steps={decay_steps} and warmup_steps={self.warmup_steps} must not exceed max_steps={max_steps}"
            )
        self.first, self.decay_steps, self.shape, self.final = max_steps - decay_steps, decay_steps, shape, final

    def share(self, step: int) -> float:
        done = min(1.0, max(0, step - self.first) / self.decay_steps) if self.decay_steps else 0.0
        left = 1 - (done if self.shape == "linear" else math.sqrt(done))
        return (self.final + (1 - self.final) * left) * _warmup(step, self.warmup_steps)


def _warmup(step: int, warmup_steps: int) -> float:
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def _within(warmup_steps: float, max_steps: int) -> int:
    if isinstance(warmup_steps, float):
        return min(round(warmup_steps * max_steps), max_steps - 1)
    if warmup_steps >= max_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be below max_steps={max_steps}")
    return warmup_steps
