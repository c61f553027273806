"""The contract of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from mythos_blocks import Component, declare_slot
from mythos_blocks.objective import IGNORE as IGNORE

declare_slot("task", "What the model learns.")

Split = Literal["train", "validation", "test", "ood"]
HeldOut = Literal["validation", "test", "ood"]
Array = NDArray[Any]

MAX_SHORTCUT = 0.1
"""How far a shortcut may lead from chance (0) to every answer right (1) in a task that is called compositional."""


FEWEST_UNITS = 5
"""Units (samples, documents), by their effective number, of which there is an interval: fewer do not show how they
scatter."""


@dataclass(frozen=True)
class Batch:
    """Samples, ready for a model.

    Attributes:
        tokens: ``(batch, positions)`` integers below the task's ``vocab_size``.
        targets: ``(batch, positions)`` integers below ``vocab_size``, or ``IGNORE`` where nothing is scored.
        allowed: ``(batch, positions, positions)`` booleans, true where a query may read a key; ``None`` for
            tasks without a mask of their own.
        difficulty: Integers on the task's difficulty axis, ``(batch,)``, or ``(batch, positions)`` where the answers
            of one sample differ in it; ``None`` for tasks without one.
        slices: Further integers by which results are reported apart, ``(batch,)`` or ``(batch, positions)``.
        records: What probes need to know of a sample and a model never sees, ``(batch, ...)``.
        real: ``(batch, positions)`` booleans, true where there is no padding; ``None`` where nothing is padded. Padding
            fills samples at their end to equal length, and is neither scored nor read, nor does it count in any mean.
        units: ``(batch, positions)`` integers, equal for targets that were drawn as a whole (a document's), over all
            batches of a split; ``None`` where a sample is such a unit. Intervals count units.
    """

    tokens: Tensor
    targets: Tensor
    allowed: Tensor | None = None
    difficulty: Tensor | None = None
    slices: Mapping[str, Tensor] = field(default_factory=dict)
    records: Mapping[str, Tensor] = field(default_factory=dict)
    real: Tensor | None = None
    units: Tensor | None = None

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The batch with every tensor changed."""
        return Batch(
            change(self.tokens),
            change(self.targets),
            None if self.allowed is None else change(self.allowed),
            None if self.difficulty is None else change(self.difficulty),
            {name: change(tensor) for name, tensor in self.slices.items()},
            {name: change(tensor) for name, tensor in self.records.items()},
            None if self.real is None else change(self.real),
            None if self.units is None else change(self.units),
        )

    def num_real(self) -> int | Tensor:
        """Positions that are no padding; a scalar on the batch's device where some are."""
        return self.tokens.numel() if self.real is None else self.real.sum()

    def real_values(self, x: Tensor) -> Tensor:
        """Of ``x``, ``(batch, positions, ...)``, what stands where nothing is padded: ``(real, ...)``."""
        return x.flatten(0, 1) if self.real is None else x[self.real]

    def per_position(self, values: Tensor) -> Tensor:
        """What is known of samples ``(batch,)``, or of positions, for each position: ``(batch, positions)``."""
        return (values[:, None] if values.dim() == 1 else values).expand(self.tokens.shape)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device."""
        return self.map(lambda tensor: tensor.to(device))


@dataclass(frozen=True)
class Shortcut:
    """What an audit found about one feature of the input.

    Attributes:
        feature: What is read off the input.
        difficulty: The difficulty at which it was audited; ``None`` for all together.
        accuracy: Held-out accuracy of the best prediction from that feature alone.
        low: Lower end of its 99.9 % interval (Wilson's, one-sided).
        chance: Held-out accuracy of the best prediction from nothing.
        num_samples: Answers on which the accuracy was measured.
        partial: Whether the feature is an honest part of the work (what fewer steps would bring) and not a way
            around it.
    """

    feature: str
    difficulty: int | None
    accuracy: float
    low: float
    chance: float
    num_samples: int
    partial: bool = False

    @property
    def explained(self) -> float:
        """How far it leads from chance (0) to every answer right (1)."""
        return (self.accuracy - self.chance) / max(1e-9, 1 - self.chance)

    @property
    def surely_explained(self) -> float:
        """The same from the lower end of the interval: what is beyond doubt."""
        return (self.low - self.chance) / max(1e-9, 1 - self.chance)


class Task(Component):
    """What a model learns: samples by index, each the same bytes whenever and wherever it is asked for.

    Attributes:
        vocab_size: Tokens are integers below it; targets too.
        positions: Tokens in a sample, but for those out of distribution.
        ood_positions: Tokens in a sample out of distribution; ``None`` for tasks without that split.
        difficulty_name: What the difficulty axis counts (``"hops"``); ``None`` for tasks without one.
        difficulty_is_depth: Whether it counts steps each of which needs the one before, so that a loop that does one in
            each iteration needs as many.
        answers: Tokens among which a prediction is the likeliest; ``None`` for all tokens.
        has_mask: Whether batches carry ``allowed``.
        pads: Whether batches carry ``real``, because samples may be shorter than others.
        ood_pads: The same of those out of distribution.
        causal: Whether the targets make sense only for a model that cannot see later positions.
        bidirectional: Whether the answers need later positions, so that a causal mask makes the task unsolvable.
        prefix_positions: Positions at the start of every sample that are no tokens of it, for a model's prefix.
        compositional: Whether the task claims that no shortcut leads further than ``MAX_SHORTCUT``.
        held_out_alike: Whether one rule keeps the validation and the test split apart from training, so that what
            holds of one holds of the other.
    """

    vocab_size: int
    positions: int
    ood_positions: int | None = None
    difficulty_name: str | None = None
    difficulty_is_depth: bool = False
    answers: tuple[int, ...] | None = None
    has_mask: bool = False
    pads: bool = False
    ood_pads: bool = False
    causal: bool = False
    bidirectional: bool = False
    prefix_positions: int = 0
    compositional: bool = False
    held_out_alike: bool = False

    @property
    def chance(self) -> float | None:
        """Accuracy of the best guess that does not look at the input; ``None`` where it has no meaning."""
        return None

    def batch(self, split: Split, indices: range) -> Batch:
        """The samples with these indices. Training indices have no end; those of the other splits end at ``size``.

        Raises:
            IndexError: An index beyond the end of a split other than ``train``.
        """
        raise NotImplementedError

    def size(self, split: HeldOut) -> int:
        """Samples in a split that is evaluated; 0 for one that the task does not have."""
        raise NotImplementedError

    def bits_per_byte(self, split: HeldOut) -> float | None:
        """Factor from a split's loss in nats per token to bits per byte; ``None`` for tasks that are not text."""
        return None

    def fingerprint(self) -> str:
        """A hash of everything that determines the data, hexadecimal; equal data have equal fingerprints."""
        raise NotImplementedError

    def audit(self, num_samples: int = 4096, *, partial: bool = True) -> list[Shortcut]:
        """How far features that need no reasoning go, measured; empty for tasks without declared features.

        Args:
            num_samples: Samples at each difficulty, about.
            partial: Whether features that are an honest part of the work are measured as well.
        """
        return []

    def render(self, batch: Batch, row: int) -> str:
        """A sample as a person reads it: the tokens, an arrow, the answers."""
        raise NotImplementedError

    def describe(self) -> str:
        """What the data are, where their fields do not say it; a few lines, or none."""
        return ""

    def identity(self) -> dict[str, str]:
        """What a run records of the data beside their fingerprint (a tokenizer's name and hash, ...)."""
        return {}

    def files(self) -> dict[str, str]:
        """What a run keeps of the task, by file name, to read and write what its model does without the data."""
        return {}

    def remarks(self) -> list[str]:
        """What whoever trains on the data should know of them (what was left out, ...), a line each; empty if fine."""
        return []
