"""A model that has learned nothing, as a null."""

from __future__ import annotations

from mythos_blocks import LoopedTransformer


def untrained(model: LoopedTransformer) -> LoopedTransformer:
    """The model as its declaration makes it, in evaluation mode."""
    like = next(model.parameters())
    other: LoopedTransformer = model.spec.build(*model.context)
    other.initialize(seed=1)
    return other.to(like).eval()
