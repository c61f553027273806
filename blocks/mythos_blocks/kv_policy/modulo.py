"""Keys and values that iterations share in turn."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.kv_policy.base import KVPolicy
from mythos_blocks.kv_policy.counting import Counted, check_counted, over_layers


@component("kv_policy", "modulo")
class Modulo(KVPolicy):
    """Iterations share ``period`` entries, in turn.

    Huginn's ``compress-s`` is this with ``counts: layers`` and ``overwrite``; where its period is a multiple of the
    core's depth, it is so many iterations.

    Args:
        period: Entries.
        share: ``reuse`` lets the first ``period`` iterations write and all read, in training too: exact. ``overwrite``
            lets every iteration write its entry in decoding: inexact.
        counts: Whether ``iterations`` take turns, or the ``layers`` of all iterations, one after the other.

    Raises:
        ValueError: ``counts: layers`` meets ``share: reuse``.
    """

    def __init__(
        self,
        *,
        period: Count = 4,
        share: Literal["reuse", "overwrite"] = "reuse",
        counts: Counted = "iterations",
    ) -> None:
        check_counted(counts, share)
        self.period, self.counts = period, counts
        self.reuses = self.exact = share == "reuse"

    def entry(self, t: int) -> int:
        return t % self.period

    def place(self, path: tuple[str | int, ...], t: int) -> tuple[tuple[str | int, ...], int]:
        if self.counts == "iterations":
            return super().place(path, t)
        shared, number = over_layers(path, t, self.num_layers)
        return shared, number % self.period

    def writes(self, t: int) -> bool:
        return t < self.period or not self.reuses
