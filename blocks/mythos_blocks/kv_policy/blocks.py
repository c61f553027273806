"""Keys and values that runs of iterations share."""

from __future__ import annotations

from typing import Literal

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count
from mythos_blocks.kv_policy.base import KVPolicy
from mythos_blocks.kv_policy.counting import Counted, check_counted, over_layers


@component("kv_policy", "blocks")
class Blocks(KVPolicy):
    """Each run of ``length`` iterations shares one entry, in each layer.

    With ``counts: layers`` and ``overwrite`` it is Huginn's ``compress-r``, whose runs are of layers, so that
    neighbouring ones write to one entry.

    Args:
        length: Iterations, or layers, in a run.
        share: ``reuse`` lets the first of a run write and all read, in training too: exact. ``overwrite`` lets every
            iteration write in decoding: inexact.
        counts: Whether runs are of ``iterations``, or of the ``layers`` of all iterations, one after the other.

    Raises:
        ValueError: ``counts: layers`` meets ``share: reuse``.
    """

    def __init__(
        self,
        *,
        length: Count = 4,
        share: Literal["reuse", "overwrite"] = "reuse",
        counts: Counted = "iterations",
    ) -> None:
        check_counted(counts, share)
        self.length, self.counts = length, counts
        self.reuses = self.exact = share == "reuse"

    def entry(self, t: int) -> int:
        return t // self.length

    def place(self, path: tuple[str | int, ...], t: int) -> tuple[tuple[str | int, ...], int]:
        if self.counts == "iterations":
            return super().place(path, t)
        shared, number = over_layers(path, t, self.num_layers)
        return shared, number // self.length

    def writes(self, t: int) -> bool:
        return t % self.length == 0 or not self.reuses
