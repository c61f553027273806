"""What tells each position where it stands, before the first layer."""

from mythos_blocks.position_embedding.base import PositionEmbedding
from mythos_blocks.position_embedding.learned import LearnedPositions
from mythos_blocks.position_embedding.none import NoPositions

__all__ = ["LearnedPositions", "NoPositions", "PositionEmbedding"]
