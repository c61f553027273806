"""Distributions of initial weights."""

from mythos_blocks.initialization.base import Initialization
from mythos_blocks.initialization.depth_scaled import DepthScaledWeights
from mythos_blocks.initialization.fan_in import FanInWeights
from mythos_blocks.initialization.normal import NormalWeights
from mythos_blocks.initialization.orthogonal import OrthogonalWeights
from mythos_blocks.initialization.scaled_zero import ScaledZeroWeights

__all__ = [
    "DepthScaledWeights",
    "FanInWeights",
    "Initialization",
    "NormalWeights",
    "OrthogonalWeights",
    "ScaledZeroWeights",
]
