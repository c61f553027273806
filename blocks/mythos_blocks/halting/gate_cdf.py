"""Ouro's exit gate."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Probability, Real
from mythos_blocks.halting.gate import GatedHalting


@component("halting", "gate_cdf")
class GateCDF(GatedHalting):
    """A position exits once its cumulative chance to halt reaches a quantile (Ouro, arXiv 2510.25741, section 3).

    Train it with the objective ``expected``, whose entropy term is Ouro's stage I, and the penalty
    ``gate_improvement``, its stage II.

    Args:
        width: Channels of the state.
        quantile: The cumulative chance at which a position exits, outside training.
        initial_bias: Initial bias of the gate.
    """

    def __init__(self, width: int, *, quantile: Probability = 0.5, initial_bias: Real = -1.0) -> None:
        super().__init__(width, initial_bias)
        self.quantile = quantile

    def stops(self, gate: Tensor, mass: Tensor) -> Tensor:
        return mass >= self.quantile
