"""An initialisation: normal weights of one size."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import Initialization, component
from mythos_blocks.declaring.types import Positive


@component("initialization", "skeleton")
class Skeleton(Initialization):
    """Normal weights of standard deviation ``gain / sqrt(fan_in + fan_out)``.

    Args:
        gain: Factor on the standard deviation.
    """

    def __init__(self, *, gain: Positive = 1.4) -> None:
        self.gain = gain

    def std(self, weight: Tensor) -> float:
        return float(self.gain * (weight.shape[-1] + weight.shape[-2]) ** -0.5)
