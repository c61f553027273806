"""Normalisation over channels."""

from mythos_blocks.norm.adaptive import AdaptiveNorm
from mythos_blocks.norm.base import Norm
from mythos_blocks.norm.layer import LayerNorm
from mythos_blocks.norm.none import NoNorm
from mythos_blocks.norm.per_loop import PerLoopNorm
from mythos_blocks.norm.rms import RMSNorm

__all__ = ["Norm", "AdaptiveNorm", "LayerNorm", "NoNorm", "PerLoopNorm", "RMSNorm"]
