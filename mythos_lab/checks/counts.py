"""What a model comes to at every loop count, from one pass that is stopped at none of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import torch
from torch import Tensor

from mythos_blocks import Exit, Frame, NoExit, Step
from mythos_blocks.core.state import LoopState
from mythos_lab.checks.findings import Assembly
from mythos_lab.recipe.mask import surroundings


def states_by_count(assembly: Assembly, exit: Exit | None = None) -> Iterator[LoopState]:
    """The loop as passes of 1, 2, ... iterations leave it, without end: one pass, of which each count is a prefix.

    All counts start from one initial state, also where that is drawn. Without a halting rule, the readout is that of
    the count, and the weights are not.

    Args:
        assembly: The model, in the mode in which it is to run outside training, and the batch.
        exit: The rule that stops positions; ``None`` stops none.

    Raises:
        ValueError: The model refuses the next iteration.
    """
    core = assembly.model.core
    if core.tying == "sequence" and len(core.layers) > 1:  # there a pass runs each layer to its end before the next
        return (assembly.forward(num_loops, exit=exit or NoExit(core.state_width)).state for num_loops in count(1))
    return _prefixes(assembly, None if exit is None or exit.kind == "none" else exit)


def _prefixes(assembly: Assembly, exit: Exit | None) -> Iterator[LoopState]:
    model, batch = assembly.model, assembly.batch
    core = model.core

    def read(h: Tensor, frame: Frame) -> Tensor:
        logits: Tensor = model.read(h, frame)
        return logits

    with torch.no_grad(), assembly.precision():
        frame = Frame(tokens=batch.tokens, **surroundings(assembly.recipe, batch))
        state = core.start(model.encode(batch.tokens, frame), frame)
    for t in count():
        step = Step(t, exit=exit, read=read)
        with torch.no_grad(), assembly.precision():
            on = core.step(state, step)
            # A rule may weigh the iteration that a pass ends with as it weighs no other.
            ended = on if core.halting.kind == "none" else core.step(state, replace(step, last=True))
        yield ended
        state = on
