"""What a model makes of a batch at several loop counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks import Frame, LoopedTransformer
from mythos_blocks.core.prefixes import prefixes
from mythos_blocks.core.state import LoopState
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, Batch


@torch.no_grad()
def passes(
    model: LoopedTransformer, batch: Batch, recipe: Recipe, counts: Sequence[int]
) -> Iterator[tuple[Tensor, LoopState]]:
    """The logits where something is scored, ``(scored, vocab_size)``, and the last state, at each loop count in turn.

    Args:
        model: The model, in evaluation mode.
        batch: What it reads, on its device.
        recipe: Its mask and precision.
        counts: Loop counts, ascending.
    """
    frame = Frame(tokens=batch.tokens, **surroundings(recipe, batch))
    at_targets = replace(frame, logits_at=batch.targets != IGNORE)
    with autocast_for(recipe, batch.tokens.device):
        states = prefixes(model.core, model.encode(batch.tokens, frame), frame, counts, read=model.read)
    for _ in counts:
        with autocast_for(recipe, batch.tokens.device):
            state = next(states)
            logits = model.read(state.halting.readout, at_targets)
        yield logits, state
