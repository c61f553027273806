"""The training loss, from what the model predicts after its iterations."""

from mythos_blocks.objective.base import (
    IGNORE,
    Objective,
    cross_entropies,
    scored,
    scored_logits,
    weighed_cross_entropy,
)
from mythos_blocks.objective.blended import Blended
from mythos_blocks.objective.expected import Expected
from mythos_blocks.objective.final import Final
from mythos_blocks.objective.power_weighted import PowerWeighted
from mythos_blocks.objective.supervised_halting import SupervisedHalting

__all__ = [
    "IGNORE",
    "Blended",
    "Expected",
    "Final",
    "Objective",
    "PowerWeighted",
    "SupervisedHalting",
    "cross_entropies",
    "scored",
    "scored_logits",
    "weighed_cross_entropy",
]
