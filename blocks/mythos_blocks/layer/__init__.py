"""Layers: attention and feed-forward with their norms and residuals."""

from mythos_blocks.layer.base import Layer
from mythos_blocks.layer.mixture import MixtureLayer
from mythos_blocks.layer.post_norm import PostNormLayer
from mythos_blocks.layer.pre_norm import PreNormLayer
from mythos_blocks.layer.sandwich import SandwichLayer
from mythos_blocks.layer.stream_norm import StreamNormLayer

__all__ = ["Layer", "MixtureLayer", "PostNormLayer", "PreNormLayer", "SandwichLayer", "StreamNormLayer"]
