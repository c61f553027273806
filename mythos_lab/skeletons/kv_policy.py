"""A key-value policy: iterations take turns."""

from __future__ import annotations

from mythos_blocks import KVPolicy, component
from mythos_blocks.declaring.types import Count


@component("kv_policy", "skeleton")
class Skeleton(KVPolicy):
    """The first ``num_entries`` iterations write keys and values, and later ones read theirs in turn.

    Args:
        num_entries: Sets of keys and values that are kept.
    """

    reuses = True

    def __init__(self, *, num_entries: Count = 2) -> None:
        self.num_entries = num_entries

    def entry(self, t: int) -> int:
        return t % self.num_entries

    def writes(self, t: int) -> bool:
        return t < self.num_entries
