"""What stands before the tokens of every sequence."""

from mythos_blocks.prefix.base import Prefix
from mythos_blocks.prefix.memory import MemoryPrefix
from mythos_blocks.prefix.none import NoPrefix
from mythos_blocks.prefix.puzzle import PuzzlePrefix

__all__ = ["MemoryPrefix", "NoPrefix", "Prefix", "PuzzlePrefix"]
