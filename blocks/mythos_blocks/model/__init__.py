"""Whole models, from tokens to logits."""

from mythos_blocks.model import pytree as pytree  # registers what a forward pass returns
from mythos_blocks.model.knock_out import knocked_out
from mythos_blocks.model.looped_transformer import LoopedTransformer
from mythos_blocks.model.output import ModelOutput

__all__ = ["LoopedTransformer", "ModelOutput", "knocked_out"]
