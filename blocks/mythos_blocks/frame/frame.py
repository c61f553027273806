"""Where and when a layer runs: everything that it may read besides its input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Memory, Path
from mythos_blocks.frame.selection import Selection


@dataclass(frozen=True)
class Frame:
    """What surrounds a layer's input ``x``, ``(batch, positions, width)``.

    Attributes:
        mask: Which positions may read which.
        positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``; ``None``
            counts from 0.
        tokens: The tokens, ``(batch, positions)``, for layers that read them again; ``None`` where there are none.
        t: The iteration, 0-based; ``None`` outside the loop.
        path: The layer's place in the model, such as ``("core", 0)``.
        memory: Keys and values of other calls and iterations; ``None`` where only this call's are read.
        losses: What components add to the training loss, by name, one entry a call.
        tape: States by place: ``("prelude", layer)``, ``("core", t, layer)``, ``("core", t)`` for the state after
            iteration t, ``("coda", layer)``; ``None`` where nothing is recorded.
        logits_at: The positions whose logits are wanted, ``(batch, positions)``; ``None`` for all.
        selection: Which positions of the pass these are; ``None`` for all.
        shape: ``(batch, positions)`` of the pass, where ``selection`` is set.
    """

    mask: AttentionMask = field(default_factory=AttentionMask)
    positions: Tensor | None = None
    tokens: Tensor | None = None
    t: int | None = None
    path: Path = ()
    memory: Memory | None = None
    losses: dict[str, list[Tensor]] | None = None
    tape: dict[Path, Tensor] | None = None
    logits_at: Tensor | None = None
    selection: Selection | None = None
    shape: torch.Size | None = None

    def at(self, *path: str | int) -> Frame:
        """The frame of a part of this place."""
        return replace(self, path=(*self.path, *path))

    def position_ids(self, x: Tensor) -> Tensor:
        """The index of each position of ``x``: ``(positions,)`` or ``(batch, positions)``."""
        return torch.arange(x.shape[1], device=x.device) if self.positions is None else self.positions

    def exchange(self, *written: Tensor) -> tuple[Tensor, ...]:
        """Write what others may read of these positions, and get what these positions may read.

        Args:
            written: Keys, values or latents of this call's positions, which stand in dimension -2.

        Returns:
            The same for all readable positions, in order; ``mask`` tells which query reads which.
        """
        return written if self.memory is None else self.memory.exchange(self.path, self.t, written)

    def over_depth(self, *written: Tensor, all_positions: bool = False) -> list[tuple[Tensor, ...]]:
        """Write what later iterations may read of these positions, and get every iteration's so far, in order.

        Args:
            written: As in :meth:`exchange`.
            all_positions: Return every readable position, as :meth:`exchange` does, and not these alone.
        """
        assert self.memory is not None, "a layer that reads over depth runs inside a loop"
        return self.memory.over_depth(self.path, self.t, written, all_positions)

    def record(self, x: Tensor, *place: str | int) -> None:
        """Put a state on the tape, if there is one; zeros stand for positions that were not computed."""
        if self.tape is None:
            return
        if self.selection is not None:
            assert self.shape is not None
            before = self.tape.get(place)
            blank = x.new_zeros(*self.shape, *x.shape[2:]) if before is None else before
            x = self.selection.put(blank, x)
        self.tape[place] = x

    def add_loss(self, name: str, loss: Tensor) -> None:
        """Add a term to the training loss; terms of one name are averaged over calls."""
        if self.losses is not None:
            self.losses.setdefault(name, []).append(loss)

    def select(self, selection: Selection, shape: torch.Size) -> Frame:
        """The frame of the selected positions alone, out of ``(batch, positions)``."""
        num_positions = shape[1]

        def part(x: Tensor | None) -> Tensor | None:
            if x is None or (x.dim() == 1 and selection.columns is None):
                return x
            if x.dim() == 1:
                return x[selection.columns]
            return selection.take(x)

        positions = self.positions
        if positions is None and selection.columns is not None:
            positions = torch.arange(num_positions, device=selection.rows.device)
        return replace(
            self,
            mask=self.mask.select(selection, num_positions),
            positions=part(positions),
            tokens=part(self.tokens),
            selection=selection,
            shape=shape,
        )
