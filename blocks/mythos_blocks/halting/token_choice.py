"""Mixture of recursions: a token chooses its depth."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Positive
from mythos_blocks.halting.base import Halting, HaltingState, mean_over
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.rows import Index


@component("halting", "token_choice")
class TokenChoice(Halting):
    """A router reads the initial state once and gives each token one depth (MoR, arXiv 2507.10524, section 2.2).

    The router learns by the chosen depth's probability. It scales the gradient of the readout and not its value, or, in
    the authors' code, what is added to the initial state. A token whose depth exceeds the loops that are run stops with
    them.

    Args:
        width: Channels of the state.
        num_depths: Depths to choose from, 1 to this.
        balance_weight: Weight of the load-balancing loss, ``num_depths * sum_i f_i P_i``, 1 if even.
        readout: What is read: the ``state`` at the chosen depth; or the ``residual`` sum ``h_0 + alpha * chance * h``
            of the initial state and that one, as in the authors' code.
        alpha: Factor of the probability in a residual sum.

    Raises:
        ValueError: ``alpha`` is given where no sum has it.
    """

    freezes = True

    chooses = True

    def __init__(
        self,
        width: int,
        *,
        num_depths: Count = 4,
        balance_weight: NonNegative = 0.01,
        readout: Literal["state", "residual"] = "state",
        alpha: Positive = 1.0,
    ) -> None:
        super().__init__()
        if readout == "state" and alpha != 1:
            raise ValueError(f"alpha={alpha} is a factor in the sum that readout='residual' reads, and readout='state'")
        self.num_depths, self.balance_weight = num_depths, balance_weight
        self.sums, self.alpha = readout == "residual", alpha
        self.router = ExactLinear(width, num_depths)

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        probabilities = F.softmax(self.router(h), dim=-1)
        chance, choice = probabilities.max(-1)
        return HaltingState(
            readout=h,
            real=real,
            halted=torch.zeros_like(choice, dtype=torch.bool),
            scores=[probabilities],
            kept={
                "depth": choice + 1,
                "chance": chance,
                "run": torch.zeros_like(choice),
                **({"first": h} if self.sums else {}),
            },
        )

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        assert state.halted is not None
        run = state.kept["run"] + 1
        ends = (run >= state.kept["depth"]) | last
        now = ends & ~state.halted
        chance = state.kept["chance"]
        if self.sums:
            read = state.kept["first"] + (self.alpha * chance).to(h.dtype).unsqueeze(-1) * h
        else:
            read = h * (chance / chance.detach()).to(h.dtype).unsqueeze(-1)
        return HaltingState(
            real=state.real,
            readout=torch.where(state.halted.unsqueeze(-1), state.readout, read),
            weights=[*state.weights, now.to(chance.dtype)],
            halted=state.halted | ends,
            scores=state.scores,
            kept={**state.kept, "run": run},
        )

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.balance_weight == 0:
            return None
        chosen = F.one_hot(state.kept["depth"] - 1, self.num_depths).to(state.scores[0].dtype)
        shares, chances = (mean_over(x.movedim(-1, 0), state.real) for x in (chosen, state.scores[0]))
        balance = self.num_depths * (shares * chances).sum()
        return self.balance_weight * balance
