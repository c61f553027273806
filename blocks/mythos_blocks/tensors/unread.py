"""An iteration's index for positions that are in different iterations: nobody can read it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class IterationIsRead(Exception):
    """Somebody has asked which iteration it is, and there are several."""


class _Unread(Tensor):
    """Any operation on it is one too many."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise IterationIsRead(f"{getattr(func, '__name__', func)} of the iteration's index, of which there are several")


def unread_index(device: torch.device) -> Tensor:
    """In the place of an index, ``()``; whatever is done with it raises :class:`IterationIsRead`."""
    return torch.zeros((), dtype=torch.long, device=device).as_subclass(_Unread)
