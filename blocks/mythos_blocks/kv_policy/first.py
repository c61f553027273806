"""Keys and values of the first iteration for all."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "first")
class First(KVPolicy):
    """All iterations read the keys and values of the first (MoR share-step-1, arXiv 2507.10524): one entry in all.

    Later iterations do not write, so decoding with a cache is exact.
    """

    reuses = True

    def __init__(self) -> None:
        pass

    def entry(self, t: int) -> int:
        return 0

    def writes(self, t: int) -> bool:
        return t == 0
