"""Whether operations are recorded for a backward pass."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def recorded_for_backward(wanted: bool) -> AbstractContextManager[None]:
    """The span in which gradients are recorded, or not: ``torch.set_grad_enabled`` where that changes anything.

    ``torch.export`` writes every call of that into its program, splits the program there, and puts it together again,
    in a time that grows with the square of the calls.

    Args:
        wanted: Whether gradients are recorded within.
    """
    return nullcontext() if torch.is_grad_enabled() == wanted else torch.set_grad_enabled(wanted)
