"""Keys and values of each iteration's own."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "per_loop")
class PerLoop(KVPolicy):
    """Every iteration reads the keys and values that it wrote itself; the cache grows with the loops."""

    def __init__(self) -> None:
        pass
