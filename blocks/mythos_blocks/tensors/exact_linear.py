"""A linear map that decides."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.tensors.precision import exact_linear


class ExactLinear(nn.Linear):
    """A linear whose output is in float32 or wider, under autocast and in half precision too: for routers and halting.

    Two logits that differ by less than bfloat16 tells apart choose by the order of their indices, and a probability to
    halt of .999 is 1 there.

    Shapes: ``(..., in) -> (..., out)``.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The exact output."""
        return exact_linear(input, self.weight, self.bias)
