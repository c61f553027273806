"""The contract of a normalisation."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index


@contract("norm")
class Norm(Module):
    """A normalisation over channels: ``(..., width) -> (..., width)``."""

    def forward(self, x: Tensor, t: Index | None = None) -> Tensor:
        """The normalised vector; ``t`` is the iteration, ``None`` outside the loop."""
        raise NotImplementedError
