"""From Hugging Face's masks and positions to what a looped transformer is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mythos_blocks.core.iterations import Iterations
from mythos_blocks.feedforward.separable_convolution import SeparableConvolution
from mythos_blocks.frame.mask import AttentionMask
from mythos_blocks.model.looped_transformer import LoopedTransformer


@dataclass(frozen=True)
class Surroundings:
    """What a pass is told of its positions.

    Attributes:
        mask: Which positions read which.
        positions: The index of each position in its sequence; ``None`` counts from 0.
        real: The positions that are no padding; ``None`` where all are.
    """

    mask: AttentionMask
    positions: Tensor | None = None
    real: Tensor | None = None


def checked_positions(position_ids: Tensor | None, shape: torch.Size) -> Tensor | None:
    """Position ids as ``(batch, positions)``.

    Raises:
        ValueError: They are of another shape, or no whole numbers.
    """
    if position_ids is None:
        return None
    if position_ids.is_floating_point():
        raise ValueError(f"position_ids must be whole numbers, not {position_ids.dtype}")
    if position_ids.shape not in (shape, (1, shape[1]), shape[1:]):
        raise ValueError(f"position_ids must be {tuple(shape)}, not {tuple(position_ids.shape)}")
    return position_ids.long().expand(shape)


def surroundings(
    attention_mask: Tensor | None, position_ids: Tensor | None, shape: torch.Size, model: LoopedTransformer
) -> Surroundings:
    """Those of a pass without a cache.

    Args:
        attention_mask: ``(batch, positions)``, zeros at padding; or, by heads, ``(batch, 1, queries, keys)``.
        position_ids: ``(batch, positions)``; ``None`` counts what is no padding.
        shape: ``(batch, positions)``.
        model: The model.

    Raises:
        ValueError: The mask is none of these, or the model reads past it.
    """
    if attention_mask is None:
        return Surroundings(AttentionMask(), position_ids)
    if attention_mask.dim() == 4:
        return Surroundings(AttentionMask(causal=False, allowed=_allowed(attention_mask, shape, model)), position_ids)
    if attention_mask.shape != shape:
        raise ValueError(f"attention_mask must be {tuple(shape)}, not {tuple(attention_mask.shape)}")
    if bool(attention_mask.all()):
        return Surroundings(AttentionMask(), position_ids)
    real = attention_mask.bool()
    itself = torch.eye(shape[1], dtype=torch.bool, device=real.device)
    if position_ids is None:
        position_ids = (real.long().cumsum(1) - 1).clamp_min(0)
    return Surroundings(AttentionMask(allowed=real[:, None, :] | itself), position_ids, real)


def _allowed(given: Tensor, shape: torch.Size, model: LoopedTransformer) -> Tensor:
    """A mask by heads as booleans, ``(batch, queries, keys)``."""
    batch, length = shape
    if given.shape[0] not in (1, batch) or given.shape[1] != 1 or given.shape[2:] != (length, length):
        raise ValueError(f"attention_mask must be ({batch}, 1, {length}, {length}), not {tuple(given.shape)}")
    if any(isinstance(module, SeparableConvolution) for module in model.modules()):
        raise ValueError("attention_mask (batch, 1, queries, keys) does not bind feedforward 'separable_convolution'")
    if not model.core.halting.per_position:
        raise ValueError(
            f"attention_mask (batch, 1, queries, keys) does not bind halting {model.core.halting.kind!r}, which "
            "looks at whole sequences"
        )
    allowed = given
    if given.is_floating_point():
        allowed = given == 0
        if not bool((allowed | (given <= torch.finfo(given.dtype).min / 2)).all()):
            raise ValueError("attention_mask of floating numbers must be 0 where a key is read and -inf elsewhere")
    elif given.dtype != torch.bool:
        allowed = given != 0
    return allowed[:, 0] | torch.eye(length, dtype=torch.bool, device=given.device)  # a query must read something


def padding_of(attention_mask: Tensor | None, shape: tuple[int, int], held: Tensor | None) -> Tensor | None:
    """How many columns on the left of each row are padding, ``(batch,)``; ``None`` where none are.

    Args:
        attention_mask: ``(batch, columns so far)``, zeros at padding; ``None`` keeps what a cache has.
        shape: ``(batch, columns so far)``, the new ones included.
        held: The padding that a cache has.

    Raises:
        ValueError: The mask has another shape, its padding is not on the left, or is not what a cache has.
    """
    if attention_mask is None:
        return held
    if attention_mask.dim() == 4:
        raise ValueError("with a cache, attention_mask must be (batch, positions so far); use_cache=False takes others")
    if attention_mask.shape != shape:
        raise ValueError(
            f"attention_mask must be {shape}, with the positions of the cache, not {tuple(attention_mask.shape)}"
        )
    if not is_left_padded(attention_mask):
        raise ValueError("with a cache, padding must be on the left; set tokenizer.padding_side = 'left'")
    padding = shape[1] - attention_mask.bool().sum(1)
    return padding if bool(padding.any()) else None


def is_left_padded(attention_mask: Tensor) -> bool:
    """Whether padding, if there is any, is on the left alone."""
    real = attention_mask.bool()
    padding = real.shape[1] - real.sum(1)
    return torch.equal(real, torch.arange(real.shape[1], device=real.device) >= padding[:, None])


def restarts(position_ids: Tensor | None, real: Tensor | None = None) -> bool:
    """Whether positions begin anew within a row, among those that are no padding: it holds several sequences."""
    if position_ids is None:
        return False
    breaks = position_ids.diff(dim=1) != 1
    return bool((breaks if real is None else breaks & real[:, 1:] & real[:, :-1]).any())


def packed_positions(position_ids: Tensor | None, given: Mapping[str, Any], shape: torch.Size) -> Tensor | None:
    """Position ids of rows whose sequences are told apart in other ways, too.

    Args:
        position_ids: ``(batch, positions)``, where they are given.
        given: ``cu_seq_lens_q`` and ``_k``, where sequences begin and end in the flattened batch, ``(sequences + 1,)``;
            ``max_length_q`` and ``_k``, the longest; ``seq_idx``, a number for each, ``(batch, positions)``.
        shape: ``(batch, positions)``.

    Raises:
        ValueError: One of them says otherwise than the others.
    """
    given = {name: value for name, value in given.items() if value is not None}
    bounds = given.get("cu_seq_lens_q", given.get("cu_seq_lens_k"))
    if position_ids is None and bounds is not None:
        places = torch.arange(shape.numel(), device=bounds.device)
        starts = bounds.long()[torch.searchsorted(bounds.long(), places, right=True) - 1]
        position_ids = (places - starts).view(shape)
    if not given:
        return position_ids
    packing = None if position_ids is None else Packing(position_ids)
    for name, value in given.items():
        if packing is None or not packing.agrees(name, value):
            raise ValueError(
                f"{name} tells sequences apart otherwise than position_ids, whose restarts do; leave it out"
            )
    return position_ids


class Packing:
    """Rows that hold several sequences, run as these sequences: nothing of one can reach another.

    Args:
        position_ids: ``(batch, positions)``; a sequence goes on while they grow by one.

    Attributes:
        real: ``(sequences, longest)`` booleans, false where a sequence has ended.
    """

    def __init__(self, position_ids: Tensor) -> None:
        self.shape = position_ids.shape
        begins = torch.ones_like(position_ids, dtype=torch.bool)
        begins[:, 1:] = position_ids.diff(dim=1) != 1
        sequence = begins.flatten().cumsum(0) - 1
        starts = begins.flatten().nonzero().flatten()
        lengths = torch.bincount(sequence)
        offsets = torch.arange(int(lengths.max()), device=position_ids.device)
        self.real = offsets < lengths[:, None]
        self._places = torch.where(self.real, starts[:, None] + offsets, starts[:, None])
        self._rows = starts // self.shape[1]
        self._back = sequence, torch.arange(len(sequence), device=position_ids.device) - starts[sequence]

    def agrees(self, name: str, value: Any) -> bool:
        """Whether an argument of :func:`packed_positions` tells the same sequences apart."""
        sequence, _ = self._back
        if name == "seq_idx":
            same = torch.as_tensor(value).expand(self.shape).diff(dim=1) == 0
            return torch.equal(same.cpu(), (sequence.view(self.shape).diff(dim=1) == 0).cpu())
        lengths = self.real.sum(1)
        if name.startswith("max_length"):
            return int(value) == int(lengths.max())
        return torch.as_tensor(value).tolist() == [0, *lengths.cumsum(0).tolist()]

    def take(self, x: Tensor) -> Tensor:
        """``(batch, positions, ...)`` as ``(sequences, longest, ...)``."""
        return x.flatten(0, 1)[self._places]

    def put_back(self, x: Tensor) -> Tensor:
        """``(sequences, longest, ...)`` as ``(batch, positions, ...)``."""
        return x[self._back].unflatten(0, tuple(self.shape))

    def counts(self, iterations: Iterations | None) -> Iterations | None:
        """Loop counts of rows or positions as those of the sequences."""
        if not isinstance(iterations, Tensor):
            return iterations
        if iterations.dim() == 1 and iterations.shape == self.shape[:1]:
            return iterations[self._rows.to(iterations.device)]
        return self.take(iterations) if iterations.shape == self.shape else iterations
