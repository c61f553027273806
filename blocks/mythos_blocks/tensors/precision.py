"""Which numbers are kept in which dtype: one rule, whatever is declared.

* *The state, the input e and the residual stream* are in the parameters' dtype. What is elementwise on them (gates,
  gains, sums) is computed there.
* *Products* (linears, attention, experts, convolutions) run in autocast's dtype where autocast is on.
* *What decides or adds up* is in float32 or wider: router logits, their softmax and choice; the statistics of norms;
  angles and rotations; halting probabilities and masses; losses; experts' loads, their sums and selection biases.

So a model with float32 parameters under ``torch.autocast`` multiplies in bfloat16 and carries its state in float32; one
cast by ``.to(torch.bfloat16)`` carries it in bfloat16 and keeps the third kind in float32; one in float64 computes
nothing in less.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor


def in_dtype(x: Tensor, dtype: torch.dtype) -> Tensor:
    """``x`` in a dtype; itself where it has that one, so that exported programs do not say so of every tensor."""
    return x if x.dtype is dtype else x.to(dtype)


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is that already, as in checks of gradients."""
    return in_dtype(x, exact_dtype_of(x))


def exact_dtype_of(x: Tensor) -> torch.dtype:
    """The dtype of what decides about ``x`` or adds it up: float32, or float64 where ``x`` is that."""
    return _wider(x.dtype, torch.float32)


def exact_dtype() -> torch.dtype:
    """The dtype of what is made exact: torch's default one, or float32 where that is less."""
    return torch.promote_types(torch.get_default_dtype(), torch.float32)


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which ``x`` enters a product: autocast's where it is on and ``x`` is no float64, else its own."""
    device = x.device.type
    autocasts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if autocasts and x.dtype != torch.float64 else x.dtype


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """The span in which products run in the dtype of what they are given."""
    available = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return torch.autocast(device.type, enabled=False) if available else nullcontext()


def exact_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` in float32 or wider, under autocast too.

    Shapes: ``(..., in), (out, in), (out,) -> (..., out)``.
    """
    with without_autocast(x.device):
        bias = None if bias is None else at_least_float32(bias)
        return F.linear(at_least_float32(x), at_least_float32(weight), bias)


def rms_norm(x: Tensor, width: int, gain: Tensor | None = None, eps: float | None = None) -> Tensor:
    """Unit root mean square over channels, times a gain, in the dtype of ``x``.

    Shapes: ``(..., width), (width,) -> (..., width)``.

    torch takes the mean in float32, but would round a float32 gain to a bfloat16 ``x``, and under autocast returns
    float32 on CUDA where it returns the dtype of ``x`` on the CPU.
    """
    dtype = x.dtype if gain is None else _wider(x.dtype, gain.dtype)
    gain = None if gain is None else in_dtype(gain, dtype)
    return in_dtype(F.rms_norm(in_dtype(x, dtype), (width,), gain, eps), x.dtype)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor | None, eps: float) -> Tensor:
    """Zero mean and unit variance over channels, times a gain, plus a bias; dtypes as in :func:`rms_norm`."""
    dtype = _wider(x.dtype, gain.dtype)
    bias = None if bias is None else in_dtype(bias, dtype)
    out = F.layer_norm(in_dtype(x, dtype), gain.shape, in_dtype(gain, dtype), bias, eps)
    return in_dtype(out, x.dtype)


def _wider(first: torch.dtype, second: torch.dtype) -> torch.dtype:
    """The dtype that holds both. torch is asked where they differ alone: for it, that is an operation as any other."""
    return first if first is second else torch.promote_types(first, second)
