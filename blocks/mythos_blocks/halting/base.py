"""The contract of a halting rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index
from mythos_blocks.tensors.tracing import is_traced

Evaluation = Literal["stop", "select", "run_on"]
"""What evaluation does where a rule would stop a position: ``stop`` it there; ``select`` its state there for the
readout, while it runs on, as others read it; or let all ``run_on`` and read the last state."""


@dataclass
class HaltingState:
    """What a halting rule carries from iteration to iteration.

    Attributes:
        readout: What the coda will read, so far: ``(batch, positions, width)``.
        real: The positions that count, ``(batch, positions)`` booleans: all but padding.
        weights: For each iteration, the weight of its state in the readout: ``(batch, positions)``.
        halted: Positions that have halted, ``(batch, positions)`` booleans; ``None`` where none ever does.
        mass: Sum of the halting probabilities so far, ``(batch, positions)``.
        num_updates: Iterations in which the position was running, ``(batch, positions)``.
        remainder: The weight that a position had left when it halted, ``(batch, positions)``.
        scores: What a router or a Q-head said after each iteration, ``(batch, positions, ...)``.
        kept: What else a rule carries, by name, ``(batch, positions, ...)``.
    """

    readout: Tensor
    real: Tensor
    weights: list[Tensor] = field(default_factory=list)
    halted: Tensor | None = None
    mass: Tensor | None = None
    num_updates: Tensor | None = None
    remainder: Tensor | None = None
    scores: list[Tensor] = field(default_factory=list)
    kept: dict[str, Tensor] = field(default_factory=dict)

    def depth_read(self) -> Tensor:
        """Mean iteration that the readout weighs, 1-based, normalised by the mass: ``(batch, positions)``."""
        weights = torch.stack(self.weights)
        depths = torch.arange(1, len(self.weights) + 1, device=weights.device, dtype=weights.dtype)
        return (weights * depths[:, None, None]).sum(0) / weights.sum(0).clamp_min(1e-12)


@contract("halting")
class Halting(Module):
    """Decides, after every iteration, how much of the new state goes into the readout.

    Attributes:
        freezes: Whether a halted position is not run again: its state stays, and others go on reading the keys
            and values that it wrote last. Otherwise it runs on, without weight in the readout.
        per_position: Whether a position's halting depends on its own states alone, so that decoding it with a cache
            equals the full pass.
        chooses: Whether its weights choose one iteration, so that no gradient reaches the rule through them.
    """

    freezes: bool = False
    per_position: bool = True
    chooses: bool = False

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        """The state before the first iteration.

        Args:
            h: The loop's initial state, ``(batch, positions, width)``.
            real: The positions that count, ``(batch, positions)`` booleans: all but padding.
        """
        raise NotImplementedError

    def forward(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        """Weigh the state that an iteration made, by :meth:`observe`: called as a module, so that hooks see it.

        Shapes: ``h`` and ``x`` are ``(batch, positions, width)``, ``running`` and ``last`` are ``(batch, positions)``
        booleans; the readout in what is returned is ``(batch, positions, width)``.
        """
        return self.observe(state, h, x=x, t=t, running=running, last=last)

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        """Weigh the state that an iteration made: once for the whole batch, however it was computed.

        What the rule says of positions that did not run is dropped: they keep what they had, and the iteration has no
        weight in their readout. Rules that look beyond a position need ``running`` to look at the right ones.

        Args:
            state: What the rule has seen before.
            h: The state after the iteration, ``(batch, positions, width)``.
            x: What the core read in it, of the same shape; meaningless where a position did not run.
            t: The iteration, 0-based; the loop gives a 0-dimensional int64 tensor.
            running: The positions that ran it and count, ``(batch, positions)`` booleans.
            last: The positions that no iteration follows, ``(batch, positions)`` booleans.
        """
        raise NotImplementedError

    def loss(self, state: HaltingState) -> Tensor | None:
        """What the rule adds to the training loss, a scalar over the positions that count, or ``None``."""
        return None


def all_halted(state: HaltingState, real: Tensor | None) -> bool:
    """Whether every position has halted that counts: all but padding, as ``real`` says, ``(batch, positions)``."""
    halted = state.halted
    if halted is None or is_traced(halted):
        return False
    return bool((halted if real is None else halted | ~real).all())


def mean_over(x: Tensor, real: Tensor) -> Tensor:
    """The mean of ``x``, ``(..., batch, positions)``, over the positions that count: ``(...)``."""
    return (x * real).sum((-2, -1)) / real.sum().clamp_min(1)
