"""Exit by the second difference of states."""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, Positive
from mythos_blocks.exit.base import Read
from mythos_blocks.exit.threshold import ThresholdExit
from mythos_blocks.tensors.precision import at_least_float32


@component("exit", "acceleration")
class AccelerationExit(ThresholdExit):
    """Stops once steps ``d_t = h_t - h_{t-1}`` change little: ``||d_t - d_{t-1}|| / ||d_{t-1}||`` (arXiv 2509.23314).

    The paper exits on the acceleration itself, small twice in a row: ``relative: false`` with ``patience: 2``. Its text
    was not available; this is from its abstract and summaries.

    Args:
        width: Channels of the state.
        threshold: What it must be below.
        min_loops: The first iteration that the rule looks at: 2 at least, since the first has no step before it.
        patience: Iterations in a row for which it must be.
        relative: Divide by the length of the step before.

    Raises:
        ValueError: ``min_loops`` is 1.
    """

    def __init__(
        self,
        width: int,
        *,
        threshold: Positive = 0.1,
        min_loops: Count = 2,
        patience: Count = 1,
        relative: bool = True,
    ) -> None:
        if min_loops < 2:
            raise ValueError(f"min_loops={min_loops}: exit 'acceleration' compares two steps; nearest: 2")
        super().__init__(threshold, min_loops - 1, patience)  # the step before must have been looked at
        self.relative = relative

    def begin(self, h: Tensor) -> Tensor:
        return torch.full_like(h, torch.inf)  # no step is near what there was before the first

    def seen(self, old: Tensor, new: Tensor, read: Read) -> Tensor:
        return new - old

    def difference(self, before: Tensor, now: Tensor) -> Tensor:
        before, now = at_least_float32(before), at_least_float32(now)
        change = (now - before).norm(dim=-1)
        return change / before.norm(dim=-1) if self.relative else change
