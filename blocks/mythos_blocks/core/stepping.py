"""One iteration of a loop: what is computed, in parts, and what is observed, once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mythos_blocks.core.again import kept_by_state
from mythos_blocks.core.iterating import Iterating, index_tensor
from mythos_blocks.core.iterations import Part, Step
from mythos_blocks.core.moved import Moved
from mythos_blocks.core.observing import cut, held, put_back
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.state_site import StateSite
from mythos_blocks.exit.base import Read
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.losses import Losses, Statistics
from mythos_blocks.frame.memory import Memory, Page, Past
from mythos_blocks.frame.notes import Notes
from mythos_blocks.frame.places import Turning
from mythos_blocks.frame.selection import Where
from mythos_blocks.frame.settable import changed
from mythos_blocks.halting.base import Halting
from mythos_blocks.kv_policy.base import KVPolicy
from mythos_blocks.loops.base import LoopSampler
from mythos_blocks.tensors.gradients import recorded_for_backward
from mythos_blocks.tensors.rows import check_index


class Stepping(Iterating):
    """What a loop does in one iteration, for its forward pass and for whoever drives it from outside.

    Attributes:
        last_index: The largest iteration index that every table reaches or reads beyond; ``None`` for no end.
        reads_over_depth: Whether a layer reads what other iterations have written.
        cuts_gradient: Whether training leaves out a part of an iteration's gradient.
        recomputes: Whether the graph of a training step keeps the states between iterations alone, and the backward
            pass computes each iteration again.
        turnings: Rotations by position that the layers ask for.
    """

    loops: LoopSampler
    halting: Halting
    kv_policy: KVPolicy
    state_site: StateSite
    last_index: int | None
    reads_over_depth: bool
    cuts_gradient: bool = False
    recomputes: bool = False
    turnings: Collection[Turning] = ()

    def start(
        self,
        e: Tensor,
        frame: Frame | None = None,
        *,
        past: Past | None = None,
        keeps: bool = True,
        num_loops: int | None = None,
    ) -> LoopState:
        """The state before the first iteration.

        Args:
            e: What the prelude made, ``(batch, positions, width)``.
            frame: The mask, positions and tokens of this pass.
            past: Keys and values of earlier calls, for cached decoding.
            keeps: Keep keys and values, so that positions may stop before others.
            num_loops: How many iterations will follow, if known, to make room for them.
        """
        frame = (frame or Frame()).placed(e, self.turnings)
        e, h, carry = self.begin(e, frame)
        room = num_loops or self.loops.max_loops
        return LoopState(
            h=h,
            e=e,
            halting=self.halting.start(h, frame.counting(Where.everywhere(h).mask)),
            frame=frame,
            memory=Memory(self.kv_policy, past, num_sequences=h.shape[0], keeps=keeps, num_depths=room),
            executed=torch.zeros(h.shape[:2], dtype=torch.long, device=h.device),
            carry=carry,
            losses=Losses(),
        )

    def step(
        self,
        state: LoopState,
        step: int | Step,
        *,
        last: bool | Tensor = False,
        where: Tensor | None = None,
        compact: bool = True,
        graph: bool = True,
    ) -> LoopState:
        """Run one iteration.

        Args:
            state: The state to go on from; it is not changed.
            step: The iteration index (0-based; any index, in any order), or all that the iteration is told.
            last: As in :class:`~mythos_blocks.core.iterations.Step`, where ``step`` is an index.
            where: The positions to run, ``(batch, positions)`` booleans; the others stay as they are, and the
                keys and values that they wrote last can still be read. ``None`` runs all that have not stopped.
            compact: Compute the positions in ``where`` alone. Without it all are computed, and the others put
                back, which is the plain form.
            graph: Whether gradients may flow through the iteration.
        """
        step = step if isinstance(step, Step) else Step(step, last=last)
        if where is None and state.stopped is not None:
            where = ~state.stopped
        part = Part(Where.everywhere(state.h) if where is None else Where.of(where), graph)
        return self._run(state, step, [part], compact)

    def _run(self, state: LoopState, step: Step, parts: Sequence[Part], compact: bool) -> LoopState:
        """One iteration: computed in parts, observed once."""
        check_index(step.t, self.last_index)
        parts = [part for part in parts if not part.where.none]
        if not parts:
            return state
        memory = state.memory.with_room(state.num_loops + 1)
        running = Where.union([part.where for part in parts])
        surroundings = self._alive(state, step.t, running.mask) if self.kv_policy.alive_only else state.frame
        moved, left = Moved(state.h, state.carry), []
        for number, part in enumerate(parts):
            statistics: Statistics = {}
            page = memory.open(step.t, state.num_loops, goes_on=number > 0) if self._reads(memory) else None
            frame = self._frame(surroundings, state, step, page, part.graph, statistics)
            moved = self._compute(state, moved, step, part, frame, compact)
            memory = memory if page is None else page.closed()
            left.append(statistics)
        moved = self._passed(moved, step.t)
        state.frame.record(moved.h, "core", step.t)
        ran = changed(
            state,
            h=moved.h,
            carry=moved.carry,
            memory=memory,
            x=moved.next_x,
            x_for=step.next_t,
            losses=state.losses.after(left),
        )
        return self._observe(state, ran, moved, step, running, parts, compact)

    def _passed(self, moved: Moved, t: int) -> Moved:
        """``moved`` with the state that has passed its site; what was prepared of another one is prepared again."""
        h: Tensor = self.state_site(moved.h, t)
        return moved if h is moved.h else replace(moved, h=h, next_x=None)

    def _compute(self, state: LoopState, moved: Moved, step: Step, part: Part, frame: Frame, compact: bool) -> Moved:
        """``moved`` with one part of the positions moved on from ``state``."""
        h, e, carry = state.h, state.e, state.carry
        if part.where.all:
            # What was prepared without a graph would keep gradient from e.
            x = state.x if state.x_for == step.t and not (frame.graph and not h.requires_grad) else None
            with recorded_for_backward(frame.graph):
                return self._advanced(h, e, carry, frame, step, x)
        step = changed(step, next_t=None)
        if not (compact and part.where.is_known):
            frame = changed(frame, running=part.where, real=frame.counting(part.where.mask))
            with recorded_for_backward(frame.graph):
                after = self._advanced(h, e, carry, frame, step)
            return moved.with_part(after, lambda old, new: put_back(old, new, part.where))
        selection = part.where.selection
        frame = frame.select(selection, h.shape[:2])
        with recorded_for_backward(frame.graph):
            chosen = None if carry is None else selection.take(carry)
            after = self._advanced(selection.take(h), selection.take(e), chosen, frame, step)
        return moved.with_part(after, selection.put)

    def _advanced(
        self, h: Tensor, e: Tensor, carry: Tensor | None, frame: Frame, step: Step, x: Tensor | None = None
    ) -> Moved:
        """:meth:`_iterate`, of which the graph keeps what is asked for."""
        if self.recomputes and self.training and frame.graph:
            return kept_by_state(self._iterate, h, e, carry, frame, step)
        return self._iterate(h, e, carry, frame, step, x)

    def _reads(self, memory: Memory) -> bool:
        """Whether layers get the memory: one that nobody will read makes a compiled layer depend on the iteration."""
        return self.reads_over_depth or memory.needed

    def _frame(
        self, frame: Frame, state: LoopState, step: Step, page: Page | None, graph: bool, statistics: Statistics
    ) -> Frame:
        """The frame of the core in one iteration."""
        return changed(
            frame,
            t=step.t,
            index=step.index(step.t, state.h.device),
            depth_index=index_tensor(state.num_loops, state.h) if self.reads_over_depth else None,
            memory=page,
            statistics=None if frame.statistics is None else Notes(statistics),
            adapter=self.depth_adapter.inner(),
            path=("core",),
            graph=graph and torch.is_grad_enabled(),
        )

    def _observe(
        self,
        before: LoopState,
        after: LoopState,
        moved: Moved,
        step: Step,
        running: Where,
        parts: Sequence[Part],
        compact: bool,
    ) -> LoopState:
        """The state once exit and halting have seen it: all of the batch at once, told what of it ran."""
        graph = [part.where for part in parts if part.graph]
        counted, t = before.frame.counting(running.mask), step.index(step.t, after.h.device)
        last = step.last if isinstance(step.last, Tensor) else _all(step.last, counted)
        stopped, exit_state, memory = before.stopped, before.exit, after.memory
        if step.exit is not None:
            page = memory.open(None)
            seen = before.exit or step.exit.start(before.h)
            read = self._reader(replace(before.frame, memory=page), step, running, compact)
            exit_state = held(seen, step.exit(seen, before.h, after.h, read, t), running)
            stopped, memory = exit_state.stopped, page.closed()
            last = stopped | last
        with recorded_for_backward(torch.is_grad_enabled() and bool(graph)):
            x = before.h if moved.x is None else moved.x
            halting = self.halting(before.halting, after.h, x=x, t=t, running=counted, last=last)
        if 0 < len(graph) < len(parts):
            halting = cut(before.halting, halting, Where.union(graph))
        halting = held(before.halting, halting, running)
        if self.halting.freezes:
            assert halting.halted is not None
            stopped = halting.halted if stopped is None else stopped | halting.halted
        if stopped is not None and before.frame.real is not None:
            stopped = stopped | ~before.frame.real  # padding has run once, and that is enough
        return changed(
            after,
            halting=halting,
            executed=before.executed + running.mask,
            stopped=stopped,
            exit=exit_state,
            memory=memory,
            num_loops=before.num_loops + 1,
        )

    def _reader(self, frame: Frame, step: Step, running: Where, compact: bool) -> Read:
        """From states to logits, for exit rules: in the compact form, zeros where a position did not run."""
        read = step.read or _no_logits

        def logits(h: Tensor) -> Tensor:
            if running.all:
                return read(h, frame)
            if not (compact and running.is_known):
                return read(h, replace(frame, running=running))
            selection = running.selection
            part = read(selection.take(h), frame.select(selection, h.shape[:2]))
            return selection.put(part.new_zeros(*h.shape[:2], part.shape[-1]), part)

        return logits

    def next_state(self, state: LoopState, h: Tensor) -> Tensor:
        """The state one iteration after ``h``, all else as in ``state``: the map in whose fixed points loops settle."""
        return self._again(state, Step(state.num_loops), h)

    def _again(self, state: LoopState, step: Step, h: Tensor) -> Tensor:
        memory = state.memory.with_room(state.num_loops + 1)
        page = memory.open(step.t, state.num_loops) if self._reads(memory) else None
        # Apart from the pass: who asks for this differentiates it on its own.
        step = changed(step, prepared=None)
        surroundings = changed(state.frame, statistics=None, tape=None)
        frame = self._frame(surroundings, state, step, page, True, {})
        return self._iterate(h, state.e, state.carry, frame, step).h

    def _alive(self, state: LoopState, t: int, alive: Tensor) -> Frame:
        """The frame in which keys of positions that do not run iteration ``t`` cannot be read."""
        readable = alive if state.memory.past is None else state.memory.past.alive(t, alive)
        return replace(state.frame, mask=state.frame.mask.reading(readable, alive.shape[1]))


def _all(flag: bool, like: Tensor) -> Tensor:
    """One flag for all; ``torch.jit.trace`` has no ``full_like`` of booleans."""
    return torch.ones_like(like) if flag else torch.zeros_like(like)


def _no_logits(h: Tensor, frame: Frame) -> Tensor:
    raise ValueError("the exit rule reads logits, and the step was not given a way to read them")
