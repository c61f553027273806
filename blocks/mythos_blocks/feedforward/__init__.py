"""What each position computes on its own."""

from mythos_blocks.feedforward.moe import MixtureOfExperts
from mythos_blocks.feedforward.swiglu import SwiGLU

__all__ = ["MixtureOfExperts", "SwiGLU"]
