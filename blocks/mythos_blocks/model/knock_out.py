"""A component taken out for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.declaring.spec import Slot


@contextmanager
def knocked_out(parent: nn.Module, name: str) -> Iterator[None]:
    """Replace a component by its slot's off kind for the duration of the context.

    Args:
        parent: The module that holds it, such as ``model.core``.
        name: The attribute, such as ``"injection"``.

    Raises:
        ValueError: Its slot has no off kind.
    """
    trained = getattr(parent, name)
    info = slot_info(trained.slot)
    if info.off is None:
        raise ValueError(f"slot {info.name!r} has no off kind to put in place of {trained.kind!r}")
    off = Slot(info.name).resolve(info.off).build(*trained.context)
    setattr(parent, name, off.train(trained.training) if isinstance(off, nn.Module) else off)
    try:
        yield
    finally:
        setattr(parent, name, trained)
