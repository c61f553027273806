"""Where the positions of a pass stand, and what is made of that once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from mythos_blocks.frame.selection import Selection
from mythos_blocks.tensors.rotation import Rotation

Turning = tuple[int, float]
"""A rotation by position: how many channels it turns, and the base of their frequencies."""


class Places:
    """Indices of positions, and rotations by them: the same for all layers and iterations of a pass.

    No dataclass and no dictionary, since wrappers move and cast what they find in those: angles stay exact.

    Args:
        given: The positions that the frame had; ``None`` where they count from 0.
        ids: The index of each position, ``(positions,)`` or ``(batch, positions)``.
        rotations: By channels and base.
    """

    def __init__(self, given: Tensor | None, ids: Tensor, rotations: dict[Turning, Rotation]) -> None:
        self.given, self.ids, self.rotations = given, ids, rotations

    @classmethod
    def of(cls, given: Tensor | None, ids: Tensor, dtype: torch.dtype, wanted: Iterable[Turning]) -> Places:
        """Those of a pass with these rotations, which turn states of this dtype."""
        dtype = torch.promote_types(dtype, torch.float32)
        return cls(given, ids, {key: Rotation.by_position(ids, *key, dtype) for key in wanted})

    def are_of(self, given: Tensor | None, x: Tensor) -> bool:
        """Whether they are those of ``x``, ``(batch, positions, ...)``, in a frame with these positions."""
        return self.given is given and self.ids.shape[-1] == x.shape[1] and self.ids.device == x.device

    def select(self, selection: Selection, given: Tensor | None) -> Places | None:
        """Those of the selected positions, which ``given`` are in the frame of their own."""
        if self.ids.dim() == 1 and selection.columns is None:
            return self
        if given is None:
            return None
        if selection.columns is None:
            rows, columns = None, selection.rows
        else:
            rows, columns = (selection.rows[:, None] if self.ids.dim() == 2 else None), selection.columns
        return Places(given, given, {key: turn.taken(rows, columns) for key, turn in self.rotations.items()})


def turnings(modules: Iterable[nn.Module]) -> Collection[Turning]:
    """The rotations by position that these modules declare, each once."""
    declared = (getattr(module, "turning", None) for module in modules)
    return tuple(dict.fromkeys(turning for turning in declared if turning is not None))
