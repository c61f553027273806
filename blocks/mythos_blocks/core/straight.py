"""A pass in which every position runs every iteration, with all that such a pass never asks left out.

:meth:`~mythos_blocks.core.stepping.Stepping.step` is the reference: it takes iterations one by one, in any order, of
some positions or of all, and whoever watches a part sees it called. Most passes are plainer than that. Here the layers
are functions (:mod:`mythos_blocks.frame.inlining`), what the injection and the depth signal make for all iterations is
made once, and what would be the same in every iteration is not computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Plan, Prepared
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.stepping import Stepping
from mythos_blocks.depth_adapter.none import NoAdapter
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.inlining import inlined, runs_past_modules
from mythos_blocks.frame.losses import Statistics
from mythos_blocks.frame.memory import Page, Past, Path, ReadyPage, Tensors
from mythos_blocks.frame.notes import Notes
from mythos_blocks.frame.settable import changed
from mythos_blocks.halting.base import HaltingState, all_halted
from mythos_blocks.halting.none import NoHalting
from mythos_blocks.injection.base import Ends
from mythos_blocks.tensors.gradients import recorded_for_backward
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import exact_dtype_of
from mythos_blocks.tensors.unread import unread_index
from mythos_blocks.update.replace import Replace


def is_straight(core: Stepping, plan: Plan, state: LoopState, past: Past | None) -> bool:
    """Whether nothing in this pass needs more than :func:`run_straight` does. No exit rule may be there.

    It does not where positions stop or begin apart, where iterations read each other, where states are recorded, where
    somebody watches the state or the injection, and while a graph is made of the pass.
    """
    return plan.is_even and not core.halting.freezes and can_run_past_modules(core, state, past)


def can_run_past_modules(core: Stepping, state: LoopState, past: Past | None) -> bool:
    """Whether nothing but which positions run keeps this pass from being computed past the modules."""
    policy, frame = core.kv_policy, state.frame
    return (
        not (policy.alive_only or policy.reuses or core.reads_over_depth)
        and (not isinstance(frame.tape, Notes) or frame.tape.states_only)
        and runs_past_modules(state.h, frame)
        and core.depth_adapter.inner() is None
        and is_plain(core.injection, type(core.injection))
        and is_plain(core.state_site, type(core.state_site))
        and (past is None or not torch.is_grad_enabled())
    )


def run_straight(core: Stepping, state: LoopState, plan: Plan, num_learning: int, ends_early: bool) -> LoopState:
    """The state after all iterations of a pass, from the one before the first.

    Args:
        core: The loop, whose layers run together.
        state: What :meth:`Stepping.start` gave.
        plan: What is asked for.
        num_learning: How many iterations, the last ones, get a graph where gradients are recorded.
        ends_early: Stop once every position has halted.
    """
    under_way, num_loops = StraightPass(core, state, plan, ends_early=ends_early), len(plan.order)
    records = torch.is_grad_enabled()
    without = max(0, num_loops - num_learning) if records else 0
    for graph, begin, end in ((False, 0, without), (records, without, num_loops)):
        if begin < end and not under_way.is_over:
            with recorded_for_backward(graph):
                under_way.go_on(begin, end)
    return under_way.state()


class StraightPass:
    """One pass under way.

    Args:
        core: The loop.
        state: Where it begins.
        plan: What is asked for.
        ends_early: Stop once every position has halted.
        pages: Where the i-th iteration writes and reads keys and values; ``None`` goes by the state's memory.
        depths: How many iterations each row has run before, where that differs: the i-th iteration is another one for
            each then, and of its index nothing but the depth signal is told.
        watch: Told after each iteration its number, the state after it and what the core has read in it; iterations end
            where it returns true. It takes the place of the halting rule, and of the tape.
        previous: An earlier one of the same plan and model: what that has made for all iterations serves here too.

    Attributes:
        h: The state after the iterations that have run.
        carry: What the update remembers then.
    """

    def __init__(
        self,
        core: Stepping,
        state: LoopState,
        plan: Plan,
        *,
        ends_early: bool = False,
        pages: Callable[[int], Page] | None = None,
        depths: Sequence[int] | None = None,
        watch: Callable[[int, Tensor, Tensor], bool] | None = None,
        previous: StraightPass | None = None,
    ) -> None:
        self.core, self.begun, self.order, self.ends_early, self.pages = core, state, plan.order, ends_early, pages
        self.h, self.carry, self.halting, self.losses = state.h, state.carry, state.halting, state.losses
        self.x: Tensor | None = None
        self.num_run, self.is_over, self.watch = 0, False, watch
        self.ends: Ends | None = None
        self.frame = frame = changed(state.frame, path=("core",))
        self.positions = frame.position_ids(state.h)
        self.layers = [inlined(core.layers[i], frame.at(place), state.h) for place, i in enumerate(core.order)]
        if previous is None:
            self.indices = _indices(plan) if depths is None else [unread_index(plan.device)] * len(plan.order)
            self.prepared = Prepared(core.injection)
            # Signals that change the state, or that somebody watches, are asked for in the iteration that they are of.
            self.is_ahead = core.depth_signal.additive and is_plain(core.depth_signal, type(core.depth_signal))
            self.signals = self._signals(plan, depths) if self.is_ahead else None
        else:
            self.indices, self.prepared = previous.indices, previous.prepared
            self.is_ahead, self.signals = previous.is_ahead, previous.signals
        self.adapter = None if is_plain(core.depth_adapter, NoAdapter) else core.depth_adapter
        self.update = None if is_plain(core.update, Replace) else core.update
        self.rule = None if watch is not None or is_plain(core.halting, NoHalting) else core.halting
        past = state.memory.past
        self.ready = None if past is None or pages is not None else past.ready(*state.h.shape[:2])
        self.everywhere = everywhere = plan.everywhere
        if self.rule is not None:
            self.counted = frame.counting(everywhere.mask)
            self.flags = {False: torch.zeros_like(self.counted), True: torch.ones_like(self.counted)}

    def go_on(self, begin: int, end: int) -> None:
        """Run the iterations from ``begin`` to ``end``."""
        core, e, h, x = self.core, self.begun.e, self.h, self.x
        injection, dtype, prepared = core.injection, h.dtype, self.prepared.at_hand()
        with_it: dict[str, Tensor] = {} if prepared is None else {"prepared": prepared}
        graph, num_loops = torch.is_grad_enabled(), len(self.order)
        if self.ends is None or graph:  # what was made without a graph would keep gradient from the weights
            self.ends = injection.inlined(h, e, prepared) if self.is_ahead else None
        ends = self.ends
        tape = self.frame.tape.held if isinstance(self.frame.tape, Notes) else None
        if graph and not h.requires_grad:
            x = None  # what was prepared without a graph would keep gradient from e
        for i in range(begin, end):
            t, left = self.indices[i], dict[tuple[str, Path], Tensors]()
            now = self._frame(i, graph, left)
            if x is None:
                x = injection(core.depth_signal.transform(h, t), e, self._signal(i, h), t).to(dtype)
            y = x
            for layer in self.layers:
                y = layer(y, now)
            if self.adapter is not None:
                y = self.adapter(y, t)
            if self.update is not None:
                carry = self.carry
                y, after = self.update(h, y, carry, t)
                self.carry = after if after is None or carry is None else after.to(carry.dtype)
            y = y if y.dtype is dtype else y.to(dtype)
            read, x, last = x, None, i + 1 == num_loops
            if last or not self.is_ahead:
                h = injection.inject(h, e, y, t, **with_it) if ends is None else ends.last(h, y)
            elif ends is None:
                h, x = injection.advance(h, e, y, self._signal(i + 1, h), t, self.indices[i + 1], **with_it)
                x = x.to(dtype)
            else:
                h, x = ends.between(h, y, self._signal(i + 1, h))
            h = h if h.dtype is dtype else h.to(dtype)
            if tape is not None:
                tape["core", self.order[i]] = h
            if left:
                self.losses = self.losses.after([left])
            if self.rule is not None:
                flags = self.flags[last]
                self.halting = self.rule(self.halting, h, x=read, t=t, running=self.counted, last=flags)
                if self.ends_early and all_halted(self.halting, self.frame.real):
                    self.is_over = True
            elif self.watch is not None:
                self.is_over = self.watch(i, h, read)
            self.num_run = i + 1
            if self.is_over:
                break
        self.h, self.x = h, x

    def state(self) -> LoopState:
        """The loop after the last iteration that has run."""
        num_run, h, halting = self.num_run, self.h, self.halting
        if self.rule is None:
            whole = torch.ones_like(self.everywhere.mask, dtype=exact_dtype_of(h))
            none = torch.zeros_like(whole)
            halting = HaltingState(readout=h, real=halting.real, weights=[none] * (num_run - 1) + [whole])
        return changed(
            self.begun,
            h=h,
            carry=self.carry,
            halting=halting,
            executed=self.begun.executed + num_run,
            x=self.x,
            x_for=None if self.x is None else self.order[num_run],
            num_loops=num_run,
            losses=self.losses,
        )

    def _frame(self, i: int, graph: bool, left: Statistics) -> Frame:
        """The frame of the core in the i-th iteration."""
        memory, t = self.begun.memory, self.order[i]
        page: Page | None = None if self.ready is None else ReadyPage(memory, t, self.ready)
        if self.pages is not None:
            page = self.pages(i)
        notes = None if self.frame.statistics is None else Notes(left)
        return changed(self.frame, t=t, index=self.indices[i], memory=page, statistics=notes, graph=graph)

    def _signal(self, i: int, h: Tensor) -> Tensor | None:
        """The depth signal of the i-th iteration."""
        if self.signals is not None:
            return self.signals[i]
        return self.core._signal(h, self.indices[i], self.positions)

    def _signals(self, plan: Plan, depths: Sequence[int] | None) -> Sequence[Tensor | None] | None:
        """Those of all iterations, where they are made at once."""
        most = max(plan.order) + 1 if depths is None else max(depths) + len(plan.order)
        made = self.core.depth_signal.ahead(most)
        if made is None:
            return None
        dtype = self.h.dtype
        if depths is None:
            return [None if (signal := made[t]) is None else signal.to(dtype) for t in plan.order]
        told = [signal for signal in made if signal is not None]
        if not told:
            return [None] * len(plan.order)
        by_row = torch.arange(len(plan.order))[:, None] + torch.tensor(depths)
        return torch.stack(told).to(dtype)[by_row.to(plan.device)].unsqueeze(2).unbind()


def _indices(plan: Plan) -> Sequence[Tensor]:
    """Iteration indices as 0-dimensional tensors, made on their device."""
    every = torch.arange(max(plan.order) + 1, device=plan.device).unbind()
    return [every[t] for t in plan.order]
