"""What decoding with exits means: every position runs every iteration, and is read at an exit of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit
from mythos_blocks.exit.none import NoExit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.generation.refusing import check_own_exits
from mythos_blocks.model import LoopedTransformer
from mythos_blocks.model.modes import evaluating


@torch.no_grad()
def read_at_exits(
    model: LoopedTransformer, tokens: Tensor, counts: Tensor, exit: Exit | None = None
) -> tuple[Tensor, Tensor]:
    """Logits of a pass in which states go on after an exit, and later positions read the keys and values of those.

    This is the plain form that :class:`~mythos_blocks.generation.LazyDecoder` and
    :class:`~mythos_blocks.generation.Engine` equal. It runs all iterations, and looks at positions one by one.

    Args:
        model: The model.
        tokens: ``(batch, positions)``.
        counts: Iterations of each position, ``(batch, positions)``, at which it exits at last.
        exit: The rule that has a position exit before; ``None`` takes the model's.

    Returns:
        Logits, ``(batch, positions, vocab_size)``, and the iterations after which each position was read,
        ``(batch, positions)``.

    Raises:
        ValueError: A part of the model does not let positions be read at exits of their own.
    """
    check_own_exits(model)
    rule = model.core.exit if exit is None else exit
    with evaluating(model):
        frame = Frame(tokens=model.prefix.readable(tokens))
        state = model.core.start(model.encode(tokens, frame), frame)
        states = [state.h]
        for t in range(int(counts.max())):
            state = model.core.step(state, t)
            states.append(state.h)
        readouts, exits = states[0].clone(), torch.zeros_like(counts)
        for row in range(len(tokens)):
            for p in range(tokens.shape[1]):
                exits[row, p] = _exit(model, frame, rule, states, readouts, row, p, int(counts[row, p]))
                readouts[row, p] = states[int(exits[row, p])][row, p]
        return model.read(readouts, frame), exits


def _exit(
    model: LoopedTransformer,
    frame: Frame,
    rule: Exit,
    states: Sequence[Tensor],
    readouts: Tensor,
    row: int,
    position: int,
    count: int,
) -> int:
    """After how many iterations a position is read; those before it have been."""
    if isinstance(rule, NoExit):
        return count

    def read(h: Tensor) -> Tensor:
        here = readouts.clone()
        here[row, position] = h[0, 0]
        return model.read(here, frame)[row, position][None, None]

    at = (slice(row, row + 1), slice(position, position + 1))
    seen = rule.start(states[0][at])
    for t in range(count):
        seen = rule(seen, states[t][at], states[t + 1][at], read, torch.tensor(t))
        if bool(seen.stopped):
            return t + 1
    return count
