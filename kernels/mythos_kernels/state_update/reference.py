"""The meaning of ``state_update``, in plain torch. Arguments as in :func:`mythos_kernels.state_update`."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


def state_update(
    h: Tensor,
    e: Tensor,
    u: Tensor,
    a: Tensor,
    b: Tensor,
    weight: Tensor,
    *,
    signal: Tensor | None = None,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    h_next = next_state(h, e, u, a, b)
    return h_next, next_input(h_next, e, weight, signal=signal, eps=eps, dtype=u.dtype)


def next_state(h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a * h + b * e + u``, ``(..., d)`` in the dtype of ``h``."""
    h_, e_, u_, a_, b_ = _widen(h, e, u, a, b)
    return (a_ * h_ + b_ * e_ + u_).to(h.dtype)


def next_input(
    h_next: Tensor, e: Tensor, weight: Tensor, *, signal: Tensor | None, eps: float, dtype: torch.dtype
) -> Tensor:
    """``rms_norm(h_next + e + signal) * weight``, ``(..., d)`` in ``dtype``."""
    h_, e_, weight_ = _widen(h_next, e, weight)
    z = h_ + e_ if signal is None else h_ + e_ + signal.to(h_.dtype)
    return F.rms_norm(z, weight_.shape, weight_, eps).to(dtype)


def _widen(*tensors: Tensor) -> tuple[Tensor, ...]:
    """To float32, or to float64 where one of them is: then gradcheck can judge the reference."""
    dtype = tensors[0].dtype
    same = dtype is torch.float32 or dtype is torch.float64
    for tensor in tensors:
        same = same and tensor.dtype is dtype
    if same:
        return tensors
    dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors), torch.float32)
    return tuple(t.to(dtype) for t in tensors)
