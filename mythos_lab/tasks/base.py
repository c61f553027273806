"""The contract of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mythos_blocks import Component, declare_slot
from mythos_blocks.objective import IGNORE as IGNORE

declare_slot("task", "What the model learns.")

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Batch:
    """Samples, ready for a model.

    Attributes:
        tokens: ``(batch, positions)`` integers below the task's ``vocab_size``.
        targets: ``(batch, positions)`` integers below ``vocab_size``, or ``IGNORE`` where nothing is scored.
        allowed: ``(batch, positions, positions)`` booleans, true where a query may read a key; ``None`` for
            tasks without a mask of their own.
        difficulty: ``(batch,)`` integers on the task's difficulty axis; ``None`` for tasks without one.
    """

    tokens: Tensor
    targets: Tensor
    allowed: Tensor | None = None
    difficulty: Tensor | None = None

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        allowed = None if self.allowed is None else self.allowed.to(device)
        difficulty = None if self.difficulty is None else self.difficulty.to(device)
        return Batch(self.tokens.to(device), self.targets.to(device), allowed, difficulty)


@dataclass(frozen=True)
class Shortcut:
    """What an audit found about one feature that needs no reasoning.

    Attributes:
        feature: What is read off the input.
        difficulty: The difficulty at which it was audited; ``None`` for all together.
        accuracy: Held-out accuracy of the best prediction from that feature alone.
        num_samples: Samples on which the accuracy was measured.
    """

    feature: str
    difficulty: int | None
    accuracy: float
    num_samples: int


class Task(Component):
    """What a model learns: samples by index, each the same bytes whenever and wherever it is asked for.

    Attributes:
        vocab_size: Tokens are integers below it; targets too.
        positions: Tokens in a sample.
        difficulty_name: What the difficulty axis counts (``"hops"``); ``None`` for tasks without one.
        chance: Accuracy of guessing; ``None`` where it has no meaning.
        answers: Tokens among which a prediction is the likeliest; ``None`` for all tokens.
        has_mask: Whether batches carry ``allowed``.
        causal: Whether the targets make sense only for a model that cannot see later positions.
        bits_per_byte: Factor from a loss in nats per token to bits per byte; ``None`` for tasks that are not text.
    """

    vocab_size: int
    positions: int
    difficulty_name: str | None = None
    chance: float | None = None
    answers: tuple[int, ...] | None = None
    has_mask: bool = False
    causal: bool = False
    bits_per_byte: float | None = None

    def batch(self, split: Split, indices: range) -> Batch:
        """The samples with these indices. Training indices have no end; those of the other splits end at ``size``.

        Raises:
            IndexError: An index beyond the end of a split other than ``train``.
        """
        raise NotImplementedError

    def size(self, split: Literal["validation", "test"]) -> int:
        """Samples in a split that is evaluated."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A hash of everything that determines the data, hexadecimal; equal data have equal fingerprints."""
        raise NotImplementedError

    def audit(self, num_samples: int = 4096) -> list[Shortcut]:
        """How far features that need no reasoning go, measured; empty for tasks that claim no reasoning."""
        return []
