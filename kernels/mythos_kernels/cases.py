"""What a kernel's file says about itself so that it can be compiled ahead of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AotCase:
    """One specialisation of a kernel; a kernel's file lists its own as ``AOT_CASES``."""

    kernel: Any  # the @triton.jit function
    label: str
    signature: Mapping[str, str]  # Triton's type of every run-time argument; "*{dtype}" follows the dtype compiled for
    constants: Mapping[str, Any]  # constexpr arguments, and pointers that are None
    num_warps: int
    aligned: tuple[str, ...] = ()  # integers that are multiples of 16 here: a launch specialises on that, and so do we
