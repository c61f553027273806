"""What an iteration of the loop reads and writes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from mythos_blocks.exit.base import ExitState
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.memory import Memory
from mythos_blocks.frame.selection import Selection, put, take
from mythos_blocks.halting.base import HaltingState


@dataclass
class LoopState:
    """The loop between two iterations. Steps make new ones and leave the old as they are.

    Attributes:
        h: The state, ``(batch, positions, state_width)``.
        e: The input that is injected, ``(batch, positions, width)``.
        halting: What the halting rule has seen.
        frame: The mask, positions and tokens of this pass.
        memory: Keys and values that iterations leave behind.
        executed: Iterations that each position has run, ``(batch, positions)``.
        stopped: Positions that run no more, ``(batch, positions)`` booleans; ``None`` where none ever stops.
        exit: What the exit rule has seen; ``None`` without one.
        carry: What the update remembers beyond the state.
        x: What the core will read in iteration ``x_for``, where the last one has prepared it already.
        x_for: The iteration index that ``x`` was prepared for.
        num_loops: Iterations run.
    """

    h: Tensor
    e: Tensor
    halting: HaltingState
    frame: Frame
    memory: Memory
    executed: Tensor
    stopped: Tensor | None = None
    exit: ExitState | None = None
    carry: Tensor | None = None
    x: Tensor | None = None
    x_for: int | None = None
    num_loops: int = 0


_CHANGED = ("h", "halting", "executed", "stopped", "exit", "carry")


def select(state: LoopState, selection: Selection) -> LoopState:
    """The state of the selected positions alone, which read the others' keys and values in the memory."""
    shape = state.h.shape[:2]
    return replace(
        state,
        frame=state.frame.select(selection, shape),
        memory=state.memory.fork(selection),
        x=None,
        **{name: take(getattr(state, name), selection, shape) for name in ("e", *_CHANGED)},
    )


def merge(state: LoopState, part: LoopState, selection: Selection) -> LoopState:
    """The state in which the selected positions are those of ``part``."""
    shape = state.h.shape[:2]
    return replace(
        state,
        memory=part.memory.fork(),
        num_loops=part.num_loops,
        x=None,
        **{name: put(getattr(state, name), getattr(part, name), selection, shape) for name in _CHANGED},
    )


def detach(state: LoopState) -> LoopState:
    """The state cut off from the graph that made it."""
    return replace(state, h=state.h.detach(), carry=None if state.carry is None else state.carry.detach(), x=None)
