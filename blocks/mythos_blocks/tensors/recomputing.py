"""Whether a forward pass is one that was there before."""

from __future__ import annotations

import torch


def is_recomputed() -> bool:
    """Whether activation checkpointing is computing a forward pass again, in the middle of the backward one.

    What a pass counts besides what it returns must not be counted twice.
    """
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
