"""When a position stops iterating outside training, by what its state or its logits do."""

from mythos_blocks.exit.base import Exit, ExitState
from mythos_blocks.exit.none import NoExit

__all__ = ["Exit", "ExitState", "NoExit"]
