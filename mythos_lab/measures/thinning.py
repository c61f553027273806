"""Which of many things are looked at, where all of them would be too many."""

from __future__ import annotations

import torch


def spread(num: int, most: int) -> list[int]:
    """Places among ``num`` things, from 0: all of them, or ``most`` as evenly as can be, the first and last among them.

    Args:
        num: How many there are.
        most: How many are looked at.
    """
    return [int(place) for place in torch.linspace(0, num - 1, min(num, most), dtype=torch.float64).round()]


def thinned(num: int, most: int) -> torch.Tensor:
    """The same as a mask: ``(num,)`` booleans."""
    mask = torch.zeros(num, dtype=torch.bool)
    mask[spread(num, most)] = True
    return mask
