"""The place of the state between two iterations."""

from __future__ import annotations

from torch import Tensor, nn


class StateSite(nn.Module):
    """What the state passes after every iteration; a forward hook on it reads or replaces the state."""

    def forward(self, h: Tensor, t: int) -> Tensor:
        """The state after iteration ``t`` as it is, of all positions: ``(batch, positions, state_width)``."""
        return h
