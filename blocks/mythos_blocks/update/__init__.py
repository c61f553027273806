"""How the core's output becomes the next state."""

from mythos_blocks.update.base import Update
from mythos_blocks.update.highway import Highway
from mythos_blocks.update.replace import Replace
from mythos_blocks.update.residual import Residual

__all__ = ["Highway", "Replace", "Residual", "Update"]
