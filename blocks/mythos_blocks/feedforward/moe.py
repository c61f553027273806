"""Mixture of experts with grouped dispatch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.feedforward.swiglu import SwiGLU
from mythos_blocks.frame import Frame
from mythos_blocks.types import Count, Depth, NonNegative


@component("feedforward", "moe")
class MixtureOfExperts(Module):
    """Fine-grained experts, some of them shared (arXiv 2401.06066), balanced by a selection bias (arXiv 2408.15664).

    The router chooses the ``num_active`` experts with the largest ``logit + bias`` and weighs them by their
    softmax scores without the bias, renormalised. After every step the bias of an expert moves by
    ``bias_update_rate`` towards the mean load.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        num_experts: Routed experts.
        num_active: Routed experts per token; at most ``num_experts``.
        num_shared: Experts that every token uses, each ``num_active`` times as wide as a routed one.
        expert_hidden: Inner channels of a routed expert. ``null`` takes ``width // 2``.
        bias_update_rate: Step of the selection bias; zero never moves it, as in OpenMythos as published.

    Raises:
        ValueError: ``num_active`` exceeds ``num_experts``.
    """

    bias: Tensor
    load: Tensor

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_experts: Count = 8,
        num_active: Count = 2,
        num_shared: Depth = 1,
        expert_hidden: Count | None = None,
        bias_update_rate: NonNegative = 1e-3,
    ) -> None:
        super().__init__()
        if num_active > num_experts:
            raise ValueError(f"num_active={num_active} exceeds num_experts={num_experts}")
        hidden = expert_hidden or max(1, width // 2)
        self.num_experts, self.num_active, self.bias_update_rate = num_experts, num_active, bias_update_rate
        self.router = nn.Linear(width, num_experts, bias=False)
        self.gate = nn.Parameter(torch.empty(num_experts, hidden, width))
        self.up = nn.Parameter(torch.empty(num_experts, hidden, width))
        self.down = nn.Parameter(torch.empty(num_experts, width, hidden))
        self.shared = nn.ModuleList(SwiGLU(width, hidden=hidden * num_active) for _ in range(num_shared))
        self.register_buffer("bias", torch.zeros(num_experts))
        # Whole numbers, which a model cast to half precision keeps as they are.
        self.register_buffer("load", torch.zeros(num_experts, dtype=torch.long), persistent=False)
        for weight in (self.gate, self.up, self.down):
            nn.init.uniform_(weight, -(weight.shape[-1] ** -0.5), weight.shape[-1] ** -0.5)  # as nn.Linear does

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        tokens = x.flatten(0, -2)
        logits = self.router(tokens)
        chosen = (logits + self.bias).topk(self.num_active, dim=-1).indices
        scores = F.softmax(logits, dim=-1).gather(-1, chosen)
        scores = scores / scores.sum(-1, keepdim=True)
        out = self._routed(tokens, chosen, scores)
        for expert in self.shared:
            out = out + expert(tokens)
        return out.view_as(x)

    def _routed(self, tokens: Tensor, chosen: Tensor, scores: Tensor) -> Tensor:
        """The weighted sum of the chosen experts: sort assignments by expert, multiply once per group."""
        order = chosen.flatten().argsort(stable=True)
        source = order // self.num_active
        counts = torch.zeros(self.num_experts, dtype=torch.int32, device=tokens.device)
        counts = counts.scatter_add(0, chosen.flatten(), torch.ones_like(order, dtype=torch.int32))
        if self.training:
            self.load += counts
        ends = counts.cumsum(0, dtype=torch.int32)
        x = tokens[source]
        hidden = F.silu(_grouped(x, self.gate, ends)) * _grouped(x, self.up, ends)
        weighted = _grouped(hidden, self.down, ends) * scores.flatten()[order].unsqueeze(-1)
        return torch.zeros_like(tokens).index_add(0, source, weighted.to(tokens.dtype))

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the selection bias of overloaded experts down and of underloaded ones up."""
        if self.load.sum() > 0:
            load = self.load.float()
            self.bias += self.bias_update_rate * (load.mean() - load).sign()
            self.load.zero_()


def _grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows of ``x`` up to ``ends[i]`` times ``weight[i]`` transposed: ``(rows, in) x (experts, out, in)``."""
    if x.is_meta:
        # The operator's meta kernel admits bfloat16 only. Every row meets one expert, so one expert for
        # all rows has the shapes, and the products, to be counted.
        return x @ weight[0].T
    return torch._grouped_mm(x, weight.to(x.dtype).transpose(-2, -1), offs=ends)
