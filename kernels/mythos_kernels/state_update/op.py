"""``state_update`` on Triton as a torch operator: shapes for the compiler, and the gradient.

A custom operator rather than an ``autograd.Function``, because ``torch.compile``, export and selective checkpointing
take it whole, and ``opcheck`` can test it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mythos_kernels.state_update import kernel


@torch.library.custom_op("mythos_kernels::state_update", mutates_args=())
def fused_state_update(
    h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor, weight: Tensor, signal: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    h, e, u, a, b, weight = (t.contiguous() for t in (h, e, u, a, b, weight))
    return kernel.forward(h, e, u, a, b, weight, _contiguous(signal), eps)


@fused_state_update.register_fake
def _(
    h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor, weight: Tensor, signal: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    return h.new_empty(h.shape), u.new_empty(u.shape)


@torch.library.custom_op("mythos_kernels::state_update_backward", mutates_args=())
def fused_state_update_backward(
    grad_h_next: Tensor | None,
    grad_x_next: Tensor | None,
    h: Tensor,
    e: Tensor,
    h_next: Tensor,
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    signal: Tensor | None,
    eps: float,
    u_dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_h_next, grad_x_next, signal = (_contiguous(t) for t in (grad_h_next, grad_x_next, signal))
    h, e, h_next, a, b, weight = (t.contiguous() for t in (h, e, h_next, a, b, weight))
    return kernel.backward(grad_h_next, grad_x_next, h, e, h_next, a, b, weight, signal, eps, u_dtype)


@fused_state_update_backward.register_fake
def _(
    grad_h_next: Tensor | None,
    grad_x_next: Tensor | None,
    h: Tensor,
    e: Tensor,
    h_next: Tensor,
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    signal: Tensor | None,
    eps: float,
    u_dtype: torch.dtype,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    vectors = kernel.num_vector_gradients(grad_x_next, signal)
    return (
        h.new_empty(h.shape),
        e.new_empty(e.shape),
        h.new_empty(h.shape, dtype=u_dtype),
        h.new_empty((vectors, h.shape[-1]), dtype=torch.float32),
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    # Saved: h, e and h_next, and nothing that only the backward wants. h_next is the h of the next boundary and e the
    # same tensor at all of them, so T boundaries hold T + 1 states and one input. u is not needed. The normed rows and
    # their rstd are recomputed: the backward reads h_next and e anyway, and the kernel is bound by memory.
    h, e, u, a, b, weight, signal, eps = inputs
    ctx.save_for_backward(h, e, output[0], a, b, weight, signal)
    ctx.eps, ctx.u_dtype = eps, u.dtype
    # One of the outputs is often unused (the last state of a loop, say); None is cheaper to read than zeros.
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad_h_next: Tensor | None, grad_x_next: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad_h_next is None and grad_x_next is None:
        return (None,) * 8
    h, e, h_next, a, b, weight, signal = ctx.saved_tensors
    grad_h, grad_e, grad_u, vectors = fused_state_update_backward(
        grad_h_next, grad_x_next, h, e, h_next, a, b, weight, signal, ctx.eps, ctx.u_dtype
    )
    grads = [v.to(t.dtype) for v, t in zip(vectors.unbind(), (a, b, weight, signal), strict=False)]
    grad_a, grad_b, grad_weight, grad_signal = grads + [None] * (4 - len(grads))
    return grad_h, grad_e, grad_u, grad_a, grad_b, grad_weight, grad_signal, None


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


fused_state_update.register_autograd(_backward, setup_context=_setup_context)
