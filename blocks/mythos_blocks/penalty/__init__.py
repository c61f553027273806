"""Terms that are added to the training loss."""

from mythos_blocks.penalty.base import Penalty
from mythos_blocks.penalty.distillation import Distillation
from mythos_blocks.penalty.fixed_point import FixedPoint
from mythos_blocks.penalty.gate_improvement import GateImprovement
from mythos_blocks.penalty.jacobian_radius import JacobianRadius
from mythos_blocks.penalty.weight_cosine import WeightCosine
from mythos_blocks.penalty.z_loss import ZLoss

__all__ = ["Distillation", "FixedPoint", "GateImprovement", "JacobianRadius", "Penalty", "WeightCosine", "ZLoss"]
