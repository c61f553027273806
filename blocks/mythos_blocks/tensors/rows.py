"""Tables with a row for each iteration, and what lies beyond their end."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Beyond = Literal["clamp", "zero", "extrapolate", "error"]
"""What iterations past the end of a table read: its last row; zeros; the line through its last two rows; an error."""


def row(table: Tensor, t: int, beyond: Beyond = "clamp") -> Tensor:
    """Row ``t`` of a table ``(rows, ...)``.

    Raises:
        ValueError: ``t`` is negative, or beyond the table where that is an error.
    """
    last = table.shape[0] - 1
    if t < 0:
        raise ValueError(f"iteration indices count from 0, and this one is {t}")
    if t <= last or beyond == "clamp":
        return table[min(t, last)]
    if beyond == "zero":
        return torch.zeros_like(table[last])
    if beyond == "error":
        raise ValueError(f"iteration {t} is beyond the table's {last + 1} rows (beyond: 'error')")
    slope = table[last] - table[max(last - 1, 0)]
    return table[last] + (t - last) * slope
