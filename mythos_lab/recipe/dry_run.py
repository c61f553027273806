"""Running a model by the shapes of its tensors alone, as if on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

_aten = torch.ops.aten
_DEVICE = torch.ops.prim.device.default
_INDEXING = {
    _aten.index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
    _aten._unsafe_index_put.default,
}


class Numberless(RuntimeError):
    """A computation asked for numbers that a dry run does not have."""


class DryRun(TorchDispatchMode):
    """Runs what is inside it without floating-point numbers, and with the operators that the CPU would run.

    Weights, activations, gradients and the optimiser's state have shapes and dtypes (they are torch's fake tensors).
    What follows from whole numbers, booleans and vectors alone is computed: tokens, targets, masks, positions, loop
    counts, and with them how many positions are scored or selected. The meta device would do neither: it picks other
    attention operators than the CPU, which save other tensors, knows no autocast, and cannot select by a mask.

    Yes-or-no questions about numbers that are not there (has every position halted?) are answered with no, so that
    what depends on them is counted in full.

    Raises:
        Numberless: Something else about numbers was asked.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def __enter__(self) -> DryRun:
        self._fake.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._fake.__exit__(*error)

    def adopt(self, model: nn.Module) -> None:
        """Put tensors of a dry run in place of all that the model has on the meta device."""
        adopted: dict[int, tuple[Tensor, Tensor]] = {}  # by address, which a tensor has to itself while it is held

        def replaced(tensor: Tensor) -> Tensor:
            if id(tensor) not in adopted:
                fake: Tensor = FakeTensor(self._fake, tensor.detach(), torch.device("cpu"))
                if isinstance(tensor, nn.Parameter):
                    fake = nn.Parameter(fake, tensor.requires_grad)
                adopted[id(tensor)] = tensor, fake
            return adopted[id(tensor)][1]

        for module in model.modules():
            held = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
            for name, tensor in held:
                if tensor.is_meta:
                    setattr(module, name, replaced(tensor))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is _DEVICE and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        tensors = list(_tensors((*args, *kwargs.values())))
        num_fake = sum(isinstance(x, FakeTensor) for x in tensors)
        if tensors and not num_fake:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        if func is _aten._local_scalar_dense.default:
            if args[0].dtype != torch.bool:
                raise Numberless("a number that is not there was asked for")
            return False
        if func in _INDEXING:
            args = (args[0], _places(args[1]), *args[2:])
            num_fake = -1
        if num_fake != len(tensors):
            args, kwargs = tree_map_only(Tensor, self._without_numbers, (args, kwargs))
        try:
            out = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise Numberless(f"{error.func} asks for numbers that are not there") from None
        if not tensors and isinstance(out, Tensor) and (out.dim() < 2 or not out.is_floating_point()):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        return out

    def _without_numbers(self, x: Tensor) -> Tensor:
        return x if isinstance(x, FakeTensor) else self._fake.from_tensor(x)


def _places(indices: list[Tensor | None]) -> list[Tensor | None]:
    """Indices with the masks among them, ``(batch, positions)`` booleans, as the places where they are true."""
    places: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype != torch.bool:
            places.append(index)
        elif isinstance(index, FakeTensor):
            raise Numberless("positions are selected by numbers that are not there")
        else:
            with unset_fake_temporarily():
                places += index.nonzero().unbind(1)
    return places


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
