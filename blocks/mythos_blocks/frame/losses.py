"""Terms of the training loss that layers leave."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mythos_blocks.frame.memory import Path, Tensors
from mythos_blocks.frame.settable import settable

Statistics = dict[tuple[str, Path], Tensors]
"""By name and place: over how many positions, and sums over these; see :meth:`mythos_blocks.frame.Frame.add_loss`."""


@settable
@dataclass(frozen=True)
class Losses:
    """Terms by name, averaged over the calls that left them.

    Attributes:
        totals: For each name the sum of the terms and how many they are, ``(2,)``.
    """

    totals: Mapping[str, Tensor] = field(default_factory=dict)

    def after(self, parts: Iterable[Statistics]) -> Losses:
        """With the terms of calls that were computed in these parts."""
        sums: Statistics = {}
        for part in parts:
            for key, values in part.items():
                so_far = sums.get(key)
                sums[key] = values if so_far is None else tuple(a + b for a, b in zip(so_far, values, strict=True))
        if not sums:
            return self
        totals = dict(self.totals)
        for (name, _), (num, *quantities) in sums.items():
            means = (quantity / num.clamp_min(1) for quantity in quantities)
            term = functools.reduce(operator.mul, means).sum()
            counted = torch.stack((term, torch.ones_like(term)))
            totals[name] = totals[name] + counted if name in totals else counted
        return Losses(totals)

    def means(self) -> dict[str, Tensor]:
        """Each term's mean over calls, a scalar."""
        return {name: total[0] / total[1] for name, total in self.totals.items()}
