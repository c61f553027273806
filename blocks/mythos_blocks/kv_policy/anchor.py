"""Keys and values of the first iterations, then shared ones."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "anchor")
class Anchor(KVPolicy):
    """The first iterations have entries of their own, the others share a ring (Huginn's ``compress-anchor``: 8 and 1).

    Args:
        num_exact: Iterations with entries of their own.
        period: Entries of the ring.
        share: ``reuse`` lets the first turn of the ring write and all read, in training too: exact. ``overwrite`` lets
            every iteration write, as Huginn does in decoding: inexact.
    """

    def __init__(
        self, *, num_exact: Count = 8, period: Count = 1, share: Literal["reuse", "overwrite"] = "reuse"
    ) -> None:
        self.num_exact, self.period = num_exact, period
        self.reuses = self.exact = share == "reuse"

    def entry(self, t: int) -> int:
        return t if t < self.num_exact else self.num_exact + (t - self.num_exact) % self.period

    def writes(self, t: int) -> bool:
        return t < self.num_exact + self.period or not self.reuses
