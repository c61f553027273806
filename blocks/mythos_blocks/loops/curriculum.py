"""Loop counts that grow over training."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import LoopsSlot
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Loops
from mythos_blocks.loops.base import GradientWindow, LoopSampler

_STEPS = 64  # of training, over which its mean is taken


@component("loops", "curriculum")
class Curriculum(LoopSampler):
    """Another sampler, whose counts and gradient window grow to full size over the first part of training.

    At share r of the way a count n becomes ``ceil(start + (n - start) * r)``, but no more than n. The shapes are
    Parcae's, the linear one Huginn's too; both ramp the mean of the iterations without gradient, and not each count, as
    retrofitted recurrence (arXiv 2511.07384) ramps the mean.

    Args:
        base: The sampler at full size.
        start: The count at the start of training, and the window.
        share: Share of training over which the ramp goes.
        shape: ``linear``; ``one_minus_sqrt``: ``1 - sqrt(1 - p)`` at share p, which grows late; or ``step``, which
            switches the loops on once the share is over.
        on: What grows: the loop counts (``forward``), the gradient window (``backward``), or ``both``.

    Raises:
        ValueError: The window grows, and ``base`` has none.
    """

    def __init__(
        self,
        *,
        base: LoopsSlot = "poisson",
        start: Loops = 1,
        share: Annotated[float, Field(gt=0, le=1)] = 0.5,
        shape: Literal["linear", "one_minus_sqrt", "step"] = "linear",
        on: Literal["forward", "backward", "both"] = "forward",
    ) -> None:
        self.base: LoopSampler = build(base)
        if on != "forward" and self.base.gradient_window is None:
            raise ValueError(f"on={on!r} lets the gradient window grow, and base has none; set base.gradient_window")
        self.start, self.share, self.shape, self.on = start, share, shape, on
        self.gradient_window: GradientWindow = self.base.gradient_window

    @property
    def eval_loops(self) -> int:
        return self.base.eval_loops

    def ramp(self, progress: float) -> float:
        """Share of the way at a progress of training."""
        p = min(1.0, progress / self.share)
        if self.shape == "step":
            return float(p >= 1)
        return p if self.shape == "linear" else 1 - math.sqrt(1 - p)

    def pmf(self) -> Tensor:
        return self.base.pmf()

    def pmf_now(self) -> Tensor:
        return self._pmf_at(self.progress)

    def training_pmf(self) -> Tensor:
        return torch.stack([self._pmf_at((i + 0.5) / _STEPS) for i in range(_STEPS)]).mean(0)

    def draw(self, generator: torch.Generator, num: int) -> Tensor:
        counts = self.base.draw(generator, num)
        return self._grown(counts, self.progress) if self.on != "backward" else counts

    def window(self, num_loops: int) -> int:
        full = self.base.window(num_loops)
        if self.on == "forward":
            return full
        if full <= self.start:
            return full
        return max(1, math.ceil(self.start + (full - self.start) * self.ramp(self.progress) - 1e-9))

    def _grown(self, counts: Tensor, progress: float) -> Tensor:
        grown = (self.start + (counts - self.start).double() * self.ramp(progress) - 1e-9).ceil().long()
        return torch.where(counts > self.start, grown.clamp_min(1), counts)

    def _pmf_at(self, progress: float) -> Tensor:
        pmf = self.base.pmf()
        if self.on == "backward":
            return pmf
        counts = self._grown(torch.arange(len(pmf), device="cpu"), progress)
        return torch.zeros_like(pmf).index_add(0, counts, pmf)
