"""The loop: one object with one step function, which can also be driven from outside."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.core.again import Beginning
from mythos_blocks.core.iterating import Iterating
from mythos_blocks.core.iterations import Iterations, Plan, ReadAt, Step
from mythos_blocks.core.state import LoopState
from mythos_blocks.core.state_site import StateSite
from mythos_blocks.core.stepping import Stepping
from mythos_blocks.core.stopping import keeps_apart, run_apart
from mythos_blocks.core.straight import is_straight, run_straight
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
from mythos_blocks.declaring.types import Count, Layers, NoneOrMore
from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.memory import Past
from mythos_blocks.frame.places import turnings
from mythos_blocks.frame.selection import Where
from mythos_blocks.gradient.base import GradientPolicy
from mythos_blocks.halting.base import all_halted
from mythos_blocks.stack.sequence import in_order, in_turn


@component("core", "loop")
class Loop(Stepping):
    """The core: layers with one set of weights, applied many times; its parts are declared as a model's are.

    Iteration t is ``x = injection.combine(h, e, signal[t], t)``, ``u = adapter(layers(x), t)``,
    ``h = injection.inject(h, e, update(h, u, t), t)``, after which exit and halting see h.

    Args:
        width: Channels of what the prelude makes, and of the state unless ``state_width`` says otherwise.
        depth: Layers in the core.
        layer: What each layer is.
        alternate: What every second layer is instead; ``null`` for all alike.
        schedule: Layers in the order in which an iteration runs them, counted from 0, some of them more than once;
            ``null`` runs each once.
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
        ValueError: ``gradient`` needs the last state as readout, and ``halting`` mixes several or ``loops_per`` lets it
            differ; or ``tying: sequence``, whose iterations are of one layer each, meets a rule that stops positions.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Layers = 1,
        layer: LayerSlot = "pre_norm",
        alternate: LayerSlot | None = None,
        schedule: list[NoneOrMore] | None = None,
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
        self.order = in_order(schedule, depth)
        self.kv_policy.num_layers = len(self.order)
        if schedule is not None and tying == "sequence":
            raise ValueError("schedule says the order of an iteration's layers, which tying 'sequence' runs one by one")
        self.gradient = build(gradient, self.loops)
        self.stabilizer = build(stabilizer)
        self.state_site = StateSite()
        self.turnings = turnings(self.layers.modules())
        self.reads_over_depth = any(isinstance(m, Module) and m.reads_memory for m in self.layers.modules())
        ends = [int(m.reach) for m in self.modules() if getattr(m, "beyond", None) == "error" and m.reach]  # type: ignore[arg-type]
        self.last_index: int | None = min(ends) - 1 if ends else None
        if self.gradient.needs_last_state and self.halting.kind != "none":
            raise ValueError(f"gradient {self.gradient.kind!r} needs the last state; halting must be 'none'")
        if self.gradient.needs_last_state and loops_per != "batch":
            raise ValueError(f"gradient {self.gradient.kind!r} needs one last state; loops_per must be 'batch'")
        if tying == "sequence" and depth > 1:
            self._check_sequence()

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
            ValueError: No iteration is asked for, or one beyond a table that ends in an error; the exit rule needs
                logits and ``read`` is missing; or loop counts differ where one is needed.
        """
        rule = self.exit_rule(exit, read)
        plan = Plan.of(self.loops.eval_loops if iterations is None else iterations, e.shape[:2], e.device)
        self._check_plan(plan)
        if self.tying == "sequence":
            plan = replace(plan, order=[t for _ in self.layers for t in plan.order])
        num_steps = len(plan.order)
        keeps = rule is not None or self.halting.freezes or not plan.is_even
        state = self.start(e, frame, past=past, keeps=keeps, num_loops=num_steps)
        window = self.gradient.window if self.training else None
        ends_early = not self.training and past is None
        num_learning = num_steps if window is None else window(num_steps)
        may_pass = self.iterates_as_declared()
        if may_pass and rule is None and is_straight(self, plan, state, past):
            state = run_straight(self, state, plan, num_learning, ends_early)
        elif may_pass and compact and keeps_apart(self, plan, state, past, window is not None):
            state = run_apart(self, state, plan, num_learning, ends_early, rule, read)
        else:
            beginning = Beginning.of(state) if self._recomputes_now() else None
            for i, step in enumerate(self._steps(plan, rule, read)):
                parts = list(plan.parts(i, window, state.stopped))
                if self.training and self.gradient.detaches(i, num_steps):
                    state = state.detached(Where.union([part.where for part in parts]))
                before, state = state, self._run(state, step, parts, compact)
                if beginning is not None and not any(part.graph for part in parts):
                    beginning.goes_on(step.t, functools.partial(self._run, step=step, parts=parts, compact=compact))
                if state is before or (ends_early and self.has_halted(state)):
                    break
        if self.training and torch.is_grad_enabled() and self.gradient.needs_last_state:
            last = Step(plan.order[-1])
            h = self.gradient.attach(state.h, lambda h: self._again(state, last, h))
            state = replace(state, h=h, halting=replace(state.halting, readout=h))
        return state

    def iterates_as_declared(self) -> bool:
        """Whether the iterations of this pass are of all layers each, and nothing is done between or to them."""
        one_after_the_other = self.tying == "sequence" and len(self.layers) > 1
        detaches = self.training and type(self.gradient).detaches is not GradientPolicy.detaches
        own = type(self)._iterate is not Iterating._iterate or self._recomputes_now()
        return not (one_after_the_other or detaches or own)

    def _recomputes_now(self) -> bool:
        """Whether this pass is one whose iterations are not kept."""
        return self.recomputes and self.training and torch.is_grad_enabled()

    def _steps(self, plan: Plan, rule: Exit | None, read: ReadAt | None) -> Iterator[Step]:
        """The iterations of a pass."""
        cycle, per_layer = self.tying == "cycle", len(plan.order) // len(self.layers)
        prepared = self.prepared()
        indices: dict[int, Tensor] = {}
        for i, t in enumerate(plan.order):
            yield Step(
                t,
                next_t=plan.order[i + 1] if cycle and i + 1 < len(plan.order) else None,
                last=plan.last(i),
                layer=None if cycle else i // per_layer,
                exit=rule,
                read=read,
                prepared=prepared,
                indices=indices,
            )

    def has_halted(self, state: LoopState) -> bool:
        """Whether every position that counts has halted, so that the readout changes no more."""
        return all_halted(state.halting, state.frame.real)

    def _check_plan(self, plan: Plan) -> None:
        if plan.is_even:
            return
        if self.tying == "sequence" and len(self.layers) > 1:
            raise ValueError("tying 'sequence' runs one loop count for all positions")
        if self.training and self.gradient.needs_last_state:
            raise ValueError(f"gradient {self.gradient.kind!r} needs one loop count for all positions")

    def _check_sequence(self) -> None:
        """Refuse what may stop a position in the middle of the layers, of which the later ones would then never run."""
        why = "tying 'sequence' runs the layers one after the other, and every position as often"
        for slot, part in (("halting", self.halting), ("exit", self.exit)):
            if part.kind != "none":
                raise ValueError(f"{why}; {slot} must be 'none', not {part.kind!r}")
        if self.loops_per != "batch":
            raise ValueError(f"{why}; loops_per must be 'batch', not {self.loops_per!r}")

    def exit_rule(self, exit: Exit | None, read: ReadAt | None) -> Exit | None:
        rule = self.exit if exit is None else exit
        if self.training or rule.kind == "none":
            return None
        if self.tying == "sequence" and len(self.layers) > 1:
            raise ValueError(
                f"tying 'sequence' runs the layers one after the other, which exit {rule.kind!r} cuts short"
            )
        if rule.reads_logits and read is None:
            raise ValueError(f"exit {rule.kind!r} reads logits; run it through the model, or pass read")
        return rule

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
