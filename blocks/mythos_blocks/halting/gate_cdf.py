"""Ouro's exit gate."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Real
from mythos_blocks.halting.base import Evaluation
from mythos_blocks.halting.gate import GatedHalting


@component("halting", "gate_cdf")
class GateCDF(GatedHalting):
    """A position exits once its cumulative chance to halt reaches a quantile (Ouro, arXiv 2510.25741, section 3).

    Train it with the objective ``expected``, whose entropy term is Ouro's stage I, and the penalty
    ``gate_improvement``, its stage II.

    Args:
        width: Channels of the state.
        quantile: The cumulative chance at which a position exits, outside training; at 1, the published default, it
            runs all iterations unless a gate is saturated.
        initial_bias: Initial bias of the gate.
        evaluation: ``stop`` a position where it exits; ``select`` its state there, while all iterations run, which is
            what Ouro's code does and the logits that it gives; or ``run_on`` and read the last state.
    """

    def __init__(
        self,
        width: int,
        *,
        quantile: Annotated[float, Field(gt=0, le=1)] = 0.5,
        initial_bias: Real = -1.0,
        evaluation: Evaluation = "stop",
    ) -> None:
        super().__init__(width, initial_bias, evaluation)
        self.quantile = quantile

    def stops(self, gate: Tensor, mass: Tensor) -> Tensor:
        return mass >= self.quantile
