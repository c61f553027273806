"""What exit rules with a threshold on a difference share."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit, ExitState, Read
from mythos_blocks.tensors.rows import Index


class ThresholdExit(Exit):
    """Stops a position once a difference between iterations has stayed below a threshold.

    Iteration ``min_loops`` is the first that the rule looks at. It is held against the rule's starting value, and every
    later one against the one before, as in Huginn's code, whose ``min_steps`` is ``min_loops - 1``: nothing of the
    iterations that run in any case is remembered.

    Args:
        threshold: What the difference must be below.
        min_loops: The first iteration that the rule looks at, counted from 1.
        patience: Iterations in a row for which it must be.
    """

    def __init__(self, threshold: float, min_loops: int, patience: int = 1) -> None:
        super().__init__()
        self.threshold, self.min_loops, self.patience = threshold, min_loops, patience

    def begin(self, h: Tensor) -> Tensor | None:
        """The starting value, from the initial state; ``None`` where :meth:`before_all` makes it."""
        return h

    def before_all(self, now: Tensor) -> Tensor:
        """The starting value, shaped like what is seen of the first iteration."""
        raise NotImplementedError

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        """What is remembered of an iteration for the next: ``(batch, positions, ...)``."""
        return new

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        """The difference between what was remembered and what is seen: ``(batch, positions)``."""
        raise NotImplementedError

    def start(self, h: Tensor) -> ExitState:
        state = super().start(h)
        zeros, value = torch.zeros_like(state.stopped, dtype=torch.long), self.begin(h)
        state.kept = {"run": zeros, "calm": zeros} | ({} if value is None else {"seen": value})
        return state

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        now = self.seen(old, new, read)
        before = state.kept["seen"] if "seen" in state.kept else self.before_all(now)
        run = state.kept["run"] + 1
        looks = run >= self.min_loops
        near = self.difference(before, now) < self.threshold
        calm = (state.kept["calm"] + 1) * (looks & near)
        kept = torch.where(looks.view(*looks.shape, *[1] * (now.dim() - 2)), now, before)
        stopped = state.stopped | (calm >= self.patience)
        return ExitState(stopped=stopped, kept={"seen": kept, "run": run, "calm": calm})
