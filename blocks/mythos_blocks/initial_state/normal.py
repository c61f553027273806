"""The loop starts from normal noise."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.initial_state.base import NoiseState, standard_normal


@component("initial_state", "normal")
class NormalState(NoiseState):
    """``h ~ N(0, std^2)`` in every channel.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        std: Standard deviation. ``null`` takes ``1 / sqrt(input width)``, the ``embed`` of Huginn's research code.
        at_evaluation: Outside training, one draw for a position whatever the batch (``fixed``), or a ``fresh`` one.
        seed: Seed of the fixed draw.
    """

    def __init__(
        self,
        width: int,
        input_width: int | None = None,
        *,
        std: Positive | None = 1.0,
        at_evaluation: Literal["fixed", "fresh"] = "fixed",
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(width, at_evaluation, seed)
        self.std = std or (input_width or width) ** -0.5

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
        return self.std * standard_normal(shape, generator, device)
