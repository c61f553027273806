"""The loop starts from standardised noise."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.initial_state.base import NoiseState, standard_normal


@component("initial_state", "unit")
class UnitState(NoiseState):
    """A random direction of fixed length: at every position, normal noise with its mean over channels taken off and
    its standard deviation over channels made one. The ``unit`` of Huginn's research code.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        at_evaluation: Outside training, one draw for a position whatever the batch (``fixed``), or a ``fresh`` one.
        seed: Seed of the fixed draw.
    """

    def __init__(
        self,
        width: int,
        input_width: int | None = None,
        *,
        at_evaluation: Literal["fixed", "fresh"] = "fixed",
        seed: Annotated[int, Field(ge=0)] = 0,
    ) -> None:
        super().__init__(width, at_evaluation, seed)

    def sample(self, shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
        noise = standard_normal(shape, generator, device)
        std, mean = torch.std_mean(noise, dim=-1, keepdim=True)
        return (noise - mean) / (std + 1e-8)
