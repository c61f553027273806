"""Keys and values that iterations share in turn."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "modulo")
class Modulo(KVPolicy):
    """Iterations share ``period`` entries, in turn.

    Huginn's ``compress-s`` counts layers, ``(t * depth + layer) % n``: it is this with ``overwrite`` where n is
    ``period`` times the core's depth.

    Args:
        period: Entries.
        share: ``reuse`` lets the first ``period`` iterations write and all read, in training too: exact. ``overwrite``
            lets every iteration write its entry in decoding: inexact.
    """

    def __init__(self, *, period: Count = 4, share: Literal["reuse", "overwrite"] = "reuse") -> None:
        self.period = period
        self.reuses = self.exact = share == "reuse"

    def entry(self, t: int) -> int:
        return t % self.period

    def writes(self, t: int) -> bool:
        return t < self.period or not self.reuses
