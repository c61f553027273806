"""Normal weights that keep the scale of activations."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.initialization.base import Initialization


@component("initialization", "fan_in")
class FanInWeights(Initialization):
    """Normal weights of standard deviation ``gain / sqrt(fan_in)`` (LeCun et al., 1998): activations keep their scale.

    Args:
        gain: Factor on the standard deviation.
    """

    def __init__(self, *, gain: Positive = 1.0) -> None:
        self.gain = gain

    def std(self, weight: Tensor) -> float:
        return float(self.gain * weight.shape[-1] ** -0.5)
