"""Distributions of initial weights."""

from mythos_blocks.initialization.base import Initialization
from mythos_blocks.initialization.depth_scaled import DepthScaled
from mythos_blocks.initialization.fan_in import FanIn
from mythos_blocks.initialization.normal import Normal
from mythos_blocks.initialization.orthogonal import Orthogonal
from mythos_blocks.initialization.scaled_zero import ScaledZero

__all__ = ["DepthScaled", "FanIn", "Initialization", "Normal", "Orthogonal", "ScaledZero"]
