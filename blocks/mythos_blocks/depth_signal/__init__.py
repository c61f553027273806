"""What tells the core which iteration it is in."""

from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.depth_signal.coordinates import Coordinates
from mythos_blocks.depth_signal.learned import Learned
from mythos_blocks.depth_signal.none import NoSignal
from mythos_blocks.depth_signal.rotary import Rotary
from mythos_blocks.depth_signal.sinusoidal import Sinusoidal

__all__ = ["Coordinates", "DepthSignal", "Learned", "NoSignal", "Rotary", "Sinusoidal"]
