"""What changes the tied core from iteration to iteration."""

from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.depth_adapter.depth_lora import DepthLoRA
from mythos_blocks.depth_adapter.loop_affine import LoopAffine
from mythos_blocks.depth_adapter.loop_lora import LoopLoRA
from mythos_blocks.depth_adapter.none import NoAdapter

__all__ = ["DepthAdapter", "DepthLoRA", "LoopAffine", "LoopLoRA", "NoAdapter"]
