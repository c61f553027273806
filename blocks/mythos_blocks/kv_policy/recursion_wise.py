"""Keys and values of the positions that are alive."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "recursion_wise")
class RecursionWise(KVPolicy):
    """An iteration reads those positions only that it runs itself (MoR's recursion-wise caching, arXiv 2507.10524).

    Without halting, exits or unequal loop counts it is ``per_loop``.
    """

    alive_only = True

    def __init__(self) -> None:
        pass
