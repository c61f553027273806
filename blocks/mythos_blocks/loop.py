"""The loop: one object with one step function, which can also be driven from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.component import Module, component
from mythos_blocks.exit.base import Exit, Read
from mythos_blocks.frame import Frame
from mythos_blocks.loop_state import LoopState, detach, merge, select
from mythos_blocks.memory import Memory, Past
from mythos_blocks.selection import Selection
from mythos_blocks.slots import (
    DepthAdapterSlot,
    DepthSignalSlot,
    ExitSlot,
    GradientSlot,
    HaltingSlot,
    InitialStateSlot,
    InjectionSlot,
    InterfaceSlot,
    KVPolicySlot,
    LayerSlot,
    LoopsSlot,
    NormSlot,
    UpdateSlot,
)
from mythos_blocks.spec import build
from mythos_blocks.types import Count

Iterations = int | Sequence[int] | Tensor
"""A loop count; or iteration indices in the order in which to run them; or a loop count for each sequence,
``(batch,)``, or for each position, ``(batch, positions)``."""


@component("core", "loop")
class Loop(Module):
    """The core: layers with one set of weights, applied many times.

    Iteration t is ``x = injection.combine(h, e, signal[t])``, ``u = adapter(layers(x), t)``,
    ``h = injection.inject(h, e, update(h, u))``, after which halting sees h.

    Args:
        depth: Layers in the core.
        layer: What each layer is.
        loops: How many iterations a training step runs, and how many of them get gradient.
        loops_per: Whether a training step draws one loop count for the ``batch``, or one for each ``sequence``
            (as in Parcae) or each ``token``.
        tying: ``cycle`` runs all layers in each iteration (1 2 1 2); ``sequence`` runs all iterations of a layer
            before those of the next (1 1 2 2), as in Relaxed Recursive Transformers (arXiv 2410.20672) and MoR.
        state_width: Channels of the state; ``null`` takes the model's width.
        input_norm: The normalisation of e.
        injection: How e enters every iteration.
        update: How the core's output becomes the next state.
        depth_signal: What tells the core which iteration it is in.
        depth_adapter: What changes the core from iteration to iteration.
        initial_state: The state before the first iteration.
        halting: Which iterations the readout weighs.
        exit: When a position stops outside training.
        interface: What the coda reads of the state.
        kv_policy: Which iterations share keys and values.
        gradient: Which iterations a training step differentiates, and how.

    Raises:
        ValueError: ``gradient`` needs the last state as readout, and ``halting`` mixes several.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Count = 1,
        layer: LayerSlot = "pre_norm",
        loops: LoopsSlot = "fixed",
        loops_per: Literal["batch", "sequence", "token"] = "batch",
        tying: Literal["cycle", "sequence"] = "cycle",
        state_width: Count | None = None,
        input_norm: NormSlot = "none",
        injection: InjectionSlot = "none",
        update: UpdateSlot = "replace",
        depth_signal: DepthSignalSlot = "none",
        depth_adapter: DepthAdapterSlot = "none",
        initial_state: InitialStateSlot = "input",
        halting: HaltingSlot = "none",
        exit: ExitSlot = "none",
        interface: InterfaceSlot = "none",
        kv_policy: KVPolicySlot = "per_loop",
        gradient: GradientSlot = "window",
    ) -> None:
        super().__init__()
        self.loops, self.loops_per, self.tying = build(loops), loops_per, tying
        self.state_width = inner = state_width or width
        reach = self.loops.max_loops
        self.layers = nn.ModuleList(build(layer, inner, reach) for _ in range(depth))
        self.input_norm = build(input_norm, width)
        self.injection = build(injection, inner, width)
        self.update = build(update, inner)
        self.depth_signal = build(depth_signal, inner, reach)
        self.depth_adapter = build(depth_adapter, inner, reach)
        self.depth_adapter.attach(self.layers)
        self.initial_state = build(initial_state, inner, width)
        self.halting = build(halting, inner)
        self.exit = build(exit, inner)
        self.interface = build(interface, inner, width)
        self.kv_policy = build(kv_policy)
        self.gradient = build(gradient, self.loops)
        if self.gradient.needs_last_state and self.halting.kind != "none":
            raise ValueError(f"gradient {self.gradient.kind!r} needs the last state; halting must be 'none'")

    def start(
        self, e: Tensor, frame: Frame | None = None, *, past: Past | None = None, keeps: bool = True
    ) -> LoopState:
        """The state before the first iteration.

        Args:
            e: What the prelude made, ``(batch, positions, width)``.
            frame: The mask, positions and tokens of this pass.
            past: Keys and values of earlier calls, for cached decoding.
            keeps: Keep keys and values, so that positions may stop before others.
        """
        frame = frame or Frame()
        e = self.input_norm(e)
        h = self.initial_state(e, frame)
        return LoopState(
            h=h,
            e=e,
            halting=self.halting.start(h),
            frame=frame,
            memory=Memory(self.kv_policy, past, num_sequences=len(h), keeps=keeps),
            executed=torch.zeros(h.shape[:2], dtype=torch.long, device=h.device),
            carry=self.update.start(h),
        )

    def step(
        self,
        state: LoopState,
        t: int,
        *,
        next_t: int | None = None,
        last: bool | Tensor = False,
        where: Tensor | None = None,
        compact: bool = True,
        graph: bool = True,
        exit: Exit | None = None,
        read: Read | None = None,
        layer: int | None = None,
    ) -> LoopState:
        """Run iteration ``t`` (0-based; any index, in any order).

        Args:
            state: The state to go on from; it is not changed.
            t: The iteration index that the depth signal and the adapter see.
            next_t: The index that will follow, if known: the injection may then prepare its input, fused
                with the update of the state. Without it nothing but speed is lost.
            last: That no iteration follows, which halting rules may need to know; ``(batch, positions)``
                booleans where it differs.
            where: The positions to run, ``(batch, positions)`` booleans; the others stay as they are, and the
                keys and values that they wrote last can still be read. ``None`` runs all that have not stopped.
            compact: Compute the positions in ``where`` alone. Without it all are computed, and the others put
                back, which is the plain form.
            graph: Whether gradients may flow through the iteration.
            exit: The rule that may stop positions.
            read: From a state to the model's logits, for exit rules that need them.
            layer: The one layer to apply, for ``tying: sequence``; ``None`` applies all.
        """
        if where is None and _any_stopped(state):
            where = ~state.stopped  # type: ignore[operator]
        if self.kv_policy.alive_only:
            state = replace(state, frame=self._reading_alive(state, t, where))
        if where is None or bool(where.all()):
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                return self._iterate(state, state.memory.fork(), t, next_t, last, exit, read, layer)
        if not bool(where.any()):
            return state
        selection = Selection.of(where)
        if compact:
            part = select(state, selection)
            if isinstance(last, Tensor):
                last = selection.take(last)
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                part = self._iterate(part, part.memory, t, None, last, exit, read, layer)
        else:
            with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
                whole = self._iterate(state, state.memory.fork(hold=~where), t, None, last, exit, read, layer)
            part = select(whole, selection)
        return merge(state, part, selection)

    def _iterate(
        self,
        state: LoopState,
        memory: Memory,
        t: int,
        next_t: int | None,
        last: bool | Tensor,
        exit: Exit | None,
        read: Read | None,
        layer: int | None,
    ) -> LoopState:
        frame = replace(state.frame, t=t, memory=memory, path=("core",))
        positions = frame.position_ids(state.h)
        prepared = state.x is not None and state.x_for == t
        x = state.x if prepared else self._combine(state.h, state.e, t, positions)
        assert x is not None
        u = x
        with self.depth_adapter.active(t):
            for i in range(len(self.layers)) if layer is None else (layer,):
                u = self.layers[i](u, frame.at(i))
                frame.record(u, "core", t, i)
        y, carry = self.update(state.h, self.depth_adapter(u, t), state.carry)
        next_x = None
        if next_t is None or not self.depth_signal.additive:
            h, next_t = self.injection.inject(state.h, state.e, y), None
        else:
            h, next_x = self.injection.advance(state.h, state.e, y, self.depth_signal(next_t, positions))
        frame.record(h, "core", t)
        stopped, exit_state = state.stopped, state.exit
        if exit is not None:
            assert read is not None
            exit_state = exit.observe(state.exit or exit.start(state.h), state.h, h, read)
            stopped = exit_state.stopped
            last = stopped | last
        halting = self.halting.observe(state.halting, h, x=x, last=last)
        if self.halting.freezes:
            stopped = halting.halted if stopped is None else stopped | halting.halted
        return replace(
            state,
            h=h,
            halting=halting,
            memory=memory,
            executed=state.executed + 1,
            stopped=stopped,
            exit=exit_state,
            carry=carry,
            x=next_x,
            x_for=next_t,
            num_loops=state.num_loops + 1,
        )

    def forward(
        self,
        e: Tensor,
        frame: Frame | None = None,
        iterations: Iterations | None = None,
        *,
        past: Past | None = None,
        exit: Exit | None = None,
        read: Read | None = None,
        compact: bool = True,
    ) -> LoopState:
        """Run the loop.

        Args:
            e: The input, ``(batch, positions, width)``.
            frame: The mask, positions and tokens of this pass.
            iterations: How often, in which order; ``None`` runs the sampler's mean. In training mode, iterations
                before the gradient window run without a graph, so memory follows the window.
            past: Keys and values of earlier calls, for cached decoding.
            exit: The rule that stops positions, outside training; ``None`` takes the declared one.
            read: From a state to the model's logits, for exit rules that need them.
            compact: Spend nothing on positions that have stopped. Without it they are computed and put back.

        Returns:
            The state after the last iteration; ``state.halting.readout`` is what the coda reads. Outside
            training the loop ends early once every position has halted.

        Raises:
            ValueError: No iteration is asked for, or the exit rule needs logits and ``read`` is missing.
        """
        rule = self._exit_rule(exit, read)
        order, counts = self._order(iterations, e)
        keeps = rule is not None or self.halting.freezes or counts is not None
        state = self.start(e, frame, past=past, keeps=keeps)
        for i, (t, layer) in enumerate(order):
            if self.training and self.gradient.detaches(i, len(order)):
                state = detach(state)
            next_t = order[i + 1][0] if i + 1 < len(order) and layer is None else None
            last = i + 1 == len(order) if counts is None else i + 1 == counts
            for where, graph in self._parts(i, len(order), counts, state.stopped):
                if graph and not state.h.requires_grad:
                    state = replace(state, x=None)  # prepared without a graph, and e must get gradient here
                state = self.step(
                    state, t, next_t=next_t, last=last, where=where, compact=compact, graph=graph, exit=rule,
                    read=read, layer=layer,
                )  # fmt: skip
            if _all_stopped(state) or (not self.training and _all_halted(state)):
                break
        if self.training and torch.is_grad_enabled() and self.gradient.needs_last_state:
            state = self._attach(state, order[-1])
        return state

    def _combine(self, h: Tensor, e: Tensor, t: int, positions: Tensor) -> Tensor:
        out: Tensor = self.injection.combine(self.depth_signal.transform(h, t), e, self.depth_signal(t, positions))
        return out

    def _attach(self, state: LoopState, step: tuple[int, int | None]) -> LoopState:
        def again(h: Tensor) -> Tensor:
            start = replace(state, h=h, x=None)
            return self._iterate(start, state.memory.fork(), step[0], None, True, None, None, step[1]).h

        h = self.gradient.attach(state.h, again)
        return replace(state, h=h, halting=replace(state.halting, readout=h))

    def _parts(
        self, i: int, num_loops: int, counts: Tensor | None, stopped: Tensor | None
    ) -> list[tuple[Tensor | None, bool]]:
        """The positions to run in the i-th iteration, ``None`` for all that have not stopped; whether with a graph."""
        if counts is None:
            return [(None, not self.training or i >= num_loops - self.gradient.window(num_loops))]
        running = i < counts if stopped is None else ~stopped & (i < counts)
        if not self.training:
            return [(running, True)]
        if self.loops_per == "token":
            return [(running, i >= num_loops - self.gradient.window(num_loops))]
        # Sequences do not read each other, so each can have its own window.
        windows = torch.tensor([self.gradient.window(n) for n in counts[:, 0].tolist()], device=counts.device)
        inside = i >= counts - windows[:, None]
        return [(running & ~inside, False), (running & inside, True)]

    def _order(self, iterations: Iterations | None, e: Tensor) -> tuple[list[tuple[int, int | None]], Tensor | None]:
        """Iteration indices with the layer to apply, and loop counts ``(batch, positions)`` where they differ."""
        counts = None
        if iterations is None:
            iterations = self.loops.eval_loops
        if isinstance(iterations, Tensor):
            counts = iterations.to(e.device)
            counts = (counts[:, None] if counts.dim() == 1 else counts).expand(e.shape[:2])
            if int(counts.min()) < 1:
                raise ValueError(f"the loop needs at least one iteration, not {int(counts.min())}")
            iterations = int(counts.max())
        order = range(iterations) if isinstance(iterations, int) else iterations
        if len(order) < 1:
            raise ValueError(f"the loop needs at least one iteration, not {iterations}")
        if self.tying == "cycle" or len(self.layers) == 1:
            return [(t, None) for t in order], counts
        if counts is not None:
            raise ValueError("tying 'sequence' runs one loop count for all positions")
        return [(t, layer) for layer in range(len(self.layers)) for t in order], None

    def _exit_rule(self, exit: Exit | None, read: Read | None) -> Exit | None:
        rule = self.exit if exit is None else exit
        if self.training or rule.kind == "none":
            return None
        if rule.reads_logits and read is None:
            raise ValueError(f"exit {rule.kind!r} reads logits; run it through the model, or pass read")
        return rule

    def _reading_alive(self, state: LoopState, t: int, where: Tensor | None) -> Frame:
        """The frame in which keys of positions that do not run iteration ``t`` cannot be read."""
        alive = torch.ones_like(state.executed, dtype=torch.bool) if where is None else where
        readable = alive if state.memory.past is None else state.memory.past.alive(t, alive)
        return replace(state.frame, mask=state.frame.mask.reading(readable, alive.shape[1]))


def _all_halted(state: LoopState) -> bool:
    halted = state.halting.halted
    return halted is not None and not halted.is_meta and bool(halted.all())


def _any_stopped(state: LoopState) -> bool:
    return state.stopped is not None and not state.stopped.is_meta and bool(state.stopped.any())


def _all_stopped(state: LoopState) -> bool:
    return state.stopped is not None and not state.stopped.is_meta and bool(state.stopped.all())
