"""Adaptive computation time."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import NonNegative, Real
from mythos_blocks.halting.base import Halting, HaltingState, mean_over
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index


@component("halting", "act")
class ACT(Halting):
    """Adaptive computation time (Graves, arXiv 1603.08983), per position.

    In iteration t a running position halts with probability ``p = sigmoid(w . s + b)``. Its weight is p until the sum
    of p crosses the threshold, and what is left of 1 in the crossing iteration.

    Args:
        width: Channels of the state.
        threshold: The sum of halting probabilities at which a position halts; T2T's ``1 - eps`` is 0.99.
        crossing: Halt where the sum is ``at_least`` the threshold (OpenMythos), or only ``above`` it (T2T).
        reads: The state s that the probability is read from: ``after`` the iteration (OpenMythos), or what the core
            read ``before`` it (T2T).
        mix: ``accumulate`` adds weighted states (Graves; T2T's "accumulated"); ``interpolate`` moves the readout
            towards each state by its weight (T2T's "basic").
        granularity: One probability for each ``position``; or the mean over the running positions of a ``sequence``, as
            T2T's "global", or of all the batch (``global``). The latter two read later positions: they are not causal.
        final_remainder: Give the last iteration what is left of 1, so that the weights sum to 1 at every
            loop count; an interpolated readout is divided by its mass instead. Off in OpenMythos as published, whose
            output therefore scales with the loop count, and in T2T.
        ponder_weight: Weight in the loss of the mean over positions of iterations run plus remainder
            (arXiv 1807.03819). It prices iterations, so it favours early halting; zero, as in OpenMythos as
            published, leaves them free.
        initial_bias: Initial b. At 0, as in OpenMythos as published, every position halts after two
            iterations; -3 starts with p = 0.05; T2T takes 1.
        halted_state: Whether a halted position is ``frozen`` (the Universal Transformer's paper), so that it costs
            nothing more, or goes on ``updating`` (its code, and OpenMythos).
    """

    def __init__(
        self,
        width: int,
        *,
        threshold: Annotated[float, Field(gt=0, le=1)] = 0.99,
        crossing: Literal["at_least", "above"] = "at_least",
        reads: Literal["after", "before"] = "after",
        mix: Literal["accumulate", "interpolate"] = "accumulate",
        granularity: Literal["position", "sequence", "global"] = "position",
        final_remainder: bool = True,
        ponder_weight: NonNegative = 0.01,
        initial_bias: Real = -3.0,
        halted_state: Literal["frozen", "updating"] = "updating",
    ) -> None:
        super().__init__()
        self.threshold, self.final_remainder, self.ponder_weight = threshold, final_remainder, ponder_weight
        self.crossing, self.reads, self.mix, self.granularity = crossing, reads, mix, granularity
        self.initial_bias, self.freezes = initial_bias, halted_state == "frozen"
        self.per_position = granularity == "position"
        self.probability = ExactLinear(width, 1)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.probability.bias, self.initial_bias)

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        # One tensor for each count: accumulators must not share memory.
        mass, num_updates, remainder = (at_least_float32(torch.zeros_like(h[..., 0])).clone() for _ in range(3))
        return HaltingState(
            readout=torch.zeros_like(h),
            real=real,
            halted=torch.zeros_like(mass, dtype=torch.bool),
            mass=mass,
            num_updates=num_updates,
            remainder=remainder,
        )

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        assert state.halted is not None and state.mass is not None
        assert state.num_updates is not None and state.remainder is not None
        p = torch.sigmoid(at_least_float32(self.probability(x if self.reads == "before" else h).squeeze(-1)))
        if self.granularity != "position":
            where = (1,) if self.granularity == "sequence" else (0, 1)
            p = (p * running).sum(where, keepdim=True) / running.sum(where, keepdim=True).clamp_min(1)
            p = p.expand_as(state.mass)
        going = ~state.halted
        total = state.mass + p
        crossing = going & (total >= self.threshold if self.crossing == "at_least" else total > self.threshold)
        if self.final_remainder and self.mix == "accumulate":
            crossing = crossing | (going & last)
        left = (1 - state.mass).clamp_min(0)
        weight = torch.where(crossing, left, p) * going
        readout, weights, kept = self._mixed(state, h, weight)
        return HaltingState(
            readout=readout,
            real=state.real,
            weights=weights,
            halted=state.halted | crossing,
            mass=state.mass + p * going,
            num_updates=state.num_updates + going,
            remainder=state.remainder + left * crossing,
            kept=kept,
        )

    def _mixed(self, state: HaltingState, h: Tensor, weight: Tensor) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
        """The readout with the new state in it, the weight that every state now has there, and the mass given away."""
        if self.mix == "accumulate":
            return state.readout + weight.to(h.dtype).unsqueeze(-1) * h, [*state.weights, weight], {}
        given = state.kept["given"] if state.kept else torch.zeros_like(weight)
        after = (1 - weight) * given + weight
        # Divided by its mass or not, the readout moves as T2T's does; what is carried is the mass.
        keep, take = 1 - weight, weight
        if self.final_remainder:
            keep, take = keep * given / after.clamp_min(1e-12), take / after.clamp_min(1e-12)
        readout = keep.to(h.dtype).unsqueeze(-1) * state.readout + take.to(h.dtype).unsqueeze(-1) * h
        return readout, [*(keep * w for w in state.weights), take], {"given": after}

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.ponder_weight == 0:
            return None
        assert state.num_updates is not None and state.remainder is not None
        return self.ponder_weight * mean_over(state.num_updates + state.remainder, state.real)
