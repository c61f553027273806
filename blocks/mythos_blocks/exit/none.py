"""No exit."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.exit.base import Exit, ExitState, Read
from mythos_blocks.tensors.rows import Index


@component("exit", "none")
class NoExit(Exit):
    """Every position runs as many iterations as are asked for.

    Args:
        width: Channels of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()

    def observe(self, state: ExitState, old: Tensor, new: Tensor, read: Read, t: Index) -> ExitState:
        return state
