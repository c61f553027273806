"""How positions read each other."""

from mythos_blocks.attention.base import Attention
from mythos_blocks.attention.gqa import GroupedQueryAttention
from mythos_blocks.attention.mha import MultiHeadAttention
from mythos_blocks.attention.mixer import Mixer
from mythos_blocks.attention.mla import LatentAttention

__all__ = ["Attention", "GroupedQueryAttention", "LatentAttention", "Mixer", "MultiHeadAttention"]
