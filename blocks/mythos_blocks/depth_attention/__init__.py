"""How a position reads its own states of earlier iterations."""

from mythos_blocks.depth_attention.all_tokens import AllTokens
from mythos_blocks.depth_attention.base import DepthAttention
from mythos_blocks.depth_attention.none import NoDepthAttention
from mythos_blocks.depth_attention.own_token import OwnToken

__all__ = ["DepthAttention", "AllTokens", "NoDepthAttention", "OwnToken"]
