"""Which positions may read which, as a recipe declares it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mythos_blocks import AttentionMask
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Batch


def mask_for(recipe: Recipe, allowed: Tensor | None, real: Tensor | None = None) -> AttentionMask:
    """The attention mask that a recipe declares, for a batch that allows ``allowed``, and pads where not ``real``.

    Padding stands behind what is real, where a causal mask hides it; from a full one it is taken out.
    """
    if recipe.mask == "task":
        return AttentionMask(causal=False, allowed=allowed)
    if recipe.mask == "full" and real is not None:
        return AttentionMask(causal=False, allowed=real[:, None, :].expand(-1, real.shape[1], -1))
    return AttentionMask(causal=recipe.mask == "causal")


def surroundings(recipe: Recipe, batch: Batch) -> dict[str, Any]:
    """What a model is told of a batch beside its tokens, as arguments of its forward pass."""
    return {"mask": mask_for(recipe, batch.allowed, batch.real), "real": batch.real}
