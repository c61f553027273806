"""No injection."""

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.widths import same_width
from mythos_blocks.injection.base import Injection


@component("injection", "none")
class NoInjection(Injection):
    """The input enters through the initial state only (Universal Transformer, arXiv 1807.03819).

    Args:
        width: Channels of the state.
        input_width: Channels of the input e; the width where it is left out.
    """

    def __init__(self, width: int, input_width: int | None = None) -> None:
        super().__init__()
        same_width(self, width, input_width)
