"""Whether a forward pass is one that was there before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_again: ContextVar[bool] = ContextVar("again", default=False)


@contextmanager
def recomputed() -> Iterator[None]:
    """The span of a forward pass that was there before."""
    before = _again.set(True)
    try:
        yield
    finally:
        _again.reset(before)


def is_recomputed() -> bool:
    """Whether what runs has run before: in a span of :func:`recomputed`, or by activation checkpointing, which computes
    a forward pass again in the middle of the backward one.

    What a pass counts besides what it returns must not be counted twice.
    """
    return not torch.compiler.is_compiling() and (_again.get() or torch._C._current_graph_task_id() != -1)
