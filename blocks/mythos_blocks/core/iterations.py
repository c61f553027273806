"""Which iterations a pass runs, and what one of them is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mythos_blocks.exit.base import Exit
from mythos_blocks.frame.frame import Frame
from mythos_blocks.frame.selection import Selection

Iterations = int | Sequence[int] | Tensor
"""A loop count; or iteration indices in the order in which to run them; or a loop count for each sequence,
``(batch,)``, or for each position, ``(batch, positions)``."""


ReadAt = Callable[[Tensor, Frame], Tensor]
"""From a state, and the frame that its positions stand in, to the logits that the model would read from it."""


@dataclass(frozen=True)
class Step:
    """One iteration.

    Attributes:
        t: The iteration index that the depth signal and the adapter see, 0-based.
        next_t: The index that will follow, if known: the injection may then prepare its input, fused with the
            update of the state. Without it nothing but speed is lost.
        last: That no iteration follows, which halting rules may need to know; ``(batch, positions)`` booleans
            where it differs.
        layer: The one layer to apply, for ``tying: sequence``; ``None`` applies all.
        exit: The rule that may stop positions.
        read: From a state and its frame to the model's logits, for exit rules that need them.
    """

    t: int
    next_t: int | None = None
    last: bool | Tensor = False
    layer: int | None = None
    exit: Exit | None = None
    read: ReadAt | None = None

    def select(self, selection: Selection) -> Step:
        """The iteration as the selected positions see it."""
        last = self.last if isinstance(self.last, bool) else selection.take(self.last)
        return replace(self, last=last, next_t=None)


def plan(iterations: Iterations, shape: torch.Size, device: torch.device) -> tuple[Sequence[int], Tensor | None]:
    """Iteration indices in order, and loop counts ``(batch, positions)`` where they differ between positions.

    Args:
        iterations: What is asked for.
        shape: ``(batch, positions)``.
        device: Where the counts are needed.

    Raises:
        ValueError: No iteration is asked for, or the counts have another shape.
    """
    if not isinstance(iterations, Tensor):
        order = range(iterations) if isinstance(iterations, int) else iterations
        if len(order) < 1:
            raise ValueError(f"the loop needs at least one iteration, not {iterations}")
        return order, None
    counts = iterations.to(device)
    if counts.shape not in (shape, shape[:1]):
        raise ValueError(f"loop counts must be {tuple(shape[:1])} or {tuple(shape)}, not {tuple(counts.shape)}")
    counts = (counts[:, None] if counts.dim() == 1 else counts).expand(shape)
    if int(counts.min()) < 1:
        raise ValueError(f"the loop needs at least one iteration, not {int(counts.min())}")
    return range(int(counts.max())), counts
