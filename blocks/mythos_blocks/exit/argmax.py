"""Exit by the stability of the predicted token."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "argmax")
class ArgmaxExit(ThresholdExit):
    """Stops once the likeliest token has stayed the same for ``patience`` iterations in a row (Huginn's code: 5).

    Args:
        patience: Iterations in a row without a change.
        min_loops: Iterations that run in any case.
    """

    reads_logits = True

    def __init__(self, width: int, *, patience: Count = 5, min_loops: Count = 2) -> None:
        super().__init__(0.5, min_loops, patience)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return read(new).argmax(-1)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (before != now).float()
