"""What exit rules with a threshold on a difference share."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit, ExitState, Read
from mythos_blocks.tensors.rows import Index


class ThresholdExit(Exit):
    """Stops a position once a difference between iterations has stayed below a threshold.

    Args:
        threshold: What the difference must be below.
        min_loops: Iterations that run in any case.
        patience: Iterations in a row for which it must be.
    """

    def __init__(self, threshold: float, min_loops: int, patience: int = 1) -> None:
        super().__init__()
        self.threshold, self.min_loops, self.patience = threshold, min_loops, patience

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        """What is remembered of an iteration for the next: ``(batch, positions, ...)``."""
        return new

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        """The difference between what was remembered and what is seen: ``(batch, positions)``."""
        raise NotImplementedError

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        now = self.seen(old, new, read)
        zeros = torch.zeros_like(state.stopped, dtype=torch.long)
        run, calm = state.kept.get("run", zeros) + 1, state.kept.get("calm", zeros)
        if "seen" in state.kept:
            calm = (calm + 1) * (self.difference(state.kept["seen"], now) < self.threshold)
        stopped = state.stopped | ((calm >= self.patience) & (run >= self.min_loops))
        return ExitState(stopped=stopped, kept={"seen": now, "run": run, "calm": calm})
