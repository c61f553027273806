"""What passes of several loop counts end with, from one pass: each begins as every longer one does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks.core.iterations import ReadAt, Step
from mythos_blocks.core.loop import Loop
from mythos_blocks.core.state import LoopState
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame


def prefixes(
    core: Loop,
    e: Tensor,
    frame: Frame | None,
    counts: Iterable[int],
    *,
    exit: Exit | None = None,
    read: ReadAt | None = None,
    ends_early: bool = True,
) -> Iterator[LoopState]:
    """The states with which passes of these loop counts end, outside training.

    Halting rules may weigh the iteration that a pass ends with as they weigh no other: with such a rule that iteration
    is run once more, as one that others follow. Where layers run one after the other, each count is a pass of its own.

    Args:
        core: The loop, in evaluation mode.
        e: Its input, ``(batch, positions, width)``.
        frame: The mask, positions and tokens of the pass.
        counts: Loop counts, ascending; they may be without end.
        exit: The rule that stops positions; ``None`` takes the declared one.
        read: As in :meth:`Loop.forward`.
        ends_early: Run nothing more once every position has halted, as a pass does.

    Raises:
        ValueError: As :meth:`Loop.forward` does, when the iteration in question is asked for.
    """
    if core.tying == "sequence" and len(core.layers) > 1:
        yield from (core(e, frame, count, exit=exit, read=read) for count in counts)
        return
    rule = core.exit_rule(exit, read)
    weighs_the_last_alone = rule is None and core.halting.kind == "none"
    state = core.start(e, frame, keeps=rule is not None or core.halting.freezes)
    upcoming = iter(counts)
    target, t, halted = next(upcoming, None), 0, False
    while target is not None:
        if halted:
            yield state
            target = next(upcoming, None)
            continue
        is_counted = t + 1 == target
        following = next(upcoming, None) if is_counted else target
        step = Step(t, next_t=t + 1 if following is not None and core.tying == "cycle" else None, exit=rule, read=read)
        before = state
        if weighs_the_last_alone:
            state = core.step(before, replace(step, last=is_counted))
            if is_counted:
                yield state
                weights = [torch.zeros_like(weight) for weight in state.halting.weights]
                state = replace(state, halting=replace(state.halting, weights=weights))
        else:
            if is_counted:
                yield core.step(before, replace(step, next_t=None, last=True))
            state = core.step(before, step) if following is not None else before
        halted = ends_early and (state is before or core.has_halted(state))
        target, t = following, t + 1
