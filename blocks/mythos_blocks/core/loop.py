"""The loop: one object with one step function, which can also be driven from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.core.iterations import Iterations, ReadAt, Step, plan
from mythos_blocks.core.state import LoopState, detach, merge, select
from mythos_blocks.declaring.component import Module, component
from mythos_blocks.declaring.slots import (
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
    StabilizerSlot,
    UpdateSlot,
)
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Count
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.memory import Memory, Past
from mythos_blocks.frame.selection import Selection
from mythos_blocks.stack.sequence import in_turn


@component("core", "loop")
class Loop(Module):
    """The core: layers with one set of weights, applied many times.

    Iteration t is ``x = injection.combine(h, e, signal[t])``, ``u = adapter(layers(x), t)``,
    ``h = injection.inject(h, e, update(h, u))``, after which halting sees h.

    Args:
        depth: Layers in the core.
        layer: What each layer is.
        alternate: What every second layer is instead; ``null`` for all alike.
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
        stabilizer: What is done to the layers' weights after every step.

    Raises:
        ValueError: ``gradient`` needs the last state as readout, and ``halting`` mixes several.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Count = 1,
        layer: LayerSlot = "pre_norm",
        alternate: LayerSlot | None = None,
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
        stabilizer: StabilizerSlot = "none",
    ) -> None:
        super().__init__()
        self.loops, self.loops_per, self.tying = build(loops), loops_per, tying
        self.state_width = inner = state_width or width
        reach = self.loops.max_loops
        self.layers = nn.ModuleList(build(spec, inner, reach) for spec in in_turn(depth, layer, alternate))
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
        self.stabilizer = build(stabilizer)
        self._reads_memory = any(isinstance(m, Module) and m.reads_memory for m in self.layers.modules())
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
        step = Step(step, last=last) if isinstance(step, int) else step
        if where is None and _any(state.stopped):
            where = ~state.stopped  # type: ignore[operator]
        if where is not None and not bool(where.any()):
            return state
        frame = state.frame
        if self.kv_policy.alive_only:
            state = replace(state, frame=self._reading_alive(state, step.t, where))
        with torch.set_grad_enabled(graph and torch.is_grad_enabled()):
            if where is None or bool(where.all()):
                after, selection = self._iterate(state, step, state.memory.fork()), None
            else:
                selection = Selection.of(where)
                if compact:
                    part = select(state, selection)
                    after = self._iterate(part, step.select(selection), part.memory)
                else:
                    after = select(self._iterate(state, step, state.memory.fork(hold=~where)), selection)
        after = replace(after if selection is None else merge(state, after, selection), frame=frame)
        frame.record(after.h, "core", step.t)
        return after

    def _iterate(self, state: LoopState, step: Step, memory: Memory) -> LoopState:
        """One iteration of all positions of ``state``, which writes to ``memory``."""
        frame = self._frame(state, step, memory)
        positions = frame.position_ids(state.h)
        prepared = state.x is not None and state.x_for == step.t
        x = u = state.x if prepared else self._combine(state.h, state.e, step.t, positions)
        assert x is not None and u is not None
        with self.depth_adapter.active(step.t):
            for i in range(len(self.layers)) if step.layer is None else (step.layer,):
                u = self.layers[i](u, frame.at(i))
                frame.record(u, "core", step.t, i)
        y, carry = self.update(state.h, self.depth_adapter(u, step.t), state.carry)
        if step.next_t is None or not self.depth_signal.additive:
            return self._finish(state, step, memory, x, self.injection.inject(state.h, state.e, y), carry)
        h, next_x = self.injection.advance(state.h, state.e, y, self._signal(state.h, step.next_t, positions))
        return replace(self._finish(state, step, memory, x, h, carry), x=next_x, x_for=step.next_t)

    def _frame(self, state: LoopState, step: Step, memory: Memory) -> Frame:
        # A memory that nobody will read would only make a compiled layer depend on the iteration.
        needed = self._reads_memory or memory.needed
        return replace(state.frame, t=step.t, memory=memory if needed else None, path=("core",))

    def _combine(self, h: Tensor, e: Tensor, t: int, positions: Tensor) -> Tensor:
        out: Tensor = self.injection.combine(self.depth_signal.transform(h, t), e, self._signal(h, t, positions))
        return out

    def _signal(self, h: Tensor, t: int, positions: Tensor) -> Tensor | None:
        """The depth signal in the state's dtype: its angles are exact, and its sum with the state is the state's."""
        signal: Tensor | None = self.depth_signal(t, positions)
        return None if signal is None else signal.to(h.dtype)

    def _finish(
        self, state: LoopState, step: Step, memory: Memory, x: Tensor, h: Tensor, carry: Tensor | None
    ) -> LoopState:
        """The state after an iteration that read ``x`` and made ``h``, once exit and halting have seen it."""
        stopped, exit_state, last = state.stopped, state.exit, step.last
        if step.exit is not None:
            read, frame = step.read or _no_logits, replace(state.frame, memory=memory)
            before = state.exit or step.exit.start(state.h)
            exit_state = step.exit.observe(before, state.h, h, lambda h: read(h, frame))
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
            x=None,
            num_loops=state.num_loops + 1,
        )

    def next_state(self, state: LoopState, h: Tensor) -> Tensor:
        """The state one iteration after ``h``, all else as in ``state``: the map in whose fixed points loops settle."""
        return self._iterate(replace(state, h=h, x=None), Step(state.num_loops), state.memory.fork()).h

    def forward(
        self,
        e: Tensor,
        frame: Frame | None = None,
        iterations: Iterations | None = None,
        *,
        past: Past | None = None,
        exit: Exit | None = None,
        read: ReadAt | None = None,
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
            read: From a state, and the frame that it stands in, to the model's logits, for exit rules that need them.
            compact: Spend nothing on positions that have stopped. Without it they are computed and put back.

        Returns:
            The state after the last iteration; ``state.halting.readout`` is what the coda reads. Outside
            training the loop ends early once every position has halted, unless later calls may still read the keys
            and values of positions that have halted and run on.

        Raises:
            ValueError: No iteration is asked for, or the exit rule needs logits and ``read`` is missing.
        """
        rule = self._exit_rule(exit, read)
        order, counts = plan(self.loops.eval_loops if iterations is None else iterations, e.shape[:2], e.device)
        if counts is not None and self.tying == "sequence":
            raise ValueError("tying 'sequence' runs one loop count for all positions")
        layers = [None] if self.tying == "cycle" else range(len(self.layers))
        steps = [Step(t, layer=layer, exit=rule, read=read) for layer in layers for t in order]
        num_loops = len(steps)
        state = self.start(e, frame, past=past, keeps=rule is not None or self.halting.freezes or counts is not None)
        for i, step in enumerate(steps):
            if self.training and self.gradient.detaches(i, num_loops):
                state = detach(state)
            if i + 1 < num_loops and self.tying == "cycle":
                step = replace(step, next_t=order[i + 1])
            step = replace(step, last=i + 1 == num_loops if counts is None else i + 1 == counts)
            for where, graph in self._parts(i, num_loops, counts, state.stopped):
                if graph and torch.is_grad_enabled() and not state.h.requires_grad:
                    state = replace(state, x=None)  # prepared without a graph, and e must get gradient here
                state = self.step(state, step, where=where, compact=compact, graph=graph)
            if _all(state.stopped) or (not self.training and past is None and _all(state.halting.halted)):
                break
        if self.training and torch.is_grad_enabled() and self.gradient.needs_last_state:
            state = self._attach(state, steps[-1])
        return state

    def _parts(
        self, i: int, num_loops: int, counts: Tensor | None, stopped: Tensor | None
    ) -> list[tuple[Tensor | None, bool]]:
        """The positions to run in the i-th iteration, ``None`` for all that have not stopped; whether with a graph."""
        graph = not self.training or i >= num_loops - self.gradient.window(num_loops)
        if counts is None:
            return [(None, graph)]
        running = i < counts if stopped is None else ~stopped & (i < counts)
        if not self.training or self.loops_per == "token":
            return [(running, graph)]
        # Sequences do not read each other, so each can have its own window.
        windows = torch.tensor([self.gradient.window(n) for n in counts[:, 0].tolist()], device=counts.device)
        inside = i >= counts - windows[:, None]
        return [(running & ~inside, False), (running & inside, True)]

    def _attach(self, state: LoopState, step: Step) -> LoopState:
        def again(h: Tensor) -> Tensor:
            return self._iterate(replace(state, h=h, x=None), step, state.memory.fork()).h

        h = self.gradient.attach(state.h, again)
        return replace(state, h=h, halting=replace(state.halting, readout=h))

    def _exit_rule(self, exit: Exit | None, read: ReadAt | None) -> Exit | None:
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

    def draw(self, generator: torch.Generator, shape: torch.Size) -> int | Tensor:
        """The loop counts of a training step for tokens of this shape, ``(batch, positions)``.

        Returns:
            One count; or ``(batch,)`` or ``(batch, positions)`` counts, as ``loops_per`` says.
        """
        if self.loops_per == "batch":
            return int(self.loops.sample(generator))
        size = shape[:1] if self.loops_per == "sequence" else shape[:2]
        counts: Tensor = self.loops.draw(generator, size.numel())
        return counts.view(size)

    def after_step(self) -> None:
        self.stabilizer.apply(self.layers)


def _any(flags: Tensor | None) -> bool:
    return flags is not None and not flags.is_meta and bool(flags.any())


def _all(flags: Tensor | None) -> bool:
    return flags is not None and not flags.is_meta and bool(flags.all())


def _no_logits(h: Tensor, frame: Frame) -> Tensor:
    raise ValueError("the exit rule reads logits, and the step was not given a way to read them")
