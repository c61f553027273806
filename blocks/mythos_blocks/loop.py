"""The loop: one object with one step function, which can also be driven from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from mythos_blocks.attention.mask import AttentionMask
from mythos_blocks.component import Module, component
from mythos_blocks.halting.base import HaltingState
from mythos_blocks.slots import (
    DepthAdapterSlot,
    DepthSignalSlot,
    HaltingSlot,
    InitialStateSlot,
    InjectionSlot,
    LayerSlot,
    LoopsSlot,
    UpdateSlot,
)
from mythos_blocks.spec import build
from mythos_blocks.types import Count


@dataclass
class LoopState:
    """What an iteration reads and writes.

    Attributes:
        h: The state, ``(batch, positions, width)``.
        e: The input that is injected, of the same shape.
        x: What the core will read in iteration ``x_for``, where the last one has prepared it already.
        x_for: The iteration index that ``x`` was prepared for.
        halting: What the halting rule has seen.
        num_loops: Iterations run.
    """

    h: Tensor
    e: Tensor
    halting: HaltingState
    x: Tensor | None = None
    x_for: int | None = None
    num_loops: int = 0


@component("core", "loop")
class Loop(Module):
    """The core: layers with one set of weights, applied many times.

    Iteration t is ``x = injection.combine(h, e, signal[t])``, ``u = adapter(layers(x), t)``,
    ``h = injection.inject(h, e, update(h, u))``, after which halting sees h.

    Args:
        depth: Layers in the core.
        layer: What each layer is.
        loops: How many iterations a training step runs, and how many of them get gradient.
        injection: How e enters every iteration.
        update: How the core's output becomes the next state.
        depth_signal: What tells the core which iteration it is in.
        depth_adapter: What changes the core from iteration to iteration.
        initial_state: The state before the first iteration.
        halting: Which iterations the readout weighs.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Count = 1,
        layer: LayerSlot = "pre_norm",
        loops: LoopsSlot = "fixed",
        injection: InjectionSlot = "none",
        update: UpdateSlot = "replace",
        depth_signal: DepthSignalSlot = "none",
        depth_adapter: DepthAdapterSlot = "none",
        initial_state: InitialStateSlot = "input",
        halting: HaltingSlot = "none",
    ) -> None:
        super().__init__()
        self.loops = build(loops)
        self.layers = nn.ModuleList(build(layer, width) for _ in range(depth))
        self.injection = build(injection, width)
        self.update = build(update, width)
        self.depth_signal = build(depth_signal, width, self.loops.max_loops)
        self.depth_adapter = build(depth_adapter, width, self.loops.max_loops)
        self.initial_state = build(initial_state, width)
        self.halting = build(halting, width)

    def start(self, e: Tensor) -> LoopState:
        """The state before the first iteration, from the input e ``(batch, positions, width)``."""
        h = self.initial_state(e)
        return LoopState(h=h, e=e, halting=self.halting.start(h))

    def step(
        self, state: LoopState, t: int, mask: AttentionMask, *, next_t: int | None = None, last: bool = False
    ) -> LoopState:
        """Run iteration ``t`` (0-based; any index, in any order).

        Args:
            state: The state to go on from; it is not changed.
            t: The iteration index that the depth signal and the adapter see.
            mask: Which positions may read which.
            next_t: The index that will follow, if known: the injection may then prepare its input, fused
                with the update of the state. Without it nothing but speed is lost.
            last: That no iteration follows, which halting rules may need to know.
        """
        prepared = state.x is not None and state.x_for == t
        x = state.x if prepared else self.injection.combine(state.h, state.e, self.depth_signal(t))
        assert x is not None
        for layer in self.layers:
            x = layer(x, mask)
        y = self.update(state.h, self.depth_adapter(x, t))
        next_x = None
        if next_t is None:
            h = self.injection.inject(state.h, state.e, y)
        else:
            h, next_x = self.injection.advance(state.h, state.e, y, self.depth_signal(next_t))
        frozen = self.halting.freeze(state.halting, state.h, h)
        if frozen is not None:
            h, next_x = frozen, None
        return LoopState(
            h=h,
            e=state.e,
            halting=self.halting.observe(state.halting, h, last=last),
            x=next_x,
            x_for=next_t,
            num_loops=state.num_loops + 1,
        )

    def forward(self, e: Tensor, mask: AttentionMask, iterations: int | Sequence[int] | None = None) -> LoopState:
        """Run the loop.

        Args:
            e: The input, ``(batch, positions, width)``.
            mask: Which positions may read which.
            iterations: A loop count, or the iteration indices in the order in which to run them. ``None``
                runs the sampler's mean. In training mode, iterations before the gradient window run
                without a graph, so memory follows the window.

        Returns:
            The state after the last iteration; ``state.halting.readout`` is what the coda reads. Outside
            training the loop ends early once every position has halted.

        Raises:
            ValueError: No iteration is asked for.
        """
        order = self._order(iterations)
        window = self.loops.window(len(order)) if self.training else len(order)
        state = self.start(e)
        for i, t in enumerate(order):
            graph = torch.is_grad_enabled() and i >= len(order) - window
            if graph and i == len(order) - window:
                state = replace(state, x=None)  # prepared without a graph, and e must get gradient here
            next_t = order[i + 1] if i + 1 < len(order) else None
            with torch.set_grad_enabled(graph):
                state = self.step(state, t, mask, next_t=next_t, last=next_t is None)
            if not self.training and _all_halted(state):
                break
        return state

    def _order(self, iterations: int | Sequence[int] | None) -> Sequence[int]:
        if iterations is None:
            iterations = self.loops.eval_loops
        order = range(iterations) if isinstance(iterations, int) else iterations
        if len(order) < 1:
            raise ValueError(f"the loop needs at least one iteration, not {iterations}")
        return order


def _all_halted(state: LoopState) -> bool:
    halted = state.halting.halted
    return halted is not None and not halted.is_meta and bool(halted.all())
