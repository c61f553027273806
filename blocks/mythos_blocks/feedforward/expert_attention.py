"""Attention over learned experts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Positive
from mythos_blocks.feedforward.routing import RoutedExperts, record_routing
from mythos_blocks.frame.frame import Frame
from mythos_blocks.tensors.exact_linear import ExactLinear
from mythos_blocks.tensors.precision import exact_dtype, exact_linear, rms_norm
from mythos_blocks.tensors.rotation import turned


@component("feedforward", "expert_attention")
class ExpertAttention(RoutedExperts):
    """Experts as attention over learned expert keys: Dreamer's EA (arXiv 2601.21582), reconstructed.

    ``a = norm(TopK(sigmoid(s), s + b, k))`` with ``s = q . key_j / sqrt(d)``: the k experts with the largest ``s + b``
    are kept, weighed by ``sigmoid(s)``, renormalised. The query is normalised and rotated by the iteration, so that
    experts can differ by depth. b moves by the sign of the load's deviation (arXiv 2408.15664). The paper's text
    was not available; sizes and the rate are choices made here.

    Shapes: ``(batch, positions, width) -> (batch, positions, width)``.

    Args:
        width: Channels of what it reads and returns.
        max_loops: Iterations that tables with a row for each have room for.
        num_experts: Experts.
        num_active: Experts per token; at most ``num_experts``.
        key_dim: Channels of queries and expert keys; even.
        expert_hidden: Inner channels of an expert. ``null`` takes ``width // 2``.
        depth_theta: Base of the rotary code of the iteration.
        bias_update_rate: Step of the selection bias.

    Raises:
        ValueError: ``num_active`` exceeds ``num_experts``, or ``key_dim`` is odd.
    """

    matrices: tuple[str, ...] = (*RoutedExperts.matrices, "keys")
    exact_buffers: tuple[str, ...] = ("bias", "frequencies")
    frequencies: Tensor

    def __init__(
        self,
        width: int,
        max_loops: int = 1,
        *,
        num_experts: Count = 8,
        num_active: Count = 2,
        key_dim: Count = 32,
        expert_hidden: Count | None = None,
        depth_theta: Positive = 100.0,
        bias_update_rate: NonNegative = 1e-3,
    ) -> None:
        super().__init__(width, expert_hidden or max(1, width // 2), num_experts, num_active, bias_update_rate)
        if key_dim % 2:
            raise ValueError(f"key_dim={key_dim} must be even; nearest: {key_dim + 1}")
        self.score_scale = key_dim**-0.5
        self.query = ExactLinear(width, key_dim, bias=False)
        self.keys = nn.Parameter(torch.empty(num_experts, key_dim))
        nn.init.normal_(self.keys, std=key_dim**-0.5)
        exponents = torch.arange(0, key_dim, 2, dtype=exact_dtype()) / key_dim
        self.register_buffer("frequencies", depth_theta**-exponents, persistent=False)

    def forward(self, x: Tensor, frame: Frame | None = None) -> Tensor:
        frame = frame or Frame()
        tokens = x.flatten(0, -2)
        query = rms_norm(self.query(tokens), self.keys.shape[1])
        query = turned(query, (0 if frame.index is None else frame.index) * self.frequencies)
        scores = exact_linear(query, self.keys) * self.score_scale
        chosen = self.choose(scores, None if frame.real is None else frame.real.flatten())
        # The chosen sigmoids renormalised, by their logarithms: they themselves may all round to zero.
        weights = F.softmax(F.logsigmoid(scores).gather(-1, chosen), dim=-1)
        if frame.tape is not None:
            record_routing(frame, F.normalize(torch.sigmoid(scores), p=1, dim=-1).view(*x.shape[:-1], -1))
        return self.dispatch(tokens, chosen, weights).to(x.dtype).view_as(x)
