"""What every component is: an ordinary class whose constructor is its declaration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from mythos_blocks.declaring.contract import check_contract
from mythos_blocks.declaring.registry import register, slot_info
from mythos_blocks.declaring.spec import Spec as AnySpec
from mythos_blocks.declaring.spec import SpecLike, derive_spec

C = TypeVar("C", bound="type[Component]")


class Component:
    """A class registered under a slot and a kind by the decorator :func:`component`.

    Positional constructor parameters are context, which the parent supplies; keyword-only ones are
    recipe fields. A constructor that ends in ``**fields`` and passes them to its base has the base's fields too.

    Attributes:
        slot: The slot that it fits.
        kind: Its name within the slot.
        Spec: The Pydantic model derived from its constructor.
        spec: The declaration from which this instance was made.
        context: What its parent supplied.
    """

    slot: ClassVar[str]
    kind: ClassVar[str]
    Spec: ClassVar[type[AnySpec]]
    spec: AnySpec
    context: tuple[Any, ...]

    def off(self) -> SpecLike | None:
        """What stands in its place where it is taken out: its slot's off kind, unless the component says otherwise."""
        return slot_info(self.slot).off


class Module(Component, nn.Module):
    """A component with parameters or buffers.

    Attributes:
        reads_memory: Whether it reads what other iterations have written, through ``Frame.over_depth``.
        exact_buffers: Buffers that stay in at least float32 when a model is cast: the angle of a far iteration, and
            what is summed up in small steps, are lost in half precision.
    """

    reads_memory: bool = False
    exact_buffers: tuple[str, ...] = ()

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Module:
        exact = {name: getattr(self, name) for name in self.exact_buffers}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in exact.items():
            cast = getattr(self, name)
            if cast.dtype.itemsize < 4:
                setattr(self, name, buffer.to(cast.device))
        return self

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Set the weights whose initial values are part of the component's definition.

        Runs after the model's ``initialization`` has filled every linear and embedding weight.
        """

    def check_sequences(self, num_positions: int, reads_all: bool) -> None:
        """Refuse sequences that the component cannot read, with ``ValueError``.

        Args:
            num_positions: Positions of a sequence.
            reads_all: Whether each may read all others: no mask stands between them, and none is padding.
        """

    def after_step(self) -> None:
        """Runs after every optimiser step; for state that is updated without a gradient."""


def component(slot: str, kind: str) -> Callable[[C], C]:
    """Register a class under a slot and a kind, and derive its ``Spec`` from its constructor.

    The constructor then checks its keyword arguments as a recipe's fields are checked, and receives
    specs for its slots whether the caller wrote a kind, a mapping or a spec.

    Raises:
        ValueError: The kind is taken, or the class cannot be called as components of the slot are.

    Example:
        >>> @component("update", "average")
        ... class Average(Update):
        ...     '''The mean of the old state and the core's output.'''
        ...     def __init__(self, width: int) -> None:
        ...         super().__init__()
        ...     def forward(self, h, u, carry, t):
        ...         return (h + u) / 2, None
    """

    def decorate(cls: C) -> C:
        check_contract(slot, kind, cls)
        cls.slot, cls.kind = slot, kind
        cls.Spec = derive_spec(cls, kind)
        cls.__init__ = _checked(cls, cls.__init__)  # type: ignore[method-assign]
        register(slot, kind, cls)
        return cls

    return decorate


def _checked(cls: type[Component], init: Callable[..., None]) -> Callable[..., None]:
    spec_type = cls.Spec

    @functools.wraps(init)
    def checked(self: Component, *context: Any, **fields: Any) -> None:
        spec = spec_type(**fields)
        resolved = {name: getattr(spec, name) for name in spec_type.model_fields if name != "kind"}
        init(self, *context, **resolved)
        self.spec, self.context = spec, context

    return checked
