"""Exit by the stability of the predicted token."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit


@component("exit", "argmax")
class ArgmaxExit(ThresholdExit):
    """Stops once the likeliest token has stayed the same ``patience`` times in a row (Huginn's code: 5).

    Args:
        width: Channels of the state.
        patience: Iterations in a row that keep the token of the one before.
        min_loops: The first iteration that the rule looks at. Its token is new, so a position stops at
            ``min_loops + patience`` at the earliest.
    """

    reads_logits = True

    def __init__(self, width: int, *, patience: Count = 5, min_loops: Count = 1) -> None:
        super().__init__(0.5, min_loops, patience)

    def begin(self, h: Tensor) -> Tensor:
        return torch.full(h.shape[:-1], -1, device=h.device)

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return read(new).argmax(-1)

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        return (before != now).long()
