"""Adaptive computation time."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.component import component
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.types import NonNegative, Real


@component("halting", "act")
class ACT(Halting):
    """Adaptive computation time (Graves, arXiv 1603.08983) on the updated state, per position.

    After iteration t a running position halts with probability ``p = sigmoid(w . h + b)``. It weighs the
    state by p until the sum of p crosses the threshold, and by what is left of 1 in the crossing iteration.

    Args:
        threshold: The sum of halting probabilities at which a position halts.
        final_remainder: Give the last iteration what is left of 1, so that the weights sum to 1 at every
            loop count. Off in OpenMythos as published, whose output therefore scales with the loop count.
        ponder_weight: Weight in the loss of the mean over positions of iterations run plus remainder
            (arXiv 1807.03819). It prices iterations, so it favours early halting; zero, as in OpenMythos as
            published, leaves them free.
        initial_bias: Initial b. At 0, as in OpenMythos as published, every position halts after two
            iterations; -3 starts with p = 0.05.
        halted_state: Whether a halted position is ``frozen`` (the Universal Transformer's paper), so that it costs
            nothing more, or goes on ``updating`` (its code, and OpenMythos).
    """

    def __init__(
        self,
        width: int,
        *,
        threshold: Annotated[float, Field(gt=0, le=1)] = 0.99,
        final_remainder: bool = True,
        ponder_weight: NonNegative = 0.01,
        initial_bias: Real = -3.0,
        halted_state: Literal["frozen", "updating"] = "updating",
    ) -> None:
        super().__init__()
        self.threshold, self.final_remainder, self.ponder_weight = threshold, final_remainder, ponder_weight
        self.initial_bias, self.freezes = initial_bias, halted_state == "frozen"
        self.probability = nn.Linear(width, 1)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.probability.bias, self.initial_bias)

    def start(self, h: Tensor) -> HaltingState:
        zeros = torch.zeros(h.shape[:-1], device=h.device, dtype=torch.float32)
        return HaltingState(
            readout=torch.zeros_like(h),
            halted=torch.zeros_like(zeros, dtype=torch.bool),
            mass=zeros,
            num_updates=zeros,
            remainder=zeros,
        )

    def observe(self, state: HaltingState, h: Tensor, *, x: Tensor, last: bool | Tensor) -> HaltingState:
        assert state.halted is not None and state.mass is not None
        assert state.num_updates is not None and state.remainder is not None
        p = torch.sigmoid(self.probability(h)).squeeze(-1).float()
        running = ~state.halted
        crossing = running & (state.mass + p >= self.threshold)
        if self.final_remainder:
            crossing = crossing | (running & last)
        left = (1 - state.mass).clamp_min(0)
        weight = torch.where(crossing, left, p) * running
        return HaltingState(
            readout=state.readout + weight.to(h.dtype).unsqueeze(-1) * h,
            weights=[*state.weights, weight],
            halted=state.halted | crossing,
            mass=state.mass + p * running,
            num_updates=state.num_updates + running,
            remainder=state.remainder + left * crossing,
        )

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.ponder_weight == 0:
            return None
        assert state.num_updates is not None and state.remainder is not None
        return self.ponder_weight * (state.num_updates + state.remainder).mean()
