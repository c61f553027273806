"""Keys and values that runs of iterations share."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "blocks")
class Blocks(KVPolicy):
    """Each run of ``length`` iterations shares one entry, in each layer.

    With a core of one layer and ``overwrite`` it is Huginn's ``compress-r``. That counts layers and not iterations,
    ``(t * depth + layer) // length``, so in a deeper core neighbouring layers write to one entry there, and never here.

    Args:
        length: Iterations in a run.
        share: ``reuse`` lets the first of a run write and all read, in training too: exact. ``overwrite`` lets every
            iteration write in decoding: inexact.
    """

    def __init__(self, *, length: Count = 4, share: Literal["reuse", "overwrite"] = "reuse") -> None:
        self.length = length
        self.reuses = self.exact = share == "reuse"

    def entry(self, t: int) -> int:
        return t // self.length

    def writes(self, t: int) -> bool:
        return t % self.length == 0 or not self.reuses
