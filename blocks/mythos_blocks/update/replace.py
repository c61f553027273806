"""The core's output is the next state."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.tensors.rows import Index
from mythos_blocks.update.base import Update


@component("update", "replace")
class Replace(Update):
    """``y = u``: the core's output is the next state (Universal Transformer, Huginn, Parcae).

    Args:
        width: Channels of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, h: Tensor, u: Tensor, carry: Tensor | None = None, t: Index = 0) -> tuple[Tensor, Tensor | None]:
        return u, None
