"""The precision that a recipe declares, wherever its model runs."""

from __future__ import annotations

import torch

from mythos_lab.recipe.schema import Recipe


def autocast_for(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The span in which a recipe's model trains, is checked, validated, measured and rehearsed."""
    return autocast_of(recipe.training.precision, device)


def autocast_of(precision: str, device: torch.device) -> torch.autocast:
    """The span of a precision, ``float32`` or ``bfloat16``, where there is no recipe.

    ``float32`` is float32 within somebody else's autocast too. What runs in which dtype otherwise is said in
    :mod:`mythos_blocks.tensors.precision`.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
