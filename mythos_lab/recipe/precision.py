"""The precision that a recipe declares, wherever its model runs."""

from __future__ import annotations

import torch

from mythos_lab.recipe.schema import Recipe


def autocast_for(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The span in which a recipe's model trains, is checked, validated, measured and rehearsed.

    ``float32`` is float32 within somebody else's autocast too. What runs in which dtype otherwise is said in
    :mod:`mythos_blocks.tensors.precision`.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.training.precision == "bfloat16")
