"""An exit rule: a position stops once its state moves little."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from mythos_blocks import Exit, ExitState, component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


@component("exit", "skeleton")
class Skeleton(Exit):
    """Stops where ``|h_t - h_(t-1)| < threshold * |h_(t-1)|``.

    Args:
        width: Channels of the state.
        threshold: What the relative change must be below.
    """

    def __init__(self, width: int, *, threshold: Positive = 0.05) -> None:
        super().__init__()
        self.threshold = threshold

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        before, now = at_least_float32(old), at_least_float32(new)
        settled = (now - before).norm(dim=-1) < self.threshold * before.norm(dim=-1)
        return replace(state, stopped=state.stopped | settled)
