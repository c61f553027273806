"""Mixture of experts with grouped dispatch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.declaring.types import Count, Depth, NonNegative
from mythos_blocks.feedforward.routing import Experts, RoutedExperts, record_routing
from mythos_blocks.feedforward.swiglu import SwiGLU
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import Run, inlined
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import exact_linear
from mythos_blocks.tensors.rows import row

Product = Callable[[Tensor], Tensor]


@component("feedforward", "moe")
class MixtureOfExperts(RoutedExperts):
    """Fine-grained experts, some of them shared (arXiv 2401.06066), balanced by a selection bias (arXiv 2408.15664).

    The router chooses the ``num_active`` experts with the largest score plus bias and weighs them by their scores
    without the bias, renormalised. After every step the bias of an expert moves by ``bias_update_rate`` towards the
    mean load.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        num_experts: Routed experts.
        num_active: Routed experts per token; at most ``num_experts``.
        num_shared: Experts that every token uses, each ``num_active`` times as wide as a routed one.
        expert_hidden: Inner channels of a routed expert. ``null`` takes ``width // 2``.
        score: ``softmax`` over the experts, or a ``sigmoid`` for each (arXiv 2412.19437); the choice is made on the
            logits with softmax, and on the scores with sigmoid.
        bias_update_rate: Step of the selection bias; zero never moves it, as in OpenMythos as published.
        balance_weight: Weight of the load-balancing loss (Switch, arXiv 2101.03961, eq. 4).
        z_weight: Weight of the router's squared log-normaliser (ST-MoE, arXiv 2202.08906, eq. 5).
        depth_conditioned: Add a learned row for each iteration to the router's logits, so that experts can differ by
            depth; later iterations read the last row.

    Raises:
        ValueError: ``num_active`` exceeds ``num_experts``.
    """

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_experts: Count = 8,
        num_active: Count = 2,
        num_shared: Depth = 1,
        expert_hidden: Count | None = None,
        score: Literal["softmax", "sigmoid"] = "softmax",
        bias_update_rate: NonNegative = 1e-3,
        balance_weight: NonNegative = 0.0,
        z_weight: NonNegative = 0.0,
        depth_conditioned: bool = False,
    ) -> None:
        hidden = expert_hidden or max(1, width // 2)
        super().__init__(width, hidden, num_experts, num_active, bias_update_rate)
        self.score, self.balance_weight, self.z_weight = score, balance_weight, z_weight
        self.router = ExactLinear(width, num_experts, bias=False)
        self.depth_logits = nn.Parameter(torch.zeros(max_loops, num_experts)) if depth_conditioned else None
        self.shared = nn.ModuleList(SwiGLU(width, hidden=hidden * num_active) for _ in range(num_shared))

    def off(self) -> SpecLike:
        """One SwiGLU of as many inner channels as a token's experts have together, shared ones included."""
        return {"kind": "swiglu", "hidden": self.num_active * self.gate.shape[1] * (1 + len(self.shared))}

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        return self._mixed(x, frame or Frame(), self.router, list(self.shared))

    def lies_flat(self) -> bool:
        return True

    def inlined(self, frame: Frame, like: Tensor) -> Run | None:
        if self.balance_weight or self.z_weight or not is_plain(self.router, ExactLinear):
            return None
        router = functools.partial(exact_linear, weight=self.router.weight)
        shared = [_in_frame(inlined(expert, frame, like), frame) for expert in self.shared]
        experts = self.experts()
        return lambda x, now: self._mixed(x, now, router, shared, experts)

    def _mixed(
        self, x: Tensor, frame: Frame, router: Product, shared: Sequence[Product], experts: Experts | None = None
    ) -> Tensor:
        tokens = x.flatten(0, -2)
        logits = router(tokens)
        if self.depth_logits is not None:
            logits = logits + row(self.depth_logits, 0 if frame.index is None else frame.index)
        real = None if frame.real is None else frame.real.flatten()
        chosen = self.choose(logits if self.score == "softmax" else torch.sigmoid(logits), real)
        # The chosen scores renormalised, by their logarithms: scores themselves may all round to zero.
        log_scores = logits if self.score == "softmax" else F.logsigmoid(logits)
        weights = F.softmax(log_scores.gather(-1, chosen), dim=-1)
        out = self.dispatch(tokens, chosen, weights, experts)
        for expert in shared:
            out = out + expert(tokens)
        if frame.tape is not None:
            record_routing(frame, self._probabilities(logits).view(*x.shape[:-1], -1))
        if self.balance_weight or self.z_weight:
            counts = logits.new_ones(tokens.shape[0], 1) if real is None else real.to(logits.dtype)[:, None]
            if self.balance_weight:
                self.add_balance_loss(frame, self.balance_weight, chosen, self._probabilities(logits), counts)
            if self.z_weight:
                squares = logits.logsumexp(-1).square()
                frame.add_loss("router_z", counts.sum(), self.z_weight * (squares * counts[:, 0]).sum())
        return out.to(x.dtype).view_as(x)

    def _probabilities(self, logits: Tensor) -> Tensor:
        """The experts' scores, of which those of a token sum to 1: ``(tokens, num_experts)``."""
        scores = F.softmax(logits, dim=-1) if self.score == "softmax" else torch.sigmoid(logits)
        return scores / scores.sum(-1, keepdim=True)


def _in_frame(run: Run, frame: Frame) -> Product:
    return lambda tokens: run(tokens, frame)
