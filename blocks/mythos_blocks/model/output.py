"""What a forward pass returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mythos_blocks.core.again import Beginning
from mythos_blocks.core.state import LoopState
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.memory import Path
from mythos_blocks.halting.base import HaltingState


@dataclass
class ModelOutput:
    """What a forward pass returns.

    Attributes:
        logits: ``(batch, positions, vocab_size)``.
        halting: What the halting rule saw, iteration by iteration.
        num_loops: Iterations executed.
        executed: Iterations that each position ran, ``(batch, positions)``.
        auxiliary_loss: What components add to the training loss, a scalar; ``None`` where none adds anything.
        losses: The terms of it, by name.
        tape: States by place, where they were asked for: ``("prelude", layer)``, ``("core", t, layer)``,
            ``("core", t)`` after iteration t, ``("coda", layer)``.
        states: The states after the iterations, in order of their indices, where they were asked for.
        beginning: Where states were asked for from the gradient window on, and those before it are not kept: they are
            had again by ``beginning.states()``, and come before ``states``.
        state: The loop after its last iteration.
        frame: The mask, positions and tokens of the pass.
    """

    logits: Tensor
    halting: HaltingState
    num_loops: int
    executed: Tensor
    auxiliary_loss: Tensor | None
    losses: dict[str, Tensor]
    tape: dict[Path, Tensor]
    states: list[Tensor]
    state: LoopState
    frame: Frame
    beginning: Beginning | None = None
