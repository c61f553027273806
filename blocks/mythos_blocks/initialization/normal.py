"""Normal weights of one size."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Positive
from mythos_blocks.initialization.base import Initialization


@component("initialization", "normal")
class NormalWeights(Initialization):
    """Normal weights of one standard deviation (OpenMythos: 0.02).

    Args:
        value: The standard deviation.
    """

    def __init__(self, *, value: Positive = 0.02) -> None:
        self.value = value

    def std(self, weight: Tensor) -> float:
        return self.value
