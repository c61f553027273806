"""Mixture of recursions: an iteration chooses its tokens."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Probability
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index, column, row


@component("halting", "expert_choice")
class ExpertChoice(Halting):
    """After each iteration the best-scored share of a sequence's surviving tokens goes on (MoR, arXiv 2507.10524).

    Scores are ``sigmoid(w . h + b)``. Training chooses among all survivors, later ones included; a second loss
    therefore teaches the score to be above 1/2 for those that were chosen, which is what decides outside training, and
    is causal. The score scales the gradient of the readout, not its value, so that the router learns.

    Args:
        width: Channels of the state.
        capacity: Share of the survivors that goes on after an iteration.
        shares: Instead, the share of all of a sequence's tokens that goes on after each of the first iterations, the
            last for all later ones, rounded down, as in the authors' code; ``null`` takes ``capacity``.
        chosen_by: What decides outside training: the ``score``, each token's own; or its ``rank``, as in training and
            in the evaluation of the authors' code, where a token is chosen or not by what comes after it.
        auxiliary_weight: Weight of the second loss, a binary cross-entropy.
        num_routers: Routers, one for each of the first iterations, the last for all later ones (the authors' code has
            one for each recursion).

    Raises:
        ValueError: ``shares`` is empty, or given beside a ``capacity``.
    """

    freezes = True

    chooses = True

    def __init__(
        self,
        width: int,
        *,
        capacity: Probability = 0.5,
        shares: list[Probability] | None = None,
        chosen_by: Literal["score", "rank"] = "score",
        auxiliary_weight: NonNegative = 0.001,
        num_routers: Count = 1,
    ) -> None:
        super().__init__()
        if shares is not None and (not shares or capacity != 0.5):
            raise ValueError(f"shares={shares} are one or more, in the place of capacity={capacity}")
        self.capacity, self.shares, self.auxiliary_weight = capacity, shares, auxiliary_weight
        self.ranks = chosen_by == "rank"
        self.per_position = not self.ranks
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
        goes_on = alive & (self._best(logit, alive, state.real, t) if self.training or self.ranks else logit > 0)
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

    def _best(self, logit: Tensor, alive: Tensor, real: Tensor, t: Index) -> Tensor:
        """The best-scored share of each sequence's survivors, or of its tokens; at least one."""
        if self.shares is None:
            keep = (alive.sum(1).to(logit.dtype) * self.capacity).ceil().clamp_min(1)
        else:
            share = row(torch.tensor(self.shares, dtype=torch.float64, device=logit.device), t)
            keep = (real.sum(1) * share).floor().clamp_min(1)
        order = torch.where(alive, logit, -torch.inf).argsort(dim=1, descending=True, stable=True)
        return order.argsort(1) < keep[:, None]

    def loss(self, state: HaltingState) -> Tensor | None:
        if self.auxiliary_weight == 0:
            return None
        return self.auxiliary_weight * state.kept["auxiliary"].sum() / state.kept["asked"].sum().clamp_min(1)
