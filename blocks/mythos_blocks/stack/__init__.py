"""Layers applied once, one after the other: the prelude and the coda."""

from mythos_blocks.stack.sequence import Stack

__all__ = ["Stack"]
