"""Which iterations the readout weighs, position by position."""

from mythos_blocks.halting.act import ACT
from mythos_blocks.halting.base import Halting, HaltingState
from mythos_blocks.halting.none import NoHalting

__all__ = ["ACT", "Halting", "HaltingState", "NoHalting"]
