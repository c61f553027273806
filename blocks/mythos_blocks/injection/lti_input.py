"""A stable linear time-invariant system ahead of the core."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Probability
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.orthogonal import orthogonal_
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.rows import Index

# Beyond these bounds exp(-exp(z)) is 0 or 1 to the last bit of float32, and exp(z) would overflow.
_Z_BOUND = 20.0


@component("injection", "lti_input")
class LTIInput(Injection):
    """The core reads ``Abar h + Bbar e``, a linear step ahead of the core, as in Parcae (arXiv 2604.12946, eq. 3).

    ``Abar = (1 - margin) * exp(-dt * exp(A_log))`` with ``dt = softplus(dt_bias)``. The state's width may differ from
    the input's where B is a matrix.

    Beyond ``|log(dt exp(A_log))| = 20``, where float32 holds Abar for 0 or 1, its parameters get no gradient from it.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        discretization: ``euler`` takes ``Bbar = dt * B`` as published; ``exact`` the zero-order hold,
            ``Bbar = (1 - exp(-dt exp(A_log))) / exp(A_log) * B``; ``raw`` leaves dt out, ``Bbar = B``.
        time_step: One dt for each channel (``vector``) or for all (``scalar``).
        B: A ``matrix`` as published, initially the identity, or orthonormal rows or columns where the widths differ; a
            ``vector``, initially ones; or the ``identity``, fixed.
        initial_A: Initial Abar; the published value is ``sqrt(1/5)``.
        margin: How far Abar stays below 1, where it would otherwise round to it; ``2 ** -8`` is the spacing of bfloat16
            there. Zero is Parcae as published.

    Raises:
        ValueError: The widths differ and B is not a matrix.
    """

    def __init__(
        self,
        width: int,
        input_width: int | None = None,
        *,
        discretization: Literal["euler", "exact", "raw"] = "euler",
        time_step: Literal["scalar", "vector"] = "vector",
        B: Literal["identity", "vector", "matrix"] = "matrix",
        initial_A: Probability = 0.2**0.5,
        margin: Annotated[float, Field(ge=0, lt=1)] = 2**-8,
    ) -> None:
        super().__init__()
        if B != "matrix":
            same_width(self, width, input_width)
        self.discretization, self.margin = discretization, margin
        # dt such that exp(-dt * exp(0)) is the initial value.
        self.initial_dt_bias = math.log(math.expm1(-math.log(initial_A)))
        self.A_log = nn.Parameter(torch.zeros(width))
        self.dt_bias = nn.Parameter(torch.full((width if time_step == "vector" else 1,), self.initial_dt_bias))
        shape = {"identity": None, "vector": (width,), "matrix": (width, input_width or width)}[B]
        self.B = None if shape is None else nn.Parameter(torch.zeros(shape))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.zeros_(self.A_log)
        nn.init.constant_(self.dt_bias, self.initial_dt_bias)
        if self.B is None:
            return
        if self.B.dim() == 1:
            nn.init.ones_(self.B)
        elif self.B.shape[0] == self.B.shape[1]:
            nn.init.eye_(self.B)
        else:
            orthogonal_(self.B, 1.0, generator)

    def A(self) -> Tensor:
        """The diagonal of the state matrix, ``(width,)``, in float32 or more, whatever the parameters' dtype."""
        return (1 - self.margin) * torch.exp(-self._rate())

    def _dt(self) -> Tensor:
        return F.softplus(at_least_float32(self.dt_bias))

    def _rate(self) -> Tensor:
        """``dt * exp(A_log)``, between bounds beyond which float32 cannot tell A apart from 0 or 1."""
        z = self._dt().clamp_min(1e-30).log() + at_least_float32(self.A_log)
        return torch.exp(z.clamp(-_Z_BOUND, _Z_BOUND))

    def _scaled(self, entering: Tensor) -> Tensor:
        """``Bbar e`` from ``B e``."""
        if self.discretization == "raw":
            return entering
        scale = self._dt()
        if self.discretization == "exact":
            rate = self._rate()
            # (1 - exp(-rate)) / rate, from 1 down to 0: a quotient that neither cancels nor overflows.
            scale = scale * (-torch.expm1(-rate) / rate)
        return scale.to(entering.dtype) * entering

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        if self.B is None:
            entering = e
        elif self.B.dim() == 1:
            entering = self.B.to(e.dtype) * e
        else:
            entering = F.linear(e, self.B.to(e.dtype))
        return super().combine(self.linear_part(h) + self._scaled(entering), e, signal, t)

    def linear_part(self, h: Tensor) -> Tensor:
        return self.A().to(h.dtype) * h

    def rho(self) -> Tensor:
        return self.A().to(self.A_log.dtype).max()
