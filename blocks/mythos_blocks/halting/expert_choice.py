"""Mixture of recursions: an iteration chooses its tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Probability
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index, column


@component("halting", "expert_choice")
class ExpertChoice(Halting):
    """After each iteration the best-scored share of a sequence's surviving tokens goes on (MoR, arXiv 2507.10524).

    Scores are ``sigmoid(w . h + b)``. Training chooses among all survivors, later ones included; a second loss
    therefore teaches the score to be above 1/2 for those that were chosen, which is what decides outside training, and
    is causal. The score scales the gradient of the readout, not its value, so that the router learns.

    Args:
        width: Channels of the state.
        capacity: Share of the survivors that goes on after an iteration.
        auxiliary_weight: Weight of the second loss, a binary cross-entropy.
        num_routers: Routers, one for each of the first iterations, the last for all later ones (the authors' code has
            one for each recursion).
    """

    freezes = True

    chooses = True

    def __init__(
        self, width: int, *, capacity: Probability = 0.5, auxiliary_weight: NonNegative = 0.001, num_routers: Count = 1
    ) -> None:
        super().__init__()
        self.capacity, self.auxiliary_weight = capacity, auxiliary_weight
        self.router = ExactLinear(width, num_routers)

    def start(self, h: Tensor, real: Tensor) -> HaltingState:
        auxiliary, asked = (at_least_float32(torch.zeros_like(h[..., 0])) for _ in range(2))
        halted = torch.zeros_like(asked, dtype=torch.bool)
        return HaltingState(readout=h, real=real, halted=halted, kept={"auxiliary": auxiliary, "asked": asked})

    def observe(
        self, state: HaltingState, h: Tensor, *, x: Tensor, t: Index, running: Tensor, last: Tensor
    ) -> HaltingState:
        assert state.halted is not None
        logit = column(self.router(h), t)
        alive = ~state.halted & running
        goes_on = alive & (self._best(logit, alive) if self.training else logit > 0)
        auxiliary = F.binary_cross_entropy_with_logits(logit, goes_on.to(logit.dtype), reduction="none")
        ends = ~goes_on | last
        score = torch.sigmoid(logit)
        scale = (score / score.detach()).to(h.dtype).unsqueeze(-1)
        return HaltingState(
            real=state.real,
            readout=torch.where(state.halted.unsqueeze(-1), state.readout, h * scale),
            weights=[*state.weights, (ends & alive).to(logit.dtype)],
            halted=state.halted | ends,
            kept={
                "auxiliary": state.kept["auxiliary"] + auxiliary * alive,
                "asked": state.kept["asked"] + alive.to(logit.dtype),
            },
        )

    def _best(self, logit: Tensor, alive: Tensor) -> Tensor:
        """The best-scored share of each sequence's survivors, at least one."""
        keep = (alive.sum(1).to(logit.dtype) * self.capacity).ceil().clamp_min(1)
        order = torch.where(alive, logit, -torch.inf).argsort(dim=1, descending=True, stable=True)
        return order.argsort(1) < keep[:, None]

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.auxiliary_weight == 0:
            return None
        return self.auxiliary_weight * state.kept["auxiliary"].sum() / state.kept["asked"].sum().clamp_min(1)
