"""A loop over two states, one of which moves faster than the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from mythos_blocks.core.iterations import Step
from mythos_blocks.core.loop import Loop
from mythos_blocks.core.moved import Moved
from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.slots import (
    ExitSlot,
    GradientSlot,
    HaltingSlot,
    InitialStateSlot,
    InterfaceSlot,
    KVPolicySlot,
    LayerSlot,
    LoopsSlot,
    NormSlot,
    StabilizerSlot,
)
from mythos_blocks.declaring.spec import build
from mythos_blocks.declaring.types import Layers, Loops, NoneOrMore
from mythos_blocks.frame.frame import Frame
from mythos_blocks.tensors.gradients import recorded_for_backward
from mythos_blocks.tensors.precision import in_dtype


@component("core", "hierarchical")
class HierarchicalLoop(Loop):
    """A high and a low state: the low one moves ``num_low_cycles`` times for each move of the high one.

    One iteration, a segment, is ``num_high_cycles`` times: ``z_L = low(z_L + z_H + e)``, repeated, then
    ``z_H = high(z_H + z_L)`` (HRM, arXiv 2506.21734; TRM, arXiv 2510.04871, where one net is both). z_H is the state
    that halting, the coda and the next segment see.

    Args:
        width: Channels of what the prelude makes, and of the state unless ``state_width`` says otherwise.
        depth: Layers of a net; of the low one alone where ``high_depth`` is given.
        high_depth: Layers of the high net (HRM's ``H_layers``); ``null`` takes ``depth``.
        layer: What each layer is. Both systems normalise after the sums, without a gain. Layers that do not let the
            states grow without bound, since every move adds them up.
        shared: One net for both roles, as in TRM.
        injects: Whether e is added to every low move; HRM-Text does not, whose z_H begins as e.
        num_high_cycles: Moves of the high state in a segment (HRM 2, TRM 3).
        num_low_cycles: Moves of the low state for each of the high one (HRM 2, TRM 6).
        cycle_gradient: What of a segment gets gradient: ``full``, the ``last_cycle`` of the high state (TRM), or the
            ``last_update`` of either state (HRM's one-step gradient).
        low_gradient: For each move of the high state how many of the low moves before it, the last ones, get gradient,
            while all high moves do (HRM-Text's ``L_bp_cycles``, arXiv 2605.20613); ``null`` goes by ``cycle_gradient``.
        net_norm: The normalisation of what a net returns, one for each net (HRM-Text's ``final_norm``).
        loops: How many segments a training step runs.
        loops_per: Whether a training step draws one count for the ``batch``, or for each ``sequence`` or ``token``.
        input_norm: The normalisation of e.
        initial_state: z_H before the first segment.
        initial_low_state: z_L before the first segment.
        halting: Which segments the readout weighs.
        exit: When a position stops outside training.
        interface: What the coda reads of z_H.
        kv_policy: Which segments share keys and values.
        gradient: Which segments a training step differentiates; ``segments`` of length 1 with an objective over
            every iteration is deep supervision.
        stabilizer: What is done to the layers' weights after every step.

    Raises:
        ValueError: ``high_depth`` differs from ``depth`` where one net is both; ``low_gradient`` has more or fewer
            numbers than there are high moves; the key-value policy counts layers; or as :class:`Loop` says.
    """

    def __init__(
        self,
        width: int,
        *,
        depth: Layers = 2,
        high_depth: Layers | None = None,
        layer: LayerSlot = "post_norm",
        shared: bool = False,
        injects: bool = True,
        num_high_cycles: Loops = 2,
        num_low_cycles: Loops = 2,
        cycle_gradient: Literal["full", "last_cycle", "last_update"] = "last_cycle",
        low_gradient: list[NoneOrMore] | None = None,
        net_norm: NormSlot = "none",
        loops: LoopsSlot = "fixed",
        loops_per: Literal["batch", "sequence", "token"] = "batch",
        input_norm: NormSlot = "none",
        initial_state: InitialStateSlot = "zeros",
        initial_low_state: InitialStateSlot = "zeros",
        halting: HaltingSlot = "none",
        exit: ExitSlot = "none",
        interface: InterfaceSlot = "none",
        kv_policy: KVPolicySlot = "per_loop",
        gradient: GradientSlot = "window",
        stabilizer: StabilizerSlot = "none",
    ) -> None:
        super().__init__(
            width,
            depth=depth,
            layer=layer,
            loops=loops,
            loops_per=loops_per,
            input_norm=input_norm,
            initial_state=initial_state,
            halting=halting,
            exit=exit,
            interface=interface,
            kv_policy=kv_policy,
            gradient=gradient,
            stabilizer=stabilizer,
        )
        self.num_high_cycles, self.num_low_cycles = num_high_cycles, num_low_cycles
        self.cycle_gradient, self.injects = cycle_gradient, injects
        self.high_layers = (
            self.layers
            if shared
            else nn.ModuleList(build(layer, width, self.loops.max_loops) for _ in range(high_depth or depth))
        )
        if shared and high_depth not in (None, depth):
            raise ValueError(f"high_depth={high_depth} differs from depth={depth}, and shared=True has one net")
        self.low_norm = build(net_norm, width, self.loops.max_loops)
        self.high_norm = self.low_norm if shared else build(net_norm, width, self.loops.max_loops)
        if low_gradient is not None and len(low_gradient) != num_high_cycles:
            raise ValueError(f"low_gradient={low_gradient} needs num_high_cycles={num_high_cycles} numbers")
        if getattr(self.kv_policy, "counts", "iterations") == "layers":
            raise ValueError("kv_policy counts='layers' numbers the layers of one stack; core must be 'loop'")
        self.low_gradient = low_gradient
        self.initial_low_state = build(initial_low_state, width, width)
        if not injects and not (self.initial_state.reads_input or self.initial_low_state.reads_input):
            raise ValueError("injects=False leaves the input out; initial_state or initial_low_state must be 'input'")
        whole = num_high_cycles == 1 if cycle_gradient == "last_cycle" else cycle_gradient == "full"
        if low_gradient is not None:
            whole = min(low_gradient) >= num_low_cycles
        self.cuts_gradient = not whole
        if self.gradient.needs_last_state and self.cuts_gradient:
            raise ValueError(
                f"gradient {self.gradient.kind!r} differentiates whole iterations, of which cycle_gradient="
                f"{cycle_gradient!r} or low_gradient leaves out a part; use 'full' and null"
            )

    def _first_carry(self, h: Tensor, e: Tensor, frame: Frame) -> Tensor:
        low: Tensor = self.initial_low_state(e, frame)
        return low

    def after_step(self) -> None:
        super().after_step()
        if self.high_layers is not self.layers:
            self.stabilizer.apply(self.high_layers)

    def _iterate(
        self, h: Tensor, e: Tensor, carry: Tensor | None, frame: Frame, step: Step, x: Tensor | None = None
    ) -> Moved:
        low, high = carry, h
        assert low is not None
        recording = torch.is_grad_enabled()
        for cycle in range(self.num_high_cycles):
            final = cycle + 1 == self.num_high_cycles
            for move in range(self.num_low_cycles):
                graph = recording and (self._low_learns(cycle, move) or not self.training)
                read = low + high + e if self.injects else low + high
                low = self._net(self.layers, self.low_norm, read, frame.at("low", cycle, move), graph)
            learns = final or self.cycle_gradient == "full" or self.low_gradient is not None
            graph = recording and (learns or not self.training)
            high = self._net(self.high_layers, self.high_norm, high + low, frame.at("high", cycle), graph)
        return Moved(in_dtype(high, h.dtype), low, e)

    def _low_learns(self, cycle: int, move: int) -> bool:
        """Whether training differentiates a low move."""
        if self.low_gradient is not None:
            return move >= self.num_low_cycles - self.low_gradient[cycle]
        final = cycle + 1 == self.num_high_cycles
        newest = final and move + 1 == self.num_low_cycles
        return {"full": True, "last_cycle": final, "last_update": newest}[self.cycle_gradient]

    def _net(self, layers: nn.ModuleList, norm: nn.Module, x: Tensor, frame: Frame, graph: bool) -> Tensor:
        """One move of a state."""
        with recorded_for_backward(graph):
            frame, dtype = replace(frame, graph=graph), x.dtype
            for i, layer in enumerate(layers):
                x = layer(x, frame.at(i))
                frame.record(x, "core", frame.t or 0, *frame.path[1:], i)
            x = norm(x, frame.index)
            return in_dtype(x, dtype)
