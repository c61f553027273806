"""Which iterations a pass runs, and what one of them is told."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.selection import Where
from mythos_blocks.injection.base import Injection
from mythos_blocks.tensors.once import once
from mythos_blocks.tensors.rows import check_index
from mythos_blocks.tensors.tracing import is_traced, outside_of_graphs

Iterations = int | Sequence[int] | Tensor
"""A loop count; or iteration indices in the order in which to run them; or, as a tensor, a loop count for each
sequence, ``(batch,)``, or for each position, ``(batch, positions)``."""


ReadAt = Callable[[Tensor, Frame], Tensor]
"""From a state, and the frame that its positions stand in, to the logits that the model would read from it."""


@dataclass(frozen=True)
class Step:
    """One iteration.

    Attributes:
        t: The iteration index that components are told, 0-based.
        next_t: The index that will follow, if known: the injection may then prepare its input, fused with the
            update of the state. Without it nothing but speed is lost.
        last: That no iteration follows, which halting rules may need to know; ``(batch, positions)`` booleans
            where it differs.
        layer: The one layer to apply, for ``tying: sequence``; ``None`` applies all.
        exit: The rule that may stop positions.
        read: From a state and its frame to the model's logits, for exit rules that need them.
        prepared: What the injection has made for all iterations of the pass; ``None`` where each makes its own.
        indices: Iteration indices as tensors, which the iterations of a pass share; each makes its own otherwise.
    """

    t: int
    next_t: int | None = None
    last: bool | Tensor = False
    layer: int | None = None
    exit: Exit | None = None
    read: ReadAt | None = None
    prepared: Prepared | None = None
    indices: dict[int, Tensor] = field(default_factory=dict)

    def index(self, t: int, device: torch.device) -> Tensor:
        """An iteration's index as a 0-dimensional tensor, made on its device once."""
        held = self.indices.get(t)
        if held is None:
            held = self.indices[t] = torch.full((), t, dtype=torch.long, device=device)
        return held


class Prepared:
    """What an injection makes of its weights once a pass: with a graph for iterations that have one, and without.

    Args:
        injection: The injection, whose weights do not change while it lasts.
    """

    def __init__(self, injection: Injection) -> None:
        self.injection = injection
        self._made: dict[bool, Tensor | None] = {}

    def at_hand(self) -> Tensor | None:
        """What :meth:`~mythos_blocks.injection.base.Injection.prepare` returns, as gradients are recorded now."""
        graph = torch.is_grad_enabled()
        if graph not in self._made:
            self._made[graph] = self.injection.prepare()
        return self._made[graph]


@dataclass(frozen=True)
class Part:
    """Positions that an iteration computes together.

    Attributes:
        where: The positions.
        graph: Whether gradients may flow through them.
    """

    where: Where
    graph: bool


