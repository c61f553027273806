"""Which dtypes a pass computes in, seen from below the modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import mythos_blocks.feedforward.grouped  # noqa: F401  (registers its operators)

aten, ours = torch.ops.aten, torch.ops.mythos_blocks
PRODUCTS = {
    aten.mm,
    aten.addmm,
    aten.bmm,
    aten.baddbmm,
    aten.convolution,
    aten._scaled_dot_product_flash_attention_for_cpu,
    ours.grouped_linear,
}


class Dtypes(TorchDispatchMode):
    """What passes through torch's functions and operators inside it.

    Attributes:
        called: Names of the functions that autocast had its way with.
        products: Dtypes of what they multiplied, and of what came out.
        exact: The same of functions that were called with autocast off.
        made: Floating dtypes of all results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()
        self.products: set[torch.dtype] = set()
        self.exact: set[torch.dtype] = set()
        self.made: set[torch.dtype] = set()
        self._above = _Above(self.called)

    def __enter__(self) -> Dtypes:
        super().__enter__()
        self._above.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._above.__exit__(*error)
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.made |= floating(out)
        experts = func._overloadpacket is ours.grouped_linear
        if func._overloadpacket in PRODUCTS:
            # Experts' weights are cast within the operator: what is multiplied shows in its first argument.
            given = floating(args[0] if experts else args)
            seen = self.products if self._above.autocast or experts else self.exact
            # Attention's second result is its log-sum-exp, which torch has in float32 whatever it is given.
            seen |= given | floating(out[0] if isinstance(out, tuple) else out)
        return out


class _Above(TorchFunctionMode):
    """Sees functions before autocast does; operators are called by these."""

    def __init__(self, called: set[str]) -> None:
        super().__init__()
        self.called, self.autocast = called, False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.autocast = torch.is_autocast_enabled("cpu")
        if self.autocast:
            self.called.add(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


def floating(values: Any) -> set[torch.dtype]:
    """The floating dtypes of the tensors in a tree."""
    return {x.dtype for x in tree_leaves(values) if isinstance(x, Tensor) and x.is_floating_point()}
