"""Where and when a layer runs: everything that it may read besides its input, and what it leaves besides its output."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.frame.memory import Page, Path, Tensors
from mythos_blocks.frame.notes import Notes, is_state
from mythos_blocks.frame.places import Places, Turning
from mythos_blocks.frame.selection import Selection, Where
from mythos_blocks.frame.settable import changed, settable
from mythos_blocks.tensors.precision import exact_dtype_of
from mythos_blocks.tensors.rotation import Rotation
from mythos_blocks.tensors.rows import Index


class Adapter(Protocol):
    """Updates of linears that change from iteration to iteration; see :mod:`mythos_blocks.uptraining`."""

    def tell(self, t: Index | None) -> Index | None:
        """Say which iteration it is from now on, ``None`` for none; returns which it was."""
        ...


@settable
@dataclass(frozen=True)
class Frame:
    """What surrounds a layer's input ``x``, ``(batch, positions, width)``.

    A layer that is called alone needs none; ``Frame(AttentionMask(causal=False))`` is one without a causal mask.

    Attributes:
        mask: Which positions may read which.
        positions: Index of each position in its sequence, ``(positions,)`` or ``(batch, positions)``; ``None``
            counts from 0.
        tokens: The tokens, ``(batch, positions)``, for layers that read them again; ``None`` where there are none.
        real: The positions that count, ``(batch, positions)`` booleans: those that are neither padding nor at rest.
            Losses, loads and means are of these alone. ``None`` where all count.
        t: The iteration, 0-based; ``None`` outside the loop.
        index: The same as a 0-dimensional int64 tensor, for tables: layers that read it and not ``t`` are compiled
            once for all iterations.
        depth_index: How many iterations of the pass came before this one, as a 0-dimensional int64 tensor; ``None``
            outside the loop, and where no layer reads over depth.
        path: The layer's place in the model, such as ``("core", 0)``.
        memory: Keys and values of other calls and iterations; ``None`` where only this call's are read.
        statistics: What layers leave to be counted, by name and place; ``None`` where nobody counts.
        adapter: Updates of linears inside the layer, which must be told the iteration; ``None`` where there are none.
        tape: States by place: ``("prelude", layer)``, ``("core", t, layer)``, ``("core", t)`` for the state after
            iteration t, ``("coda", layer)``; ``None`` where nothing is recorded.
        logits_at: The positions whose logits are wanted, ``(batch, positions)``; ``None`` for all.
        selection: Which positions of the pass these are; ``None`` for all.
        running: Of the positions, those that run, where the others are computed and put back: the plain form of
            ``selection``, which defines its meaning.
        shape: ``(batch, positions)`` of the pass, where ``selection`` is set.
        graph: Whether the loop records gradients here.
        places: What has been made of the positions for all layers and iterations; ``None`` where each makes its own.
    """

    mask: AttentionMask = field(default_factory=AttentionMask)
    positions: Tensor | None = None
    tokens: Tensor | None = None
    real: Tensor | None = None
    t: int | None = None
    index: Tensor | None = None
    depth_index: Tensor | None = None
    path: Path = ()
    memory: Page | None = None
    statistics: dict[tuple[str, Path], Tensors] | Notes | None = None
    adapter: Adapter | None = None
    tape: dict[Path, Tensor] | Notes | None = None
    logits_at: Tensor | None = None
    selection: Selection | None = None
    running: Where | None = None
    shape: torch.Size | None = None
    graph: bool = False
    places: Places | None = None

    def __post_init__(self) -> None:
        # Whoever says the iteration as a number alone means it for tables too. The tensor is asked first: a compiled
        # layer that looked at the number would be compiled anew for each.
        if self.index is None and self.t is not None:
            object.__setattr__(self, "index", torch.tensor(self.t))
        if isinstance(self.statistics, dict):
            object.__setattr__(self, "statistics", Notes(self.statistics))
        if isinstance(self.tape, dict):
            object.__setattr__(self, "tape", Notes(self.tape))

    def at(self, *path: str | int) -> Frame:
        """The frame of a part of this place."""
        return changed(self, path=(*self.path, *path))

    def apart(self) -> Frame:
        """The frame of a call that was there before: it reads the same, and what it leaves nobody gets."""
        return changed(
            self,
            memory=None if self.memory is None else self.memory.apart(),
            statistics=None if self.statistics is None else Notes({}),
            tape=Notes({}, self.tape.states_only) if isinstance(self.tape, Notes) else None,
        )

    @property
    def reads_all(self) -> bool:
        """Whether every position may read every other: no mask, and no padding."""
        pads = self.real is not None and self.selection is None and self.running is None
        return not self.mask.causal and self.mask.allowed is None and not pads

    def counting(self, where: Tensor) -> Tensor:
        """Those of the positions in ``where`` that count; both are ``(batch, positions)`` booleans."""
        return where if self.real is None else self.real & where

    def position_ids(self, x: Tensor) -> Tensor:
        """The index of each position of ``x``: ``(positions,)`` or ``(batch, positions)``."""
        if self.positions is not None:
            return self.positions
        if self.places is not None and self.places.are_of(None, x):
            return self.places.ids
        return torch.arange(x.shape[1], device=x.device)

    def placed(self, x: Tensor, wanted: Collection[Turning], dtype: torch.dtype | None = None) -> Frame:
        """The frame in which these rotations by position are made once, for all of its layers and iterations.

        Args:
            x: A state of the pass, ``(batch, positions, width)``, or its tokens.
            wanted: How many channels each turns, and its base.
            dtype: That of the states; ``None`` where x is one.
        """
        if self.places is not None and self.places.are_of(self.positions, x):
            return self
        return changed(self, places=Places.of(self.positions, self.position_ids(x), dtype or x.dtype, wanted))

    def rotation(self, x: Tensor, num_channels: int, theta: float) -> Rotation:
        """The rotation by position of what is made of ``x``, ``(batch, positions, width)``."""
        dtype = exact_dtype_of(x)
        if self.places is not None and self.places.are_of(self.positions, x):
            held = self.places.rotations.get((num_channels, theta))
            if held is not None and held.cos.dtype is dtype:
                return held
        return Rotation.by_position(self.position_ids(x), num_channels, theta, dtype)

    def exchange(self, *written: Tensor, shared: bool = True) -> Tensors:
        """Write what others may read of these positions, and get what these positions may read.

        Args:
            written: Keys, values or latents of this call's positions, which stand in dimension -2.
            shared: Whether the key-value policy says which iterations share these; otherwise each has its own.

        Returns:
            The same for all readable positions, in order; ``mask`` tells which query reads which.
        """
        if self.memory is None:
            return written
        self._check_graph("reads keys and values of other iterations")
        return self.memory.exchange(self.path, written, self.selection, self.running, shared)

    def over_depth(self, *written: Tensor, all_positions: bool = False) -> Tensors:
        """Write what later iterations may read of these positions, and get every iteration's so far, in order.

        Args:
            written: As in :meth:`exchange`.
            all_positions: Return every readable position, as :meth:`exchange` does, and not these alone.

        Returns:
            Each with the depths ahead, ``(depths, *shape)``. There may be more of them than iterations have run:
            :meth:`depths_read` tells which are there.
        """
        if self.memory is None:
            return tuple(x.unsqueeze(0) for x in written)
        self._check_graph("reads other iterations")
        return self.memory.over_depth(self.path, self.depth_index, written, self.selection, self.running, all_positions)

    def depths_read(self, num_depths: int, window: int | None, device: torch.device) -> Tensor:
        """Which of ``num_depths`` depths are there to be read, of the last ``window`` ones: ``(num_depths,)``."""
        depths = torch.arange(num_depths, device=device)
        last = 0 if self.depth_index is None or self.memory is None else self.depth_index
        there = depths <= last
        return there if window is None else there & (depths > last - window)

    def add_loss(self, name: str, num: Tensor, *sums: Tensor) -> None:
        """Add a term to the training loss: the product of the means of one or more quantities, summed over channels.

        Sums are what is left, since an iteration may be computed in parts, which are added up before anything is
        divided. Terms of one name are averaged over calls.

        Args:
            name: The term's name.
            num: How many positions the sums are over, a scalar.
            sums: Of each quantity the sum over positions, ``()`` or ``(channels,)``.
        """
        if isinstance(self.statistics, Notes):
            self._check_graph("adds a term to the loss")
            self.statistics.held[name, self.path] = (num, *sums)

    def _check_graph(self, why: str) -> None:
        """Refuse reentrant checkpointing where it would drop gradients: what does not leave by a layer's output."""
        if self.graph and not torch.is_grad_enabled():
            place = ".".join(str(step) for step in self.path)
            raise ValueError(
                f"{place} {why}, which checkpointing with use_reentrant=True drops; use_reentrant=False keeps it"
            )

    def record(self, x: Tensor, *place: str | int) -> None:
        """Put a state on the tape, if there is one; zeros stand for positions that were not computed."""
        if not isinstance(self.tape, Notes) or (self.tape.states_only and not is_state(place)):
            return
        if self.selection is not None:
            assert self.shape is not None
            before = self.tape.held.get(place)
            blank = x.new_zeros(*self.shape, *x.shape[2:]) if before is None else before
            x = self.selection.put(blank, x)
        self.tape.held[place] = x

    def select(self, selection: Selection, shape: torch.Size) -> Frame:
        """The frame of the selected positions alone, out of ``(batch, positions)``."""

        def part(x: Tensor | None) -> Tensor | None:
            if x is None or (x.dim() == 1 and selection.columns is None):
                return x
            if x.dim() == 1:
                return x[selection.columns]
            return selection.take(x)

        positions = self.positions
        if positions is None and selection.columns is not None:
            positions = torch.arange(shape[1], device=selection.rows.device)
        positions = part(positions)
        places = None if self.places is None or self.places.given is not self.positions else self.places
        real = part(self.real)
        if selection.valid is not None:
            real = selection.valid if real is None else real & selection.valid
        return changed(
            self,
            mask=self.mask.select(selection, shape),
            positions=positions,
            places=None if places is None else places.select(selection, positions),
            tokens=part(self.tokens),
            real=real,
            selection=selection,
            shape=shape,
        )
