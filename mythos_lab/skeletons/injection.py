"""An injection whose strength decays with the loop index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks import Injection, component
from mythos_blocks.declaring.types import Probability
from mythos_blocks.tensors.rows import Index


@component("injection", "skeleton")
class Skeleton(Injection):
    """The core reads ``h + decay^t * b * e``: the input enters ever more weakly.

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
        decay: Factor on the strength from one iteration to the next.
    """

    def __init__(self, width: int, input_width: int | None = None, *, decay: Probability = 0.5) -> None:
        super().__init__()
        if input_width not in (None, width):
            raise ValueError(f"input_width={input_width} must be the width of the state, {width}")
        self.decay = decay
        self.b = nn.Parameter(torch.ones(width))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.ones_(self.b)

    def combine(self, h: Tensor, e: Tensor, signal: Tensor | None = None, t: Index = 0) -> Tensor:
        return super().combine(h + self.decay**t * self.b * e, e, signal, t)
