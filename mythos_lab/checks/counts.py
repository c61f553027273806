"""What a model comes to at every loop count, from one pass that is stopped at none of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch

from mythos_blocks import Exit, Frame, NoExit
from mythos_blocks.core.prefixes import prefixes
from mythos_blocks.core.state import LoopState
from mythos_lab.checks.findings import Assembly
from mythos_lab.recipe.mask import surroundings


def states_by_count(assembly: Assembly, exit: Exit | None = None) -> Iterator[LoopState]:
    """The loop as passes of 1, 2, ... iterations leave it, without end: one pass, of which each count is a prefix.

    All counts start from one initial state, also where that is drawn.

    Args:
        assembly: The model, in the mode in which it is to run outside training, and the batch.
        exit: The rule that stops positions; ``None`` stops none.

    Raises:
        ValueError: The model refuses the next iteration.
    """
    model, batch = assembly.model, assembly.batch
    frame = Frame(tokens=batch.tokens, **surroundings(assembly.recipe, batch))
    with torch.no_grad(), assembly.precision():
        states = prefixes(
            model.core,
            model.encode(batch.tokens, frame),
            frame,
            count(1),
            exit=exit or NoExit(model.core.state_width),
            read=model.read,
            ends_early=False,
        )
    while True:
        with torch.no_grad(), assembly.precision():
            state = next(states)
        yield state
