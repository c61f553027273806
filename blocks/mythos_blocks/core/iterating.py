"""The equations of a loop: what an iteration makes of a state, for positions that compute together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mythos_blocks.core.iterations import Prepared, Step
from mythos_blocks.core.moved import Moved
from mythos_blocks.declaring.component import Module
from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.depth_signal.base import DepthSignal
from mythos_blocks.frame.frame import Frame
from mythos_blocks.initial_state.base import InitialState
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.plain import is_plain
from mythos_blocks.tensors.precision import in_dtype
from mythos_blocks.tensors.tracing import constant_in_graphs
from mythos_blocks.update.base import Update


class Iterating(Module):
    """What a loop computes in one iteration, whoever asks for it, and where it begins.

    Attributes:
        layers: The core.
        order: Which layer runs at each place of an iteration.
    """

    layers: nn.ModuleList
    order: tuple[int, ...]
    input_norm: nn.Module
    injection: Injection
    update: Update
    depth_signal: DepthSignal
    depth_adapter: DepthAdapter
    initial_state: InitialState

    def begin(self, e: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor | None]:
        """The input as it is injected, the state before the first iteration, and what is carried into it.

        Args:
            e: What the prelude made, ``(batch, positions, width)``.
            frame: The positions that these are.
        """
        if self.depth_adapter.inner() is not None:
            self._meet_linears()
        e = self.input_norm(e)
        h = self.initial_state(e, frame)
        return e, h, self._first_carry(h, e, frame)

    @constant_in_graphs
    def _meet_linears(self) -> bool:
        """Have updates by loop meet what has been put in the place of their linears: now, where a graph is recorded."""
        if (inner := self.depth_adapter.inner()) is not None:
            inner.keep_hold(self.layers)
        return True

    def _first_carry(self, h: Tensor, e: Tensor, frame: Frame) -> Tensor | None:
        """What is carried into the first iteration beyond the state."""
        return self.update.start(h)

    def _iterate(
        self, h: Tensor, e: Tensor, carry: Tensor | None, frame: Frame, step: Step, x: Tensor | None = None
    ) -> Moved:
        """One iteration of these positions: the equations of the loop.

        What components return is brought to the state's dtype, so that the recurrence has one precision, whatever
        autocast makes of their products.

        Args:
            h: The state, ``(batch, positions, state_width)``.
            e: The input.
            carry: What the update remembers.
            frame: The frame of the core.
            step: The iteration.
            x: What the core reads, where it is prepared.
        """
        assert frame.index is not None
        t, positions, injection = frame.index, frame.position_ids(h), self.injection
        prepared = None if step.prepared is None else step.prepared.at_hand()
        if x is None:
            x = injection(self.depth_signal.transform(h, t), e, self._signal(h, t, positions), t)
            x = in_dtype(x, h.dtype)
        u = x
        for place, i in enumerate(self.order) if step.layer is None else ((step.layer, step.layer),):
            u = self.layers[i](u, frame.at(place))
            frame.record(u, "core", step.t, place)
        y, after = self.update(h, self.depth_adapter(u, t), carry, t)
        y, after = in_dtype(y, h.dtype), after if after is None or carry is None else in_dtype(after, carry.dtype)
        signals = self.depth_signal
        # Where somebody watches either part by a hook, an iteration does not end with what the next one begins with.
        if step.next_t is None or not (
            signals.additive and is_plain(injection, type(injection)) and is_plain(signals, type(signals))
        ):
            return Moved(in_dtype(self._inject(h, e, y, t, prepared), h.dtype), after, x)
        next_t = step.index(step.next_t, h.device)
        with_it = {} if prepared is None else {"prepared": prepared}
        signal = self._signal(h, next_t, positions)
        new, next_x = injection.advance(h, e, y, signal, t, next_t, **with_it)
        return Moved(in_dtype(new, h.dtype), after, x, in_dtype(next_x, h.dtype))

    def iterate(
        self, h: Tensor, e: Tensor, carry: Tensor | None, frame: Frame, step: Step, depths: Sequence[int] | None = None
    ) -> Moved:
        """One iteration of positions that are in no pass, and that nobody observes.

        Args:
            h: Their states, ``(batch, positions, state_width)``.
            e: Their inputs, as :meth:`start` gives them.
            carry: What the update remembers.
            frame: The frame of the core, with its ``index``, and a page for keys and values.
            step: The iteration.
            depths: The iteration of each row, where they differ; nothing but the depth signal may then read it.
        """
        x = None if depths is None else self._read_at(depths, h, e, frame)
        return self._iterate(h, e, carry, frame, step, x)

    def _read_at(self, depths: Sequence[int], h: Tensor, e: Tensor, frame: Frame) -> Tensor:
        """What the core reads of rows in an iteration of their own each."""
        assert frame.index is not None
        signals, positions = self.depth_signal, frame.position_ids(h)
        indices = {depth: index_tensor(depth, h) for depth in set(depths)}
        if not signals.additive:
            turned = {depth: signals.transform(h, t) for depth, t in indices.items()}
            h = torch.stack([turned[depth][i] for i, depth in enumerate(depths)])
        told = {depth: self._signal(h, t, positions) for depth, t in indices.items()}
        added = [
            signal if signal is None or signal.dim() == 1 else signal[i, 0]
            for i, signal in enumerate(told[depth] for depth in depths)
        ]
        signal = None if added[0] is None else torch.stack(added).unsqueeze(1)  # type: ignore[arg-type]
        x: Tensor = self.injection(h, e, signal, frame.index)
        return in_dtype(x, h.dtype)

    def prepared(self) -> Prepared | None:
        """What the injection makes of its weights once, where a pass may read them past its module."""
        injection = self.injection
        is_own = isinstance(injection, Injection) and is_plain(injection, type(injection))
        return Prepared(injection) if is_own else None

    def _inject(self, h: Tensor, e: Tensor, y: Tensor, t: Tensor, prepared: Tensor | None = None) -> Tensor:
        """The next state, by a call of the injection as a module where its weights are not there otherwise."""
        injection = self.injection
        if type(injection).inject is not Injection.inject and injection.is_away:
            after: Tensor = injection(h, e, None, t, y)
            return after
        return injection.inject(h, e, y, t, **({} if prepared is None else {"prepared": prepared}))

    def _signal(self, h: Tensor, t: Tensor, positions: Tensor) -> Tensor | None:
        """The depth signal in the state's dtype: its angles are exact, and its sum with the state is the state's."""
        signal: Tensor | None = self.depth_signal(t, positions)
        return None if signal is None else in_dtype(signal, h.dtype)


def index_tensor(t: int, like: Tensor) -> Tensor:
    """An iteration's index as a tensor, made on its device."""
    return torch.full((), t, dtype=torch.long, device=like.device)
