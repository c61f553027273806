"""What is done to the core's weights after every step to keep the loop stable."""

from mythos_blocks.stabilizer.base import Stabilizer
from mythos_blocks.stabilizer.none import NoStabilizer
from mythos_blocks.stabilizer.spectral_clip import SpectralClip

__all__ = ["NoStabilizer", "SpectralClip", "Stabilizer"]
