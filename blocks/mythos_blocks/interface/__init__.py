"""What the coda reads of the state that leaves the loop."""

from mythos_blocks.interface.base import Interface
from mythos_blocks.interface.final_norm import FinalNormInterface
from mythos_blocks.interface.none import NoInterface
from mythos_blocks.interface.norm import NormInterface
from mythos_blocks.interface.projection import ProjectionInterface

__all__ = ["FinalNormInterface", "Interface", "NoInterface", "NormInterface", "ProjectionInterface"]
