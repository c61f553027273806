"""Decoding in which a position runs an iteration when a later one needs it, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex

import torch
from torch import Tensor

from mythos_blocks.declaring.spec import SpecLike
from mythos_blocks.exit.base import Exit
from mythos_blocks.generation.counts import count
from mythos_blocks.generation.decoder import exit_rule
from mythos_blocks.generation.depth_cache import DepthCache
from mythos_blocks.generation.padding import padding_counts
from mythos_blocks.generation.refusing import check_own_exits
from mythos_blocks.generation.slots import Slots
from mythos_blocks.model import LoopedTransformer


class LazyDecoder:
    """Decodes a batch of sequences with a cache, each position as deep as it and the later ones need.

    >>> decoder = LazyDecoder(model, batch=1, exit="kl")
    >>> logits = decoder.prefill(prompt)
    >>> logits = decoder.step(logits.argmax(-1))

    A position is read at its exit, and its state goes on from there once a later position runs deeper: then its missing
    iterations are computed, those of all such positions at once. So logits are those of
    :func:`~mythos_blocks.generation.read_at_exits`, in which every position runs every iteration. With
    :class:`~mythos_blocks.generation.Decoder` a position that has stopped is frozen instead, and what later ones read
    of it is what it wrote last.

    Args:
        model: The model; it is run in evaluation mode and without gradients.
        batch: Sequences.
        capacity: Columns to allocate ahead.
        padding: Of the first tokens that :meth:`prefill` will get, how many are padding, ``(batch,)``.
        iterations: A loop count; or, as a tensor, a count for each sequence, ``(batch,)``. ``None`` runs the sampler's
            mean. It may be changed between calls.
        exit: The rule that has a position exit before; ``None`` takes the declared one.
        max_loops: The largest count that there will be; ``None`` takes the largest of ``iterations``.

    Attributes:
        executed: The iterations after which each position of the last call was read, ``(batch, positions)``. Where the
            model has no coda, positions before a call's last one are read by nobody: of those, how many they have run.

    Raises:
        ValueError: An argument is out of range, or the model cannot be decoded so; the message names the part.
    """

    exact: bool = True

    def __init__(
        self,
        model: LoopedTransformer,
        batch: int,
        *,
        capacity: int = 0,
        padding: Tensor | Sequence[int] | None = None,
        iterations: int | Tensor | None = None,
        exit: Exit | SpecLike | None = None,
        max_loops: int | None = None,
    ) -> None:
        check_own_exits(model)
        batch, capacity = count("batch", batch), count("capacity", capacity, least=0)
        max_loops = 0 if max_loops is None else count("max_loops", max_loops)
        self.model, self.exit = model, rule_of(exit, model)
        self.iterations = model.core.loops.eval_loops if iterations is None else iterations
        self._rows = list(range(batch))
        self._padding = None if padding is None else torch.as_tensor(padding)
        counts = self._counts()
        self._slots = Slots(model, batch, max(1, capacity), max(*counts, max_loops))
        self.executed = torch.zeros(batch, 0, dtype=torch.long)

    @property
    def cache(self) -> DepthCache:
        """The keys and values."""
        return self._slots.cache

    @property
    def num_computed(self) -> int:
        """Pairs of a position and an iteration computed so far."""
        return self._slots.num_computed

    @property
    def depths(self) -> list[list[int]]:
        """Of each sequence, the iterations that each position has run so far."""
        reached = [self.cache.reached[row] for row in self._rows]
        lengths = [self.cache.lengths[row] for row in self._rows]
        return [
            [sum(column < n for n in by_loop) for column in range(length)]
            for by_loop, length in zip(reached, lengths, strict=True)
        ]

    def prefill(self, tokens: Tensor, chunk: int | None = None) -> Tensor:
        """Read tokens, sequence by sequence, at most ``chunk`` columns at a time.

        Shapes: ``(batch, positions) -> (batch, vocab_size)``, the logits after the last position.
        """
        if tokens.dim() != 2 or tokens.shape[1] < 1:
            raise ValueError(f"tokens must be (batch, positions) with at least one position, not {tuple(tokens.shape)}")
        if tokens.shape[0] != len(self._rows):
            raise ValueError(f"tokens have {tokens.shape[0]} rows, and the decoder {len(self._rows)}")
        chunk = None if chunk is None else count("chunk", chunk)
        padding = padding_counts(self._padding, tokens)
        self._padding = None
        counts, width = self._counts(), tokens.shape[1]
        size = self._slots.num_columns(self.exit) or chunk or width
        logits, executed = [], []
        for row, slot in enumerate(self._rows):
            left = 0 if padding is None else int(padding[row])
            ran = [0] * left
            for part in tokens[row, left:].split(size):
                latest = self._advance([slot], part[None], [counts[row]])
                ran += self._exits(slot, len(part))
            logits.append(latest[0])
            executed.append(ran)
        self.executed = torch.tensor(executed)
        return torch.stack(logits)

    def step(self, tokens: Tensor) -> Tensor:
        """Read one token of each sequence, ``(batch,)``; the logits after it, ``(batch, vocab_size)``."""
        if tokens.shape != (len(self._rows),):
            raise ValueError(f"tokens must be ({len(self._rows)},), one for each sequence, not {tuple(tokens.shape)}")
        logits = self._advance(self._rows, tokens[:, None], self._counts())
        self.executed = torch.tensor([self._exits(slot, 1) for slot in self._rows])
        return logits

    def keep_rows(self, rows: Tensor) -> None:
        """Go on with these sequences alone; ``rows`` are their indices, ``(rows,)``."""
        kept = [self._rows[row] for row in rows.tolist()]
        for slot in set(self._rows) - set(kept):
            self._slots.clear(slot)
        self._rows = kept
        if isinstance(self.iterations, Tensor) and self.iterations.dim():
            self.iterations = self.iterations[rows.to(self.iterations.device)]

    def _advance(self, slots: Sequence[int], tokens: Tensor, counts: Sequence[int]) -> Tensor:
        """Read the next tokens of sequences: ``(sequences, positions) -> (sequences, vocab_size)``."""
        work = self._slots
        width = tokens.shape[1]
        work.append(
            [(slot, row, [count] * width, self.exit) for slot, row, count in zip(slots, tokens, counts, strict=True)]
        )
        while running := [slot for slot in slots if not work.readings[slot].is_over]:
            work.iterate(running, work.cache.num_loops)
        return work.read(slots)

    def _exits(self, slot: int, num_positions: int) -> list[int]:
        """What :attr:`executed` says of a sequence's last positions."""
        exits, length = self._slots.readings[slot].exits, self.cache.lengths[slot]
        unread = range(length - num_positions, length - len(exits))
        return [sum(column < n for n in self.cache.reached[slot]) for column in unread] + exits

    def _counts(self) -> list[int]:
        """The loop count of each sequence."""
        counts = self.iterations
        if isinstance(counts, Tensor):
            if counts.is_floating_point() or counts.dtype == torch.bool or counts.shape not in ((), (len(self._rows),)):
                raise ValueError(f"iterations={counts} must be a loop count, or one for each of {len(self._rows)} rows")
            given = counts.expand(len(self._rows)).tolist()
        elif isinstance(counts, SupportsIndex) and not hasattr(counts, "__len__"):
            given = [count("iterations", counts)] * len(self._rows)
        else:
            raise ValueError(f"iterations={counts!r} must be a count: lazy depth runs iterations in order")
        most = self._slots.cache.num_loops if hasattr(self, "_slots") else max(given)
        if min(given) < 1 or max(given) > most:
            raise ValueError(f"iterations={counts} must be at least 1, and at most max_loops={most}")
        last = self.model.core.last_index
        if last is not None and max(given) > last + 1:
            raise ValueError(f"iteration {max(given) - 1} is beyond the table's {last + 1} rows (beyond: 'error')")
        return [int(number) for number in given]


def rule_of(exit: Exit | SpecLike | None, model: LoopedTransformer) -> Exit | None:
    """The rule that has positions exit, the model's own where none is given; ``None`` where there is none."""
    rule = model.core.exit if exit is None else exit_rule(exit, model)
    return None if rule.kind == "none" else rule
