"""Iterations that are computed again instead of being kept: in the backward pass, and where states are read late."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mythos_blocks.core.iterations import Step
from mythos_blocks.core.moved import Moved
from mythos_blocks.core.state import LoopState
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.notes import Notes
from mythos_blocks.frame.settable import changed
from mythos_blocks.tensors.randomness import GlobalNumbers
from mythos_blocks.tensors.recomputing import is_recomputed, recomputed, with_attention_as_now


def kept_by_state(
    iterate: Callable[..., Moved], h: Tensor, e: Tensor, carry: Tensor | None, frame: Frame, step: Step
) -> Moved:
    """What ``iterate`` returns, with a graph that keeps its arguments alone: the backward pass computes the rest again.

    What is drawn in it is drawn again. What it leaves in the frame is left once. It prepares nothing for the iteration
    that follows, which would be another state to keep.
    """
    step = changed(step, next_t=None)
    if step.prepared is not None:
        step.prepared.at_hand()  # within, it would be made the first time, and not again

    def run(h: Tensor, e: Tensor, carry: Tensor | None) -> Moved:
        return iterate(h, e, carry, frame.apart() if is_recomputed() else frame, step)

    moved: Moved = checkpoint(with_attention_as_now(run), h, e, carry, use_reentrant=False)
    return moved


# A graph of the whole loop ends here: what checkpointing computes again is for the host to ask for.
kept_by_state._torchdynamo_disable = True  # type: ignore[attr-defined]


class Beginning:
    """The iterations of a pass that have no graph, from the first on, to be run again where their states are read.

    Args:
        begun: The loop before its first iteration, where torch's global generators stand as they do now.
        tape: What keeps the states of later iterations.
    """

    def __init__(self, begun: LoopState, tape: Notes) -> None:
        self._begun, self._tape = changed(begun, frame=changed(begun.frame, tape=None, statistics=None)), tape
        self._drawn = GlobalNumbers.now(begun.h)
        self._steps: list[Callable[[LoopState], LoopState]] = []
        tape.beginning = self

    @classmethod
    def of(cls, begun: LoopState) -> Beginning | None:
        """That of a pass, where its tape may leave out what can be had again; ``None`` for all other passes."""
        tape = begun.frame.tape
        return cls(begun, tape) if isinstance(tape, Notes) and tape.from_window else None

    def goes_on(self, t: int, step: Callable[[LoopState], LoopState]) -> None:
        """An iteration without a graph has run: how it is run again. Its state is left out of the tape."""
        self._steps.append(step)
        self._tape.held.pop(("core", t), None)

    def states(self) -> Iterator[Tensor]:
        """The state after each, ``(batch, positions, state_width)``; one is alive at a time."""
        state, drawn = self._begun, self._drawn
        for step in self._steps:
            with torch.no_grad(), recomputed(), drawn.replayed():
                state = step(state)
                drawn = GlobalNumbers.now(state.h)
            yield state.h
