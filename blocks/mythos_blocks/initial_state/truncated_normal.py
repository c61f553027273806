"""The loop starts from truncated normal noise."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.initial_state.base import NoiseState
from mythos_blocks.tensors.tracing import is_traced


@component("initial_state", "truncated_normal")
class TruncatedNormalState(NoiseState):
    """``h ~ N(0, std^2)``, cut at three standard deviations (Huginn, arXiv 2502.05171; Parcae, arXiv 2604.12946).

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        std: Standard deviation before the cut. ``null`` takes ``sqrt(2 / (5 d))`` with d the input's width, as both
            systems do.
        scale: Factor on the draw: Huginn multiplies by its embedding scale ``sqrt(d)`` (``"sqrt_width"``).
        at_evaluation: Outside training, one draw for a position whatever the batch (``fixed``), or a ``fresh`` one.
        seed: Seed of the fixed draw.
    """

    def __init__(
        self,
        width: int,
        input_width: int | None = None,
        *,
        std: Positive | None = None,
        scale: Positive | Literal["sqrt_width"] = 1.0,
        at_evaluation: Literal["fixed", "fresh"] = "fixed",
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(width, at_evaluation, seed)
        input_width = input_width or width
        self.std = std or (2 / (5 * input_width)) ** 0.5
        self.scale = input_width**0.5 if isinstance(scale, str) else scale

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
        noise = torch.empty(shape, device=device, dtype=torch.float32)
        if generator is None and is_traced(noise):
            # torch draws again what is cut off, as often as it must; a graph takes the inverse of the distribution.
            within = math.erf(3 / 2**0.5)
            return self.scale * self.std * 2**0.5 * noise.uniform_(-within, within, generator=generator).erfinv()
        nn.init.trunc_normal_(noise, std=self.std, a=-3 * self.std, b=3 * self.std, generator=generator)
        return self.scale * noise
