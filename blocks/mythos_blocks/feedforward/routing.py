"""What layers of routed experts share: choice, weights, balance, grouped dispatch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.feedforward.base import Feedforward
from mythos_blocks.feedforward.grouped import grouped_linear, have_flops_counted
from mythos_blocks.frame.frame import Frame
from mythos_blocks.tensors.precision import exact_dtype, product_dtype
from mythos_blocks.tensors.recomputing import is_recomputed
from mythos_blocks.tensors.tracing import is_computed_as_written, is_traced, is_transformed

Experts = Sequence[tuple[Tensor, Tensor, Tensor]]
"""Gate, up and down of each expert."""


class RoutedExperts(Feedforward):
    """SwiGLU experts, of which every token uses a few.

    The ``num_active`` experts with the largest ``choice score + bias`` are chosen. After every step the bias of an
    expert moves by ``bias_update_rate`` towards the mean load (arXiv 2408.15664).

    Attributes:
        num_experts: Routed experts.
        num_active: Routed experts per token.
        load: Tokens that each expert has had in training since the last step, int64 ``(num_experts,)``.
        bias: The selection bias, at least float32 whatever the model's dtype, ``(num_experts,)``.

    Args:
        width: Channels of what it reads and returns.
        hidden: Inner channels of an expert.
        num_experts: Routed experts.
        num_active: Routed experts per token; at most ``num_experts``.
        bias_update_rate: Step of the selection bias.

    Raises:
        ValueError: ``num_active`` exceeds ``num_experts``.
    """

    matrices: tuple[str, ...] = ("gate", "up", "down")
    exact_buffers: tuple[str, ...] = ("bias",)
    bias: Tensor
    load: Tensor

    def __init__(self, width: int, hidden: int, num_experts: int, num_active: int, bias_update_rate: float) -> None:
        super().__init__()
        have_flops_counted()
        if num_active > num_experts:
            raise ValueError(f"num_active={num_active} exceeds num_experts={num_experts}")
        self.num_experts, self.num_active, self.bias_update_rate = num_experts, num_active, bias_update_rate
        self.gate = nn.Parameter(torch.empty(num_experts, hidden, width))
        self.up = nn.Parameter(torch.empty(num_experts, hidden, width))
        self.down = nn.Parameter(torch.empty(num_experts, width, hidden))
        self.register_buffer("bias", torch.zeros(num_experts, dtype=exact_dtype()))
        # Whole numbers, which a model cast to half precision keeps as they are.
        self.register_buffer("load", torch.zeros(num_experts, dtype=torch.long), persistent=False)
        for weight in (self.gate, self.up, self.down):
            nn.init.uniform_(weight, -(weight.shape[-1] ** -0.5), weight.shape[-1] ** -0.5)  # as nn.Linear does

    def off(self) -> SpecLike:
        """One SwiGLU of as many inner channels as a token's experts have together."""
        return {"kind": "swiglu", "hidden": self.num_active * self.gate.shape[1]}

    def reset_parameters(self, generator: torch.Generator) -> None:
        self.bias.zero_()
        self.load.zero_()

    def choose(self, scores: Tensor, real: Tensor | None = None) -> Tensor:
        """The chosen experts of each token: ``(tokens, num_experts) -> (tokens, num_active)``; counts the load.

        Args:
            scores: What is chosen by, but for the bias.
            real: The tokens that count, ``(tokens,)`` booleans; ``None`` where all do.
        """
        chosen = (scores + self.bias).topk(self.num_active, dim=-1).indices
        if self.training and not is_recomputed():
            ones = torch.ones_like(chosen) if real is None else real.long()[:, None].expand_as(chosen)
            self._count(torch.zeros_like(self.load).scatter_add(0, chosen.flatten(), ones.flatten()))
        return chosen

    def _count(self, load: Tensor) -> None:
        """Add to the load.

        Raises:
            ValueError: A transform of ``torch.func`` runs, and does not allow it.
        """
        try:
            self.load += load
        except RuntimeError as error:
            if not is_transformed():
                raise
            raise ValueError(
                f"feedforward {self.kind!r} counts its experts' load in training, which torch.func's transforms do not "
                "allow; call eval() on the model, whose pass is the same without dropout"
            ) from error

    def experts(self) -> Experts | None:
        """Each expert's matrices apart, for passes that use them in many iterations: what did not run gets no gradient.

        ``None`` where one product takes all experts: on accelerators, in half precision, under autocast, and where
        nobody can say how many rows each has.
        """
        gate = self.gate
        if is_traced(gate) or not is_computed_as_written(gate):
            return None
        apart = gate.device.type == "cpu" and gate.dtype.itemsize >= 4 and product_dtype(gate) is gate.dtype
        return list(zip(gate.unbind(), self.up.unbind(), self.down.unbind(), strict=True)) if apart else None

    def dispatch(self, tokens: Tensor, chosen: Tensor, weights: Tensor, experts: Experts | None = None) -> Tensor:
        """The weighted sum of the chosen experts: sort assignments by expert, multiply once per group.

        Shapes: ``(tokens, width), (tokens, num_active), (tokens, num_active) -> (tokens, width)``, in the dtype of the
        weights, which the router has in float32 or wider.

        Args:
            tokens: What the experts read.
            chosen: The experts of each token.
            weights: How much of each.
            experts: What :meth:`experts` has made for the pass; a call that is given none makes its own.
        """
        if torch.compiler.is_exporting() and torch.onnx.is_in_onnx_export():  # which has no such product
            return self.dispatch_plainly(tokens, chosen, weights)
        if experts is None and not is_traced(tokens):
            experts = self.experts()
        if experts is not None and len(tokens) == 1 and tokens.dtype is self.gate.dtype:
            # A single token, as in decoding, needs no order.
            outs = [_through(tokens, experts[i]) for i in chosen[0].tolist()]
            return weights @ torch.cat(outs).to(weights.dtype)
        order = chosen.flatten().argsort(stable=True)
        source = order // self.num_active
        counts = torch.zeros(self.num_experts, dtype=torch.int32, device=tokens.device)
        counts = counts.scatter_add(0, chosen.flatten(), torch.ones_like(order, dtype=torch.int32))
        x = tokens.to(product_dtype(tokens))[source]
        if experts is not None and x.dtype is self.gate.dtype:
            out = _one_by_one(x, counts.tolist(), experts)
        else:
            ends = counts.cumsum(0, dtype=torch.int32)
            hidden = F.silu(grouped_linear(x, self.gate, ends)) * grouped_linear(x, self.up, ends)
            out = grouped_linear(hidden, self.down, ends)
        weighted = out * weights.flatten()[order].unsqueeze(-1)
        return torch.zeros_like(tokens, dtype=weighted.dtype).index_add(0, source, weighted)

    def dispatch_plainly(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """:meth:`dispatch` expert by expert, which defines its meaning."""
        out = torch.zeros_like(tokens, dtype=weights.dtype)
        for expert in range(self.num_experts):
            share = torch.where(chosen == expert, weights, 0).sum(-1, keepdim=True)
            hidden = F.silu(tokens @ self.gate[expert].T) * (tokens @ self.up[expert].T)
            out = out + share * (hidden @ self.down[expert].T)
        return out

    def add_balance_loss(
        self, frame: Frame, weight: float, chosen: Tensor, probabilities: Tensor, real: Tensor
    ) -> None:
        """Add ``weight * num_experts * sum_i f_i P_i``, token share times mean probability; 1 if even.

        Switch (arXiv 2101.03961, eq. 4).

        Args:
            frame: Where the term is left.
            weight: Its weight.
            chosen: ``(tokens, num_active)``.
            probabilities: ``(tokens, num_experts)``.
            real: The tokens that count, ``(tokens, 1)``: 1 or 0.
        """
        shares = (F.one_hot(chosen, self.num_experts).sum(1) * real).sum(0) / self.num_active
        frame.add_loss("balance", real.sum(), weight * self.num_experts * shares, (probabilities * real).sum(0))

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the selection bias of overloaded experts down and of underloaded ones up."""
        if self.load.sum() > 0:
            load = self.load.to(self.bias.dtype)
            self.bias += self.bias_update_rate * (load.mean() - load).sign()
            self.load.zero_()


def _one_by_one(x: Tensor, counts: list[int], experts: Experts) -> Tensor:
    """The rows of each expert, so many of each in their order, through its matrices."""
    ran = [(count, expert) for count, expert in zip(counts, experts, strict=True) if count]
    # One split, whose gradient is put together once; that of a slice would be as large as all rows, for each expert.
    groups = x.split([count for count, _ in ran])
    outs = [_through(rows, expert) for rows, (_, expert) in zip(groups, ran, strict=True)]
    return outs[0] if len(outs) == 1 else torch.cat(outs)


def _through(rows: Tensor, expert: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    gate, up, down = expert
    return F.linear(F.silu(F.linear(rows, gate)) * F.linear(rows, up), down)


def record_routing(frame: Frame, probabilities: Tensor) -> None:
    """Put the router's probabilities ``(batch, positions, num_experts)`` on the tape, by layer and iteration."""
    if frame.t is None:
        frame.record(probabilities, *frame.path, "router")
    else:
        frame.record(probabilities, frame.path[0], frame.t, *frame.path[1:], "router")
