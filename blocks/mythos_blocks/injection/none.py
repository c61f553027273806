"""No injection."""

from mythos_blocks.component import component
from mythos_blocks.injection.base import Injection


@component("injection", "none")
class NoInjection(Injection):
    """The input enters through the initial state only (Universal Transformer, arXiv 1807.03819)."""

    def __init__(self, width: int) -> None:
        super().__init__()
