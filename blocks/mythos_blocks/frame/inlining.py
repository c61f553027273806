"""A pass's layers as plain functions: what a call of a module looks up each time, looked up once.

A module offers ``inlined(frame, like)`` beside ``forward``, which is the reference: the function that its forward
computes in one pass, or ``None`` where it has none. A loop asks its layers for these once and calls them in every
iteration (:mod:`mythos_blocks.core.straight`). Nobody is passed over: a module that is hooked, adapted, compiled,
spread over processes, or of a class that changes ``forward`` alone, is called as a module.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.settable import changed
from mythos_blocks.tensors.plain import are_all_watched, is_plain
from mythos_blocks.tensors.rows import Index
from mythos_blocks.tensors.tracing import is_computed_as_written

Run = Callable[[Tensor, Frame], Tensor]
"""What a module makes of x, given the frame of an iteration; its own place is known to it."""

NormRun = Callable[[Tensor, "Index | None"], Tensor]
"""What a norm makes of x in an iteration."""


_by_module: ContextVar[bool] = ContextVar("by_module", default=False)


@contextmanager
def by_module() -> Iterator[None]:
    """The span in which every module is called as one: the reference for what runs past them."""
    before = _by_module.set(True)
    try:
        yield
    finally:
        _by_module.reset(before)


def runs_past_modules(x: Tensor, frame: Frame) -> bool:
    """Whether what is made of ``x`` in this frame may be computed by functions in the place of modules.

    It may not for some positions among others, where linears have updates of an iteration's own, while a graph is made,
    nor where the process has hooks on all modules.
    """
    return (
        frame.selection is None
        and frame.running is None
        and frame.adapter is None
        and is_computed_as_written(x)
        and not are_all_watched()
        and not _by_module.get()
    )


def inlined(module: nn.Module, frame: Frame, like: Tensor) -> Run:
    """What ``module(x, frame)`` makes of x in every iteration of a pass.

    Args:
        module: A layer, an attention or a feed-forward.
        frame: The pass's frame at the module's place.
        like: A state of the pass, ``(batch, positions, width)``: x has its shape, and its dtype but under autocast.
    """
    run: Run | None = module.inlined(frame, like) if is_inlinable(module) else None  # type: ignore[operator]
    if run is not None:
        return run
    path = frame.path
    return lambda x, now: module(x, changed(now, path=path))


def inlined_norm(norm: nn.Module) -> NormRun:
    """What ``norm(x, t)`` makes of x."""
    run: NormRun | None = norm.inlined() if is_inlinable(norm) else None  # type: ignore[operator]
    return norm if run is None else run


def normed(run: Run, norm: nn.Module) -> Run:
    """``run``, and a norm of its output."""
    after = inlined_norm(norm)
    return lambda x, now: after(run(x, now), now.index)


def product(linear: nn.Module) -> Callable[[Tensor], Tensor]:
    """What ``linear(x)`` makes of x."""
    if not is_plain(linear, nn.Linear):
        return linear
    return functools.partial(F.linear, weight=linear.weight, bias=linear.bias)  # type: ignore[arg-type]


def is_inlinable(module: nn.Module) -> bool:
    """Whether a module has a function for the place of its ``forward``, and nothing stands between the two."""
    kind = type(module)
    offers = _offers(kind)  # type: ignore[arg-type]
    return offers and is_plain(module, kind) and not getattr(module, "gradient_checkpointing", False)


def lies_flat(module: nn.Module) -> bool:
    """Whether the function for the place of a module's ``forward`` takes positions of several sequences side by side.

    So does one that looks at other positions by the frame's memory and mask alone, or at none
    (:class:`~mythos_blocks.frame.flat.Flat`).
    A module says so by a method ``lies_flat``, for itself and what is in it.
    """
    says = getattr(module, "lies_flat", None)
    return says is not None and is_inlinable(module) and says()


@functools.cache
def _offers(kind: type[Any]) -> bool:
    """Whether ``inlined`` is of the class that ``forward`` is of, or of one that is derived from it."""
    for cls in kind.__mro__:
        if "inlined" in vars(cls):
            return True
        if "forward" in vars(cls):
            return False
    return False
