"""What the machine can hold, asked before anything of that size is made."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

from mythos_blocks.declaring.types import MAX_LOOPS
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Task
from mythos_lab.tasks.generated import Generated
from mythos_lab.tasks.randomness import CHUNK

MAX_APPLIED = 16 * MAX_LOOPS
"""Layers that the core may apply in one pass, its depth times its iterations."""

_CONTROL_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_WORDS = ("can't allocate memory", "out of memory", "Storage size calculation overflowed", "Overflow when unpacking")


def memory_bytes() -> int:
    """Bytes of main memory that this process may have: the machine's, or its control group's where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, _CONTROL_GROUPS):
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)


def check_batches(recipe: Recipe, task: Task) -> None:
    """Refuse batches that do not fit into main memory, with ``ValueError``: tokens and targets alone, and the mask."""
    training, evaluation = recipe.training, recipe.evaluation
    positions = max(task.positions, task.ood_positions or 0)
    held_out = max(task.size(split) for split in ("validation", "test", "ood"))
    sizes = {
        f"training.batch_size={training.batch_size:,}": training.batch_size // training.num_devices,
        f"evaluation.batch_size={evaluation.batch_size:,}": min(evaluation.batch_size, held_out),
    }
    if isinstance(task, Generated):
        sizes[f"task: samples are drawn {CHUNK:,} at a time, and so many"] = CHUNK
    for what, num in sizes.items():
        needed = num * positions * (16 + (positions if task.has_mask else 0))
        if needed > memory_bytes():
            raise ValueError(f"{what} of {positions:,} positions take {_shown(needed)}; {_has()}")


def check_room(recipe: Recipe, model: nn.Module, task: Task) -> None:
    """Refuse what does not fit into main memory once it is made: the model with its gradients, finite training data.

    Args:
        recipe: The recipe.
        model: Its model, on the meta device.
        task: Its task.

    Raises:
        RecipeError: With what it would take, and what there is.
    """
    weights = [*model.parameters(), *model.buffers()]
    needed = sum(x.numel() * x.element_size() * (2 if x.requires_grad else 1) for x in weights)
    if needed > memory_bytes():
        num = sum(parameter.numel() for parameter in model.parameters())
        raise RecipeError(
            f"{recipe.name}: model: {num:,} parameters with their gradients take {_shown(needed)}; {_has()}; "
            "mythos cost counts it all the same"
        )
    size = task.train_size if isinstance(task, Generated) else None
    needed = (size or 0) * (8 + 2 * task.positions)  # its place in the order of an epoch, and a byte a token
    if needed > memory_bytes():
        raise RecipeError(
            f"{recipe.name}: task.train_size={size:,}: so many samples of {task.positions:,} positions take at least "
            f"{_shown(needed)}; {_has()}"
        )


def too_large(error: BaseException) -> str | None:
    """What an exception says where it says that something does not fit into memory, on one line."""
    said = str(error).strip().splitlines()[0][:200] if str(error).strip() else "memory is used up"
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return said
    return said if isinstance(error, RuntimeError | TypeError) and any(word in str(error) for word in _WORDS) else None


def _shown(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:,.0f} GiB" if num_bytes < 2**60 else f"{num_bytes / 2**30:.1e} GiB"


def _has() -> str:
    return f"this machine has {_shown(memory_bytes())}"
