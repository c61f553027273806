"""Which implementation runs: the Triton kernel or the plain-torch reference. Imports no triton itself."""

from __future__ import annotations

import importlib.util
import os
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

Backend = Literal["triton", "reference"]

_TRITON_INSTALLED = importlib.util.find_spec("triton") is not None


def backend(tensor: Tensor) -> Backend:
    """The implementation for operations on ``tensor``.

    ``triton`` for CUDA tensors where triton is installed, and for CPU tensors under ``TRITON_INTERPRET=1``, so that
    tests without a GPU go through the same public functions. ``reference`` everywhere else, where
    ``MYTHOS_KERNELS=reference`` says so, and inside ``torch.func`` transforms and forward-mode differentiation, which
    know nothing of our kernels (the lab's Jacobian measures are jvps). A compiled graph keeps the choice that was made
    when it was traced.
    """
    if not _wanted() or not _TRITON_INSTALLED:
        return "reference"
    device = tensor.device.type
    runs_here = device == "cuda" or (device == "cpu" and interpreting())
    return "triton" if runs_here and not _inside_transform() else "reference"


def interpreting() -> bool:
    """Whether Triton's interpreter is asked for (the spellings are Triton's own)."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")


def _wanted() -> bool:
    choice = os.environ.get("MYTHOS_KERNELS", "auto")
    if choice not in ("auto", "reference"):
        raise ValueError(f"MYTHOS_KERNELS must be 'auto' or 'reference', got {choice!r}")
    return choice == "auto"


def _inside_transform() -> bool:
    # Neither question has a public form. While Dynamo traces, both are its business and not ours.
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
