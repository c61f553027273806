"""Buffers that a component computes and does not save: what its constructor makes of the declaration, made again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook


def unsaved(module: nn.Module, apart: type) -> dict[str, Tensor]:
    """The buffers of a module that its state dict leaves out, by name.

    Args:
        module: The module.
        apart: Modules of this type within it keep theirs to themselves.
    """
    found = {
        name: buffer for name in module._non_persistent_buffers_set if (buffer := module._buffers.get(name)) is not None
    }
    for child, part in module.named_children():
        if not isinstance(part, apart):
            found |= {f"{child}.{name}": buffer for name, buffer in unsaved(part, apart).items()}
    return found


def made_again(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The buffers of a module that ``build`` makes on the CPU, by name; its parameters are not drawn."""
    with parameters_on_meta(), torch.device("cpu"):
        return dict(build().named_buffers())


def put_buffer(module: nn.Module, name: str, buffer: Tensor) -> None:
    """Put another tensor in the place of a buffer."""
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, buffer)


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """The span in which modules that this thread builds have their parameters on the meta device."""

    def without_values(parameter: nn.Parameter) -> nn.Parameter | None:
        # A parameter that is on the meta device already may be shared, and must stay the same object.
        if parameter.is_meta:
            return None
        return nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)

    with _registering(without_values):
        yield


@contextmanager
def parameters_at_most(limit: int) -> Iterator[None]:
    """The span in which this thread builds modules of no more parameters; one more is a ``ValueError``."""
    count = 0

    def counted(parameter: nn.Parameter) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise ValueError(f"more than {limit} parameters are declared")

    with _registering(counted):
        yield


@contextmanager
def _registering(change: Callable[[nn.Parameter], nn.Parameter | None]) -> Iterator[None]:
    """The span in which every parameter that this thread gives a module is changed first; ``None`` leaves it."""
    thread = threading.get_ident()

    def changed(module: nn.Module, name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        return None if parameter is None or threading.get_ident() != thread else change(parameter)

    handle = register_module_parameter_registration_hook(changed)  # type: ignore[arg-type]
    try:
        yield
    finally:
        handle.remove()
