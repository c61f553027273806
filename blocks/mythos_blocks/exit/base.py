"""The contract of an exit rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index

Read = Callable[[Tensor], Tensor]
"""From a state ``(batch, positions, width)`` to the logits that the model would read from it."""


@dataclass
class ExitState:
    """What an exit rule remembers of earlier iterations.

    Attributes:
        kept: Tensors ``(batch, positions, ...)`` by name.
        stopped: Positions that the rule has stopped, ``(batch, positions)`` booleans.
    """

    stopped: Tensor
    kept: dict[str, Tensor] = field(default_factory=dict)


@contract("exit")
class Exit(Module):
    """Stops a position, outside training, once a further iteration is not expected to change its output.

    Attributes:
        reads_logits: Whether the rule needs the logits after every iteration.
    """

    reads_logits: bool = False

    def start(self, h: Tensor) -> ExitState:
        """The state before the first iteration; ``h`` is the initial state."""
        return ExitState(stopped=h.new_zeros(h.shape[:-1]).bool())

    def forward(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        """Look at an iteration, by :meth:`observe`: called as a module, so that hooks on the rule see it.

        Shapes: ``old`` and ``new`` are ``(batch, positions, width)``, the state before and after iteration ``t``; what
        is returned says in ``stopped``, ``(batch, positions)`` booleans, which positions have stopped.
        """
        return self.observe(state, old, new, read, t)

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        """Look at an iteration, once for the whole batch; what is said of positions that did not run it is dropped.

        Args:
            state: What the rule has seen before.
            old: The loop's state before the iteration, ``(batch, positions, width)``.
            new: The state after it.
            read: What the model reads from a state, ``(batch, positions, vocab_size)``; of positions that did not run,
                it may be zeros.
            t: The iteration, 0-based; the loop gives a 0-dimensional int64 tensor.
        """
        raise NotImplementedError
