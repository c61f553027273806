"""No stabiliser."""

from __future__ import annotations

from mythos_blocks.declaring.component import component
from mythos_blocks.stabilizer.base import Stabilizer


@component("stabilizer", "none")
class NoStabilizer(Stabilizer):
    """The optimiser alone moves the weights."""

    def __init__(self) -> None:
        pass
