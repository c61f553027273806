"""Which iterations a training step differentiates, and how."""

from mythos_blocks.gradient.base import GradientPolicy
from mythos_blocks.gradient.implicit import Implicit
from mythos_blocks.gradient.last import LastIterations
from mythos_blocks.gradient.one_step import OneStep
from mythos_blocks.gradient.segments import Segments
from mythos_blocks.gradient.window import Window

__all__ = ["GradientPolicy", "Implicit", "LastIterations", "OneStep", "Segments", "Window"]
