"""The place of a process among those that train one model together, and what they tell each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Rank:
    """The place of this process among those that train together.

    Attributes:
        index: Its number; 0 is the process that called ``run``.
        num: How many there are.
        local: Its number on this machine.
        num_local: How many there are on this machine.
        device: Where it computes.
    """

    index: int = 0
    num: int = 1
    local: int = 0
    num_local: int = 1
    device: torch.device = torch.device("cpu")

    def share(self, batch: range) -> range:
        """This rank's samples out of a batch's, whose number its own divides."""
        size = len(batch) // self.num
        return batch[self.index * size : (self.index + 1) * size]

    def total(self, values: Tensor) -> Tensor:
        """The sum of the ranks' values."""
        if self.num > 1:
            values = values.to(self.device, copy=True)
            dist.all_reduce(values)
        return values

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The means of the ranks' numbers; the names are the same on all."""
        if self.num == 1 or not values:
            return dict(values)
        stacked = torch.stack([value.to(self.device).double() for value in values.values()])
        return dict(zip(values, self.total(stacked) / self.num, strict=True))

    def each(self, value: Any) -> list[Any]:
        """What every rank says, on all of them: plain values, which travel as JSON."""
        if self.num == 1:
            return [value]
        own = self._written(value)
        lengths = [torch.zeros(1, dtype=torch.long, device=self.device) for _ in range(self.num)]
        dist.all_gather(lengths, torch.tensor([len(own)], device=self.device))
        longest = max(int(length) for length in lengths)
        said = [torch.zeros(longest, dtype=torch.uint8, device=self.device) for _ in range(self.num)]
        dist.all_gather(said, torch.nn.functional.pad(own, (0, longest - len(own))))
        return [_read(text[: int(length)]) for text, length in zip(said, lengths, strict=True)]

    def first(self, value: Any) -> Any:
        """What rank 0 says, on all ranks; a plain value, which travels as JSON. What the others say does not count."""
        if self.num == 1:
            return value
        own = self._written(value)
        length = torch.tensor([len(own)], device=self.device)
        dist.broadcast(length, src=0)
        said = own if self.index == 0 else torch.zeros(int(length), dtype=torch.uint8, device=self.device)
        dist.broadcast(said, src=0)
        return _read(said)

    def _written(self, value: Any) -> Tensor:
        return torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8, device=self.device)

    def agree(self, value: int) -> int:
        """What rank 0 says, on all ranks."""
        if self.num == 1:
            return value
        said = torch.tensor(value, device=self.device)
        dist.broadcast(said, src=0)
        return int(said)


def _read(said: Tensor) -> Any:
    return json.loads(bytes(said.tolist()))
