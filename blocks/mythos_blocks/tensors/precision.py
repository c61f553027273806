"""Where half precision would not do."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 where it is that already, as in checks of gradients."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
