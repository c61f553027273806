"""What surrounds a layer: masks, positions, and the memory of other iterations and calls."""

from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Memory, Page
from mythos_blocks.frame.selection import Selection, Where

__all__ = ["AttentionMask", "Frame", "Memory", "Page", "Selection", "Where"]
