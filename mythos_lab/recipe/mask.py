"""Which positions may read which, as a recipe declares it."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from mythos_blocks import AttentionMask
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Batch

MaskKind = Literal["causal", "full", "task"]
"""Which positions attention may read: earlier ones, all, or those that the task allows."""


def mask_for(recipe: Recipe, allowed: Tensor | None, real: Tensor | None = None) -> AttentionMask:
    """The attention mask that a recipe declares, for a batch that allows ``allowed``, and pads where not ``real``."""
    return mask_of(recipe.mask, allowed, real)


def mask_of(kind: MaskKind, allowed: Tensor | None, real: Tensor | None = None) -> AttentionMask:
    """The attention mask of a kind.

    Padding stands behind what is real, where a causal mask hides it; from a full one it is taken out.
    """
    if kind == "task":
        return AttentionMask(causal=False, allowed=allowed)
    if kind == "full" and real is not None:
        return AttentionMask(causal=False, allowed=real[:, None, :].expand(-1, real.shape[1], -1))
    return AttentionMask(causal=kind == "causal")


def surroundings(recipe: Recipe, batch: Batch) -> dict[str, Any]:
    """What a model is told of a batch beside its tokens, as arguments of its forward pass."""
    return surroundings_of(recipe.mask, batch)


def surroundings_of(kind: MaskKind, batch: Batch) -> dict[str, Any]:
    """The same for a kind of mask, where there is no recipe."""
    return {"mask": mask_of(kind, batch.allowed, batch.real), "real": batch.real}
