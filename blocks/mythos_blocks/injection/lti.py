"""Injection through a stable linear time-invariant system."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Ends, Injection
from mythos_blocks.norm import RMSNorm
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index
from mythos_kernels import state_update
from mythos_kernels.dispatch import backend

# Beyond these bounds exp(-exp(z)) is 0 or 1 to the last bit of float32, and exp(z) would overflow
# and turn the gradient into 0 * inf.
_Z_BOUND = 20.0


@component("injection", "lti")
class LTI(Injection):
    """``h' = A * h + B * e + y`` with diagonal A and B, as in OpenMythos (after Parcae, arXiv 2604.12946, eq. 3).

    ``A = (1 - margin) * exp(-exp(log_dt + log_A))``, per channel. The core reads ``norm(h + signal + e)``. Beyond
    ``|log_dt + log_A| = 20``, where float32 holds A for 0 or 1, A gives them no gradient, as in OpenMythos.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        initial_b: Initial value of every channel of B.
        margin: How far A stays below 1. Without it A rounds to exactly 1 once ``log_dt + log_A`` falls
            below -17 in float32, or -6 in bfloat16; ``2 ** -8`` is the spacing of bfloat16 there. Zero is
            OpenMythos as published.
    """

    def __init__(
        self,
        width: int,
        input_width: int | None = None,
        *,
        initial_b: Real = 0.1,
        margin: Annotated[float, Field(ge=0, lt=1)] = 2**-8,
    ) -> None:
        super().__init__()
        same_width(self, width, input_width)
        self.initial_b, self.margin = initial_b, margin
        self.log_A = nn.Parameter(torch.zeros(width))
        self.log_dt = nn.Parameter(torch.zeros(1))
        self.B = nn.Parameter(torch.full((width,), initial_b))
        self.norm = RMSNorm(width)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.log_A)
        nn.init.zeros_(self.log_dt)
        nn.init.constant_(self.B, self.initial_b)

    def A(self) -> Tensor:
        """The diagonal of the state matrix, ``(width,)``, in float32 or more, whatever the parameters' dtype."""
        z = (at_least_float32(self.log_dt) + at_least_float32(self.log_A)).clamp(-_Z_BOUND, _Z_BOUND)
        return (1 - self.margin) * torch.exp(-torch.exp(z))

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        out: Tensor = self.norm(super().combine(h, e, signal, t) + e)
        return out

    def prepare(self) -> Tensor | None:
        # A class derived from this one may inject otherwise, and know nothing of what is prepared.
        is_own = type(self).inject is LTI.inject and type(self).advance is LTI.advance
        return self.A() if is_own and type(self).linear_part is LTI.linear_part else None

    def inject(self, h: Tensor, e: Tensor, y: Tensor, t: Index = 0, prepared: Tensor | None = None) -> Tensor:
        carried = self.linear_part(h) if prepared is None else prepared.to(h.dtype) * h
        return carried + self.B.to(h.dtype) * e + y

    def advance(
        self,
        h: Tensor,
        e: Tensor,
        y: Tensor,
        next_signal: Tensor | None = None,
        t: Index = 0,
        next_t: Index = 1,
        prepared: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        if (next_signal is not None and next_signal.dim() != 1) or not is_plain(self.norm, RMSNorm):
            return super().advance(h, e, y, next_signal, t, next_t)
        a = self.A() if prepared is None else prepared
        return state_update(h, e, y, a, self.B, self._gain(), signal=next_signal, eps=self.norm.eps)

    def inlined(self, h: Tensor, e: Tensor, prepared: Tensor | None) -> Ends | None:
        weight, eps, dtype = self._gain(), self.norm.eps, h.dtype
        exact = dtype is torch.float32 or dtype is torch.float64
        # A kernel does what follows in one pass over the state; other dtypes are rounded where the reference does it.
        if prepared is None or not (exact and is_plain(self.norm, RMSNorm)) or backend(h) != "reference":
            return None
        if not all(x.dtype is dtype for x in (prepared, self.B, weight, e)):
            return None
        a, held, shape = prepared, self.B * e, weight.shape

        def last(h: Tensor, y: Tensor) -> Tensor:
            return a * h + held + y

        def between(h: Tensor, y: Tensor, signal: Tensor | None) -> tuple[Tensor, Tensor]:
            h = a * h + held + y
            if signal is None:
                x = h + e
            else:  # as advance adds them
                x = h + e + signal if signal.dim() == 1 else h + signal + e
            return h, torch.rms_norm(x, shape, weight, eps)

        return Ends(last, between)

    def _gain(self) -> Tensor:
        assert self.norm.weight is not None
        return self.norm.weight

    def linear_part(self, h: Tensor) -> Tensor:
        return self.A().to(h.dtype) * h

    def rho(self) -> Tensor:
        return self.A().to(self.log_A.dtype).max()
