"""Keys and values of the last iteration for later calls."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.kv_policy.base import KVPolicy


@component("kv_policy", "last")
class LastWritten(KVPolicy):
    """Positions of earlier calls are read as they were after their last iteration (Ouro in decoding, arXiv 2510.25741).

    One entry, overwritten by every iteration. Within a call every iteration reads its own keys and values, as in
    training, so decoding with a cache is another model: inexact.
    """

    exact = False

    def __init__(self) -> None:
        pass

    def entry(self, t: int) -> int:
        return 0
