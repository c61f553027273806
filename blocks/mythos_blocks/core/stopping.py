"""A pass in which positions stop before others, with those that run kept apart until another one stops.

:meth:`~mythos_blocks.core.stepping.Stepping._run` is the reference: in each iteration it takes out the positions that
run and puts them back. Here that is done where the set of them changes. Between two changes they are a pass of their
own, past the modules (:mod:`mythos_blocks.core.straight`); exit and halting see all of the batch after each iteration,
as they do in the reference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Plan, ReadAt, Step, without
from mythos_blocks.core.observing import held
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.stepping import Stepping
from mythos_blocks.core.straight import StraightPass, can_run_past_modules
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.flat import Flat
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import is_inlinable, lies_flat
from mythos_blocks.frame.latest import Latest
from mythos_blocks.frame.memory import Page, Past
from mythos_blocks.frame.notes import Notes
from mythos_blocks.frame.selection import Selection, Where
from mythos_blocks.frame.settable import changed
from mythos_blocks.halting.base import HaltingState, all_halted
from mythos_blocks.halting.none import NoHalting
from mythos_blocks.tensors.gradients import recorded_for_backward
from mythos_blocks.tensors.once import once
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import at_least_float32
from mythos_blocks.tensors.tracing import is_traced


def keeps_apart(core: Stepping, plan: Plan, state: LoopState, past: Past | None, has_window: bool) -> bool:
    """Whether :func:`run_apart` computes this pass.

    It does not where sequences have unequal counts and a gradient window, which then begins apart; where it cannot be
    asked which positions stop; nor where a layer is watched, or compiled for what the steps give it.
    """
    windows_differ = has_window and not plan.is_even
    may_ask = not windows_differ and not is_traced(state.h) and can_run_past_modules(core, state, past)
    return may_ask and all(is_inlinable(layer) for layer in core.layers)


def run_apart(
    core: Stepping,
    state: LoopState,
    plan: Plan,
    num_learning: int,
    ends_early: bool,
    exit: Exit | None = None,
    read: ReadAt | None = None,
) -> LoopState:
    """The state after all iterations of a pass, from the one before the first.

    Args:
        core: The loop.
        state: What :meth:`Stepping.start` gave.
        plan: What is asked for.
        num_learning: How many iterations, the last ones, get a graph where gradients are recorded.
        ends_early: Stop once every position has halted.
        exit: The rule that may stop positions.
        read: As in :class:`~mythos_blocks.core.iterations.Step`.
    """
    without_graph = max(0, len(plan.order) - num_learning) if torch.is_grad_enabled() else 0
    under_way = _Pass(core, state, plan, without_graph, ends_early, exit, Step(0, read=read))
    while not under_way.is_over:
        running = without(plan.running(under_way.num_run), under_way.stopped)
        if running.none:
            break
        under_way.go_on(running)
    return under_way.state()


class _Pass:
    """One pass under way: what all positions have after ``num_run`` iterations.

    Attributes:
        is_over: Whether no iteration follows.
        running: The positions that run, until others do.
        chosen: How they are taken out; ``None`` where all run.
    """

    running: Where
    chosen: Selection | Flat | None

    def __init__(
        self,
        core: Stepping,
        begun: LoopState,
        plan: Plan,
        without_graph: int,
        ends_early: bool,
        exit: Exit | None,
        reading: Step,
    ) -> None:
        self.core, self.begun, self.plan, self.without_graph = core, begun, plan, without_graph
        self.ends_early, self.exit, self.reading = ends_early, exit, reading
        self.num_run, self.is_over = 0, False
        self.h, self.carry, self.losses, self.executed = begun.h, begun.carry, begun.losses, begun.executed
        self.halting, self.memory, self.weights = begun.halting, begun.memory, list[Tensor]()
        self.seen = None if exit is None else exit.start(begun.h)
        self.stopped: Tensor | None = None
        self.next_x: Tensor | None = None
        # What follows from a plain "none" is known from who stops when.
        self.rule = None if is_plain(core.halting, NoHalting) else core.halting
        self.latest = Latest(begun.memory, begun.h.shape[1])
        self.together: StraightPass | None = None
        self.nobody = torch.zeros(begun.h.shape[:2], dtype=torch.bool, device=begun.h.device)
        self.padding = None if begun.frame.real is None else ~begun.frame.real
        self.ends = set(plan.rows or ()) if plan.counts is None else set(plan.counts.flatten().tolist())
        self.tape = begun.frame.tape.held if isinstance(begun.frame.tape, Notes) else None
        self._page: Page | None = None

    def go_on(self, running: Where) -> None:
        """Run iterations of these positions, until others run."""
        core, order, begin = self.core, self.plan.order, self.num_run
        self.running, self.chosen = running, self._chosen(running)
        self.counted = self.begun.frame.counting(running.mask)
        self.latest.select(chosen := self.chosen)
        frame, h, e, carry = changed(self.begun.frame, tape=None), self.h, self.begun.e, self.carry
        if chosen is not None:
            frame, h, e = _frame_of(chosen, frame, h.shape[:2]), chosen.take(h), chosen.take(e)
            carry = None if carry is None else chosen.take(carry)
        state = changed(self.begun, h=h, e=e, carry=carry, frame=frame, losses=self.losses)
        self.together = together = StraightPass(
            core,
            state,
            self.plan,
            pages=lambda i: self.latest.open(order[i]),
            watch=self._look,
            previous=self.together,
        )
        records = torch.is_grad_enabled()
        for graph, end in ((False, self.without_graph), (records, len(order))):
            if self.num_run < end and not together.is_over:
                with recorded_for_backward(graph):
                    together.go_on(self.num_run, end)
        self.losses, self.next_x = together.losses, together.x if chosen is None else None
        after = together.carry
        if after is not None and chosen is not None:
            before = after.new_zeros(*self.h.shape[:2], *after.shape[2:]) if self.carry is None else self.carry
            after = chosen.put(before, after)
        self.carry = after
        self.executed = self.executed + running.mask * (self.num_run - begin)

    def _chosen(self, running: Where) -> Selection | Flat | None:
        """How the positions that run are taken out; ``None`` where all do."""
        if running.all:
            return None
        return Flat(running.selection) if self.may_lie_flat and running.selection.places else running.selection

    @once
    def may_lie_flat(self) -> bool:
        """Whether positions of several sequences may be computed side by side. What is drawn in training is drawn for
        sequences."""
        return not self.core.training and all(lies_flat(layer) for layer in self.core.layers)

    def _look(self, i: int, h: Tensor, x: Tensor) -> bool:
        """Have exit and halting see the i-th iteration; whether what they say ends a run of the same positions.

        Args:
            i: Which one it was.
            h: The state that it made of those that run.
            x: What the core read of them.
        """
        assert self.together is not None
        chosen, t = self.chosen, self.together.indices[i]
        old, new = self.h, h if chosen is None else chosen.put(self.h, h)
        self.h, self.num_run = new, i + 1
        is_last, stopped = i + 1 == len(self.plan.order), self.stopped
        if self.tape is not None:
            self.tape["core", self.plan.order[i]] = new
        if self.exit is not None:
            assert self.seen is not None
            self.seen = held(self.seen, self.exit(self.seen, old, new, self._read, t), self.running)
            stopped = self.seen.stopped
            if self._page is not None:
                self.memory, self._page = self._page.closed(), None
        exited = stopped if self.exit is not None else None
        if self.rule is not None:
            read = x if chosen is None else chosen.put(x.new_zeros(new.shape), x)
            last = self._last(i, exited)
            halting = self.rule(self.halting, new, x=read, t=t, running=self.counted, last=last)
            self.halting = held(self.halting, halting, self.running)
            if self.rule.freezes:
                halted = self.halting.halted
                assert halted is not None
                stopped = halted if exited is None else exited | halted
        if stopped is not None and self.padding is not None:
            stopped = stopped | self.padding  # padding has run once, and that is enough
        before = self.nobody if self.stopped is None else self.stopped
        others = stopped is not None and not torch.equal(stopped, before)
        self.stopped = stopped
        others = others or i + 1 in self.ends
        if self.rule is None:
            ends = is_last or others
            self.weights.append(self._last(i, exited) & self.running.mask if ends else self.nobody)
        self.is_over = is_last or (self.ends_early and all_halted(self.halting, self.begun.frame.real))
        return others or self.is_over

    def _last(self, i: int, exited: Tensor | None) -> Tensor:
        """The positions that no iteration follows the i-th, ``(batch, positions)`` booleans."""
        last = self.plan.last(i)
        if not isinstance(last, Tensor):
            last = self.plan.everywhere.mask if last else self.nobody
        return last if exited is None else exited | last

    def _read(self, h: Tensor) -> Tensor:
        """The logits of a state, as :meth:`Stepping._reader` has them."""
        if self._page is None:
            self._page = self.memory.open(None)
        frame = changed(self.begun.frame, memory=self._page)
        return self.core._reader(frame, self.reading, self.running, True)(h)

    def state(self) -> LoopState:
        """The loop after the last iteration that has run."""
        h, halting, num_run, order = self.h, self.halting, self.num_run, self.plan.order
        if self.rule is None:
            made: dict[int, Tensor] = {}
            for flags in self.weights:  # most of which are one tensor
                if id(flags) not in made:
                    made[id(flags)] = at_least_float32(flags.to(h.dtype))
            weights = [made[id(flags)] for flags in self.weights]
            halting = HaltingState(readout=h, real=halting.real, weights=weights)
        return changed(
            self.begun,
            h=h,
            carry=self.carry,
            halting=halting,
            memory=self.memory.having({**self.memory.contents, **self.latest.contents()}),
            executed=self.executed,
            stopped=self.stopped,
            exit=self.seen,
            x=self.next_x,
            x_for=order[num_run] if num_run < len(order) else None,
            num_loops=num_run,
            losses=self.losses,
        )


def _frame_of(chosen: Selection | Flat, frame: Frame, shape: torch.Size) -> Frame:
    return chosen.frame(frame, shape) if isinstance(chosen, Flat) else frame.select(chosen, shape)
