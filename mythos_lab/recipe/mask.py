"""Which positions may read which, as a recipe declares it."""

from __future__ import annotations

from torch import Tensor

from mythos_blocks import AttentionMask
from mythos_lab.recipe.schema import Recipe


def mask_for(recipe: Recipe, allowed: Tensor | None) -> AttentionMask:
    """The attention mask that a recipe declares, for a batch that allows ``allowed``."""
    return AttentionMask(causal=recipe.mask == "causal", allowed=allowed if recipe.mask == "task" else None)