@dataclass(frozen=True)
class Plan:
    """What a pass was asked to run, as the host knows it: asking it waits for no device.

    Attributes:
        order: Iteration indices in order, of the sequence or position that runs the most.
        shape: ``(batch, positions)``.
        device: Where the batch is.
        rows: A loop count for each sequence, the largest of its positions'; ``None`` where all run the whole order.
        counts: A loop count for each position, on the host, where they differ within a sequence.
    """

    order: Sequence[int]
    shape: torch.Size
    device: torch.device
    rows: tuple[int, ...] | None = None
    counts: Tensor | None = None

    @classmethod
    def of(cls, iterations: Iterations, shape: torch.Size, device: torch.device) -> Plan:
        """The plan for what was asked for.

        Raises:
            ValueError: No iteration is asked for, an index is negative, or counts have another shape; or counts are a
                tensor while a graph is traced.
        """
        if not isinstance(iterations, Tensor):
            return cls(in_order(iterations), shape, device)
        if iterations.is_floating_point() or iterations.dtype == torch.bool:
            raise ValueError(f"loop counts must be whole numbers, not {iterations.dtype}")
        if is_traced(iterations):
            outside_of_graphs(
                "iterations is a tensor, whose counts the loop reads before it runs; in a graph that is traced, give a "
                "loop count or indices as numbers"
            )
        if iterations.dim() == 0:
            return cls.of(int(iterations), shape, device)
        if iterations.shape not in (shape, shape[:1]):
            raise ValueError(f"loop counts must be {tuple(shape[:1])} or {tuple(shape)}, not {tuple(iterations.shape)}")
        given = iterations.tolist()  # the one time that a pass waits for its counts, if a device has them
        if iterations.dim() == 1:
            rows, counts = tuple(given), None
        else:
            rows, counts = tuple(max(row) for row in given), torch.tensor(given)
            if all(min(row) == most for row, most in zip(given, rows, strict=True)):
                counts = None
        least = min(rows) if counts is None else min(min(row) for row in given)
        if least < 1:
            raise ValueError(f"the loop needs at least one iteration, not {least}")
        order = tuple(range(max(rows)))
        return cls(order, shape, device, None if counts is None and min(rows) == len(order) else rows, counts)

    @property
    def is_even(self) -> bool:
        """Whether all positions run the whole order."""
        return self.rows is None

    @once
    def everywhere(self) -> Where:
        """All positions, as one object: their mask is made once a pass."""
        return Where(self.shape, self.device)

    @once
    def whole(self) -> dict[bool, Part]:
        """All positions as one part, with a graph and without."""
        return {graph: Part(self.everywhere, graph) for graph in (False, True)}

    def running(self, i: int) -> Where:
        """The positions that run the i-th iteration, by their counts."""
        if self.rows is None:
            return self.everywhere
        if self.counts is not None:
            return Where(self.shape, self.device, host=self.counts > i)
        return Where(self.shape, self.device, rows=tuple(i < n for n in self.rows))

    def last(self, i: int) -> bool | Tensor:
        """That no iteration follows the i-th; ``(batch, positions)`` booleans where it differs."""
        if self.rows is None:
            return i + 1 == len(self.order)
        if self.counts is not None:
            return Where(self.shape, self.device, host=self.counts == i + 1).mask
        return Where(self.shape, self.device, rows=tuple(i + 1 == n for n in self.rows)).mask

    def parts(self, i: int, window: Callable[[int], int] | None, stopped: Tensor | None) -> Iterator[Part]:
        """What the i-th iteration computes, together as far as it can.

        Sequences do not read each other, so each has a gradient window of its own.

        Args:
            i: The number of the iteration.
            window: How many iterations, the last ones, get a graph out of so many; ``None`` where all do.
            stopped: Positions that run no more.
        """
        if self.rows is None and stopped is None:
            num_loops = len(self.order)
            yield self.whole[window is None or i >= num_loops - window(num_loops)]
            return
        running = without(self.running(i), stopped)
        rows = self.rows or (len(self.order),)
        inside = tuple(window is None or i >= n - window(n) for n in rows)
        if all(inside) or not any(inside):
            yield Part(running, inside[0])
            return
        for graph in (False, True):
            chosen = tuple(here == graph for here in inside)
            if running.rows is not None:
                both = tuple(a and b for a, b in zip(running.rows, chosen, strict=True))
                yield Part(Where(self.shape, self.device, rows=both), graph)
            elif running.all:
                yield Part(Where(self.shape, self.device, rows=chosen), graph)
            else:
                host = None if running.host is None else running.host & torch.tensor(chosen)[:, None]
                given = running.mask & Where(self.shape, self.device, rows=chosen).mask if host is None else None
                yield Part(Where(self.shape, self.device, host=host, given=given), graph)


def in_order(iterations: int | Sequence[int]) -> Sequence[int]:
    """Iteration indices in order, of a loop count or of such indices.

    Raises:
        ValueError: There is none, one is negative, or one is no whole number.
    """
    try:
        order: Sequence[int]
        if isinstance(iterations, Sequence) and not isinstance(iterations, str):
            order = tuple(operator.index(t) for t in iterations)
        else:
            # A range whose end is an argument of a compiled function has no length there; numbers in a row do.
            order = tuple(range(operator.index(iterations)))
    except TypeError:
        raise ValueError(f"iterations={iterations!r} must be a loop count, indices, or a tensor of counts") from None
    if not order:
        raise ValueError(f"iterations={iterations!r}: the loop needs at least one iteration")
    for t in order:
        check_index(t)
    return order


def without(running: Where, stopped: Tensor | None) -> Where:
    """The positions that run and have not stopped."""
    if stopped is None:
        return running
    if is_traced(stopped):
        return Where.of(~stopped if running.all else running.mask & ~stopped)
    host = stopped.cpu()
    if not bool(host.any()):
        return running
    going = ~host
    if running.rows is not None:
        going = going & torch.tensor(running.rows)[:, None]
    elif running.host is not None:
        going = going & running.host
    return Where(running.shape, running.device, host=going)
