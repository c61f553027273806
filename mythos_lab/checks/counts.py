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


@torch.no_grad()
def states_by_count(assembly: Assembly, exit: Exit | None = None) -> Iterator[LoopState]:
    """The loop as passes of 1, 2, ... iterations leave it, without end: one pass, of which each count is a prefix.

    All counts start from one initial state, also where that is drawn.

    Args:
        assembly: The model, in the mode in which it is to run outside training, and the batch.
        exit: The rule that stops positions; ``None`` runs all positions on.

    Raises:
        ValueError: The model refuses the next iteration.
    """
    core = assembly.model.core
    if core.tying == "sequence" and len(core.layers) > 1:  # every count runs its first layer to the end first
        stay = NoExit(core.state_width)
        for num_loops in count(1):
            yield assembly.forward(num_loops, exit=exit or stay).state
    yield from _prefixes(assembly, None if exit is None or exit.kind == "none" else exit)


def _prefixes(assembly: Assembly, exit: Exit | None) -> Iterator[LoopState]:
    model, batch = assembly.model, assembly.batch
    core = model.core
    with assembly.precision():
        frame = Frame(tokens=batch.tokens, **surroundings(assembly.recipe, batch))
        state = core.start(model.encode(batch.tokens, frame), frame)
    for t in count():
        step = Step(t, exit=exit, read=_read(assembly))
        with assembly.precision():
            on = core.step(state, step)
            # Rules may weigh a pass's last iteration as they weigh no other.
            ended = on if core.halting.kind == "none" else core.step(state, replace(step, last=True))
        yield ended
        state = on


def _read(assembly: Assembly) -> object:
    def read(h: Tensor, frame: Frame) -> Tensor:
        logits: Tensor = assembly.model.read(h, replace(frame, statistics=None, tape=None))
        return logits

    return read
