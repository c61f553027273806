"""Whether a forward pass is one that was there before, and what it must find again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel

T = TypeVar("T")

# These switches are of all devices, whatever their names say.
_KERNELS: dict[SDPBackend, Callable[[], bool]] = {
    SDPBackend.MATH: cuda.math_sdp_enabled,
    SDPBackend.FLASH_ATTENTION: cuda.flash_sdp_enabled,
    SDPBackend.EFFICIENT_ATTENTION: cuda.mem_efficient_sdp_enabled,
    SDPBackend.CUDNN_ATTENTION: cuda.cudnn_sdp_enabled,
}

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


def with_attention_as_now(function: Callable[..., T]) -> Callable[..., T]:
    """A function that finds the attention kernels that are allowed now, when it is computed again.

    Checkpointing restores autocast and random numbers. A span of ``sdpa_kernel`` has ended by the time of the backward
    pass, where another kernel would keep other tensors than the first one did.
    """
    if torch.compiler.is_compiling():
        return function
    allowed = [kernel for kernel, is_allowed in _KERNELS.items() if is_allowed()]

    def run(*args: object) -> T:
        if not is_recomputed():
            return function(*args)
        with sdpa_kernel(allowed):
            return function(*args)

    return run
