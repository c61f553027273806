"""Products of rows with one of several matrices each."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mythos_blocks.tensors.precision import product_dtype
from mythos_blocks.tensors.tracing import is_transformed


def _fits(x: Tensor, other_size: int) -> bool:
    """Whether torch's grouped product takes these sizes: rows of whole 16 bytes, and not float64."""
    sizes = (x.shape[-1], other_size)
    return x.dtype != torch.float64 and all(size * x.element_size() % 16 == 0 for size in sizes)


def _groups(x: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
    """The rows of each group, for what torch's grouped product does not take."""
    return x.tensor_split(ends[:-1].tolist())


@torch.library.custom_op("mythos_blocks::grouped_linear", mutates_args=())
def _grouped_linear(x: Tensor, weight: Tensor, ends: Tensor, back: bool = False) -> Tensor:
    """The rows of each group times its matrix, ``(experts, out, in)``, transposed; or, ``back``, as it stands.

    The latter is what the backward pass needs, which must not copy all experts' weights for it.
    """
    # Cast here, so that a loop under autocast keeps no copy of the weights for each iteration's backward pass.
    weight = weight.to(x.dtype)
    factors = weight if back else weight.transpose(-2, -1)
    if not _fits(x, factors.shape[2]):
        return torch.cat([rows @ w for rows, w in zip(_groups(x, ends), factors, strict=True)])
    return torch._grouped_mm(x, factors, offs=ends)


@_grouped_linear.register_fake
def _(x: Tensor, weight: Tensor, ends: Tensor, back: bool = False) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[2 if back else 1])


@torch.library.custom_op("mythos_blocks::grouped_linear_weight", mutates_args=())
def _weight_gradient(gradient: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    if not _fits(x, gradient.shape[1]):
        return torch.stack([g.T @ rows for g, rows in zip(_groups(gradient, ends), _groups(x, ends), strict=True)])
    return torch._grouped_mm(gradient.transpose(0, 1), x, offs=ends)


@_weight_gradient.register_fake
def _(gradient: Tensor, x: Tensor, ends: Tensor) -> Tensor:
    return x.new_empty(ends.shape[0], gradient.shape[1], x.shape[1])


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.back = len(inputs) > 3 and bool(inputs[3])  # type: ignore[attr-defined]


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
    x, weight, ends = ctx.saved_tensors  # type: ignore[attr-defined]
    back: bool = ctx.back  # type: ignore[attr-defined]
    gradient = gradient.contiguous()
    of_weight = _weight_gradient(x, gradient, ends) if back else _weight_gradient(gradient, x, ends)
    return _grouped_linear(gradient, weight, ends, not back), of_weight.to(weight.dtype), None, None


def _backward_of_weight_gradient(
    ctx: torch.autograd.function.FunctionCtx, second: Tensor
) -> tuple[Tensor, Tensor, None]:
    gradient, x, ends = ctx.saved_tensors  # type: ignore[attr-defined]
    second = second.contiguous()
    return _grouped_linear(x, second, ends), _grouped_linear(gradient, second, ends, True), None


_grouped_linear.register_autograd(_backward, setup_context=_keep)
_weight_gradient.register_autograd(_backward_of_weight_gradient, setup_context=_keep)


@functools.cache
def have_flops_counted() -> None:
    """Tell ``torch.utils.flop_counter`` what a product costs: every row meets one matrix.

    Whoever has experts calls it, since importing the blocks must not import the counter, which imports triton.
    """
    from torch.utils.flop_counter import register_flop_formula

    def product(x: torch.Size, weight: torch.Size, ends: torch.Size, back: bool = False, **kwargs: object) -> int:
        return 2 * x[0] * weight[1] * weight[2]

    def weight_gradient(gradient: torch.Size, x: torch.Size, ends: torch.Size, **kwargs: object) -> int:
        return 2 * x[0] * gradient[1] * x[1]

    register_flop_formula(torch.ops.mythos_blocks.grouped_linear)(product)
    register_flop_formula(torch.ops.mythos_blocks.grouped_linear_weight)(weight_gradient)


def grouped_linear_plainly(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """:func:`grouped_linear` by torch's own operations, which defines its meaning: each row meets every matrix."""
    groups = (torch.arange(x.shape[0], device=x.device)[:, None] >= ends).sum(-1, keepdim=True)
    chosen = groups == torch.arange(weight.shape[0], device=x.device)
    products = torch.einsum("ri,eoi->reo", x, weight.to(x.dtype))
    return torch.where(chosen.unsqueeze(-1), products, 0).sum(1)


def grouped_linear(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """Rows of ``x`` up to ``ends[i]`` times ``weight[i]`` transposed, in the dtype of ``x``; autocast's where it is on.

    An operator of its own, because torch's grouped product cannot be traced in float32. It is differentiated as often
    as one likes, and counted by ``torch.utils.flop_counter``. Within the transforms of ``torch.func`` and forward-mode
    differentiation, which know nothing of it, each row meets every expert.

    Shapes: ``(rows, in), (experts, out, in), (experts,) int32 -> (rows, out)``.
    """
    x = x.to(product_dtype(x))
    if is_transformed():
        return grouped_linear_plainly(x, weight, ends)
    out: Tensor = _grouped_linear(x, weight, ends)
    return out
