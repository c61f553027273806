"""Counting the products and sums that a computation runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class FlopCount(TorchDispatchMode):
    """Adds up the FLOPs of what runs inside it, by torch's own formulas; works without numbers too.

    torch's ``FlopCounterMode`` also follows modules with hooks on gradients, which gradients inside a forward pass
    (penalties, fixed points) do not bear, and it knows no formula for attention on the CPU and for our own operators.

    Attributes:
        total: FLOPs so far.
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # with Triton, which the effect check need not wait for

        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self._formulas = flop_registry  # asked each time: components add to it when they are made

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: for that torch imports its compiler, which takes more than a second of CPU."""
        return False

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func._overloadpacket  # type: ignore[attr-defined]
        formula = _ATTENTION.get(packet) or self._formulas.get(packet)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """Scores and their product with the values, masked ones included."""
    return 2 * q.shape[:-1].numel() * k.shape[-2] * (q.shape[-1] + v.shape[-1])


def _attention_backward(gradient: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """The scores once more, and the gradients of scores, values, queries and keys, as torch counts it elsewhere."""
    return 2 * q.shape[:-1].numel() * k.shape[-2] * (3 * q.shape[-1] + 2 * v.shape[-1])


_ATTENTION: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
