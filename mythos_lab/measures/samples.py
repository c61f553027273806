"""What a model is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from mythos_lab.recipe.mask import MaskKind
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import IGNORE, Batch, HeldOut, Task

NUM_SAMPLES = 500
"""Samples that a run is measured on, where it has as many."""

_MAX_POSITIONS = 2**14
"""Positions that they may have together; of longer samples there are fewer."""

_FEWEST = 16

_FEWEST_DIFFERENT = 64  # samples, to be parted by


@dataclass(frozen=True)
class Samples:
    """Samples, and how a model reads them.

    Attributes:
        batches: The samples in their order.
        mask: Which positions may read which.
        precision: Dtype of the products.
        answers: Tokens among which a prediction is the likeliest; ``None`` for all.
        difficulty_name: What the difficulty of a sample counts; ``None`` where there is none.
        difficulty_is_depth: Whether it counts steps that follow one another, so that a loop that does one in each
            iteration needs as many.
    """

    batches: tuple[Batch, ...]
    mask: MaskKind = "causal"
    precision: Literal["float32", "bfloat16"] = "float32"
    answers: tuple[int, ...] | None = None
    difficulty_name: str | None = None
    difficulty_is_depth: bool = False

    def __post_init__(self) -> None:
        if not any(bool((batch.targets != IGNORE).any()) for batch in self.batches):
            raise ValueError("samples: no position is scored; expected targets other than IGNORE")
        if self.difficulty_is_depth and any(batch.difficulty is None for batch in self.batches):
            raise ValueError("samples: difficulty_is_depth is said of samples that have no difficulty")

    @classmethod
    def of(cls, task: Task, recipe: Recipe, split: HeldOut = "validation", num_samples: int = NUM_SAMPLES) -> Samples:
        """The first samples of a split, as a recipe's models read them."""
        size, step = min(num_samples, task.size(split)), recipe.evaluation.batch_size
        batches: list[Batch] = []
        num_rows = num_positions = 0
        while num_rows < size and (num_rows < _FEWEST or num_positions < _MAX_POSITIONS):
            room = max(_FEWEST, (_MAX_POSITIONS - num_positions) // task.positions)
            batch = task.batch(split, range(num_rows, min(size, num_rows + min(step, room))))
            batches.append(batch)
            num_rows, num_positions = num_rows + len(batch.tokens), num_positions + batch.tokens.numel()
        name = task.difficulty_name
        reads = recipe.mask, recipe.training.precision
        return cls(tuple(batches), *reads, task.answers, name, task.difficulty_is_depth)

    @classmethod
    def of_tokens(
        cls,
        tokens: Tensor,
        targets: Tensor,
        *,
        mask: MaskKind = "causal",
        allowed: Tensor | None = None,
        real: Tensor | None = None,
        difficulty: Tensor | None = None,
        difficulty_is_depth: bool = False,
        slices: Mapping[str, Tensor] | None = None,
        answers: tuple[int, ...] | None = None,
        batch_size: int = 256,
    ) -> Samples:
        """Samples of one's own.

        Args:
            tokens: ``(samples, positions)``.
            targets: ``(samples, positions)``, ``IGNORE`` (-100) where nothing is scored.
            mask: ``task`` reads what ``allowed`` allows.
            allowed: ``(samples, positions, positions)`` booleans.
            real: ``(samples, positions)`` booleans: the positions that are no padding.
            difficulty: ``(samples,)`` or ``(samples, positions)`` integers.
            difficulty_is_depth: As in :class:`Samples`.
            slices: Further integers by which results are reported apart, by name, of the same shapes.
            answers: Tokens among which a prediction is the likeliest.
            batch_size: Samples of a pass.

        Raises:
            ValueError: The shapes do not fit each other, nothing is scored, or there is no difficulty to be the depth.
        """
        if targets.shape != tokens.shape:
            raise ValueError(f"targets {tuple(targets.shape)} must have the shape of tokens, {tuple(tokens.shape)}")
        if (mask == "task") != (allowed is not None):
            raise ValueError("mask='task' and allowed go together")
        whole = Batch(tokens, targets, allowed, difficulty, slices or {}, real=real)
        rows = range(0, len(tokens), batch_size)
        parts = (rows_of(whole, torch.arange(start, min(start + batch_size, len(tokens)))) for start in rows)
        name = None if difficulty is None else "difficulty"
        return cls(tuple(parts), mask, answers=answers, difficulty_name=name, difficulty_is_depth=difficulty_is_depth)

    def to(self, device: torch.device) -> Samples:
        """The samples on another device."""
        return replace(self, batches=tuple(batch.to(device) for batch in self.batches))

    def halves(self) -> tuple[Samples, Samples]:
        """The samples in two halves that share no unit (``Batch.units``), dealt in turn.

        A sample that holds units of both halves is in both, with the targets of the other half's units left out.
        """
        units = list(self._units())
        known = torch.cat([u[batch.targets != IGNORE] for u, batch in zip(units, self.batches, strict=True)]).unique()
        halves = []
        for half in (0, 1):
            kept = []
            for u, batch in zip(units, self.batches, strict=True):
                here = (torch.searchsorted(known, u.contiguous()) % 2 == half) & (batch.targets != IGNORE)
                part = replace(batch, targets=batch.targets.where(here, IGNORE))
                if bool(here.any()):
                    kept.append(rows_of(part, here.any(1).nonzero()[:, 0]))
            halves.append(replace(self, batches=tuple(kept)) if kept else None)
        first, second = halves
        assert first is not None and second is not None, "one unit cannot be halved"
        return first, second

    def groups(self) -> Tensor:
        """What the scored targets may be parted by where something is fitted, ``(scored,)`` integers on the host.

        Equal for targets of one unit, and for those of samples that read the same, as a small space has many: whatever
        is fitted on some of them knows the others. Of fewer than 64 different samples they are units alone.
        """
        units, known, found, start = self.units(), dict[bytes, Tensor](), list[Tensor](), 0
        for batch in self.batches:
            for row, scored in zip(batch.tokens.cpu(), (batch.targets != IGNORE).cpu(), strict=True):
                own = units[start : (start := start + int(scored.sum()))]
                found.append(known.setdefault(row.numpy().tobytes() + scored.numpy().tobytes(), own))
        return torch.cat(found).unique(return_inverse=True)[1] if len(known) >= _FEWEST_DIFFERENT else units

    def fitted(self) -> Tensor:
        """The scored targets to fit a probe on, every second group: ``(scored,)`` booleans; the rest are held out."""
        return self.groups() % 2 == 0

    def in_parts(self, *sizes: int) -> Samples:
        """The samples in batches of these sizes, the last of which goes on as long as it may."""
        parts: list[Batch] = []
        for batch in self.batches:
            start = 0
            while start < len(batch.tokens):
                size = sizes[min(len(parts), len(sizes) - 1)]
                parts.append(rows_of(batch, torch.arange(start, min(start + size, len(batch.tokens)))))
                start += size
        return replace(self, batches=tuple(parts))

    @property
    def num_rows(self) -> int:
        """Samples."""
        return sum(len(batch.tokens) for batch in self.batches)

    @property
    def num_units(self) -> int:
        """Units that are scored."""
        return int(self.units().max()) + 1

    def units(self) -> Tensor:
        """The unit that each scored target was drawn with, numbered from 0, ``(scored,)`` on the host."""
        found = [u[batch.targets != IGNORE].cpu() for u, batch in zip(self._units(), self.batches, strict=True)]
        return torch.cat(found).unique(return_inverse=True)[1]

    def _units(self) -> Iterator[Tensor]:
        """The unit of each target, ``(batch, positions)``: the sample's number where there are no others."""
        start = 0
        for batch in self.batches:
            rows = torch.arange(start, start + len(batch.tokens), device=batch.tokens.device)
            yield rows[:, None].expand(batch.targets.shape) if batch.units is None else batch.units
            start += len(batch.tokens)


def rows_of(batch: Batch, rows: Tensor) -> Batch:
    """The samples of a batch at these places, ``(chosen,)``."""
    return batch.map(lambda tensor: tensor[rows.to(tensor.device)])
