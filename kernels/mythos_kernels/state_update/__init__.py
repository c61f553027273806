"""One boundary between two iterations of an LTI-injected loop, as a single pass over the state."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_kernels.dispatch import backend
from mythos_kernels.state_update import reference

__all__ = ["MAX_WIDTH", "state_update"]

MAX_WIDTH = 8192
"""Widest state that the kernel takes: it holds a row in registers. Wider ones run on the reference."""

_KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


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
    """Update the loop's state, and make what the core reads in the next iteration::

        h_next = a * h + b * e + u
        x_next = rms_norm(h_next + e + signal) * weight

    The update is OpenMythos' recurrent update (``h = A*h + B*e + core(norm(h + e))``), whose linear time-invariant
    part ``a * h + b * e``, with ``|a| < 1`` per channel, is Parcae's (arXiv 2604.12946). The second line belongs to the
    next iteration; joined to the first, the state is written and normalised in one pass over memory.

    Computed in float32 (float64 if an argument is float64). ``x_next`` is made from ``h_next`` as it is returned, after
    rounding to ``h.dtype``: a loop that stops here and goes on from the stored state sees the same numbers.

    Args:
        h: state, ``(..., d)``.
        e: input that is re-injected at every iteration, ``(..., d)``.
        u: output of the core, ``(..., d)``.
        a: decay of the state per channel, ``(d,)``.
        b: gain of the input per channel, ``(d,)``.
        weight: gain of the normalisation, ``(d,)``.
        signal: depth signal of the next iteration, ``(d,)``, or None.
        eps: added to the mean square, above zero.

    Returns:
        ``h_next``, ``(..., d)`` in the dtype of ``h``, and ``x_next``, ``(..., d)`` in the dtype of ``u``. Gradients
        reach every tensor argument through both. The kernel differentiates once (no double backward).
    """
    _check(h, e, u, a, b, weight, signal, eps)
    if backend(h) == "triton" and _fits_kernel(h, e, u, a, b, weight, signal):
        from mythos_kernels.state_update.op import fused_state_update

        return fused_state_update(h, e, u, a, b, weight, signal, eps)
    return reference.state_update(h, e, u, a, b, weight, signal=signal, eps=eps)


def _fits_kernel(h: Tensor, *others: Tensor | None) -> bool:
    return h.shape[-1] <= MAX_WIDTH and all(t.dtype in _KERNEL_DTYPES for t in (h, *others) if t is not None)


def _check(
    h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor, weight: Tensor, signal: Tensor | None, eps: float
) -> None:
    """Refuse arguments that do not fit together; the loop asks it in every iteration, so what fits is seen at once."""
    state, vector, device = h.shape, h.shape[-1:], h.device
    given = (h, e, u, a, b, weight) if signal is None else (h, e, u, a, b, weight, signal)
    fits = vector and vector[0] and e.shape == state and u.shape == state and eps > 0
    fits = fits and a.shape == vector and b.shape == vector and weight.shape == vector
    if not fits or (signal is not None and signal.shape != vector):
        raise ValueError(_misfit(h, e, u, a, b, weight, signal, eps))
    for tensor in given:
        if tensor.device != device or not tensor.is_floating_point():
            raise ValueError(_misfit(h, e, u, a, b, weight, signal, eps))


def _misfit(
    h: Tensor, e: Tensor, u: Tensor, a: Tensor, b: Tensor, weight: Tensor, signal: Tensor | None, eps: float
) -> str:
    """What does not fit, in words."""
    if h.ndim == 0 or h.shape[-1] == 0:
        return f"h must be (..., d) with d > 0, got {tuple(h.shape)}"
    vectors = {"a": a, "b": b, "weight": weight} | ({} if signal is None else {"signal": signal})
    for name, tensor in {"e": e, "u": u}.items():
        if tensor.shape != h.shape:
            return f"{name} must have the shape of h, {tuple(h.shape)}, got {tuple(tensor.shape)}"
    for name, tensor in vectors.items():
        if tensor.shape != h.shape[-1:]:
            return f"{name} must be (d,) = {tuple(h.shape[-1:])}, got {tuple(tensor.shape)}"
    for name, tensor in {"h": h, "e": e, "u": u, **vectors}.items():
        if not tensor.is_floating_point():
            return f"{name} must be floating point, got {tensor.dtype}"
        if tensor.device != h.device:
            return f"{name} must be on the device of h, {h.device}, got {tensor.device}"
    return f"eps must be above zero, got {eps}"
