"""What an iteration of the loop reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor

from mythos_blocks.core.observing import put_back
from mythos_blocks.exit.base import ExitState
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.losses import Losses
from mythos_blocks.frame.memory import Memory
from mythos_blocks.frame.selection import Where
from mythos_blocks.halting.base import HaltingState


@dataclass
class LoopState:
    """The loop between two iterations. Steps make new ones and leave the old as they are.

    Attributes:
        h: The state, ``(batch, positions, state_width)``.
        e: The input that is injected, ``(batch, positions, width)``.
        halting: What the halting rule has seen.
        frame: The mask, positions and tokens of this pass.
        memory: Keys and values that iterations leave behind.
        executed: Iterations that each position has run, ``(batch, positions)``.
        stopped: Positions that run no more, ``(batch, positions)`` booleans; ``None`` where none ever stops.
        exit: What the exit rule has seen; ``None`` without one.
        carry: What the update remembers beyond the state.
        x: What the core will read in iteration ``x_for``, where the last one has prepared it already.
        x_for: The iteration index that ``x`` was prepared for.
        num_loops: Iterations run.
        losses: Terms of the training loss that the layers have left.
    """

    h: Tensor
    e: Tensor
    halting: HaltingState
    frame: Frame
    memory: Memory
    executed: Tensor
    stopped: Tensor | None = None
    exit: ExitState | None = None
    carry: Tensor | None = None
    x: Tensor | None = None
    x_for: int | None = None
    num_loops: int = 0
    losses: Losses = field(default_factory=Losses)

    def detached(self, where: Where) -> LoopState:
        """The state of these positions, and all that later iterations read, cut off from the graph that made it.

        Positions that run no more keep their last state's graph, and what halting has seen keeps its own: it makes the
        readout, to which every iteration contributes.
        """
        h, carry = self.h.detach(), None if self.carry is None else self.carry.detach()
        if not where.all:
            h = put_back(self.h, h, where)
            carry = None if carry is None or self.carry is None else put_back(self.carry, carry, where)
        return replace(self, h=h, carry=carry, memory=self.memory.detached(), x=None)
