"""Which iterations a training step differentiates, and how."""

from mythos_blocks.gradient.base import GradientPolicy
from mythos_blocks.gradient.window import Window

__all__ = ["GradientPolicy", "Window"]
