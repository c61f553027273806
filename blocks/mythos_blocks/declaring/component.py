"""What every component is: an ordinary class whose constructor is its declaration."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import nn

from mythos_blocks.declaring.buffers import made_again, put_buffer, unsaved
from mythos_blocks.declaring.construction import by_place, check_places, constructing, context_parameters, takes_any
from mythos_blocks.declaring.contract import check_contract
from mythos_blocks.declaring.registry import register, slot_info
from mythos_blocks.declaring.sharing import complete, share, shared_parameters
from mythos_blocks.declaring.spec import Spec as AnySpec
from mythos_blocks.declaring.spec import SpecLike, complete_help, derive_spec
from mythos_blocks.tensors.tracing import is_empty

C = TypeVar("C", bound="type[Component]")


class Component:
    """A class registered under a slot and a kind by the decorator :func:`component`.

    Positional constructor parameters are context, which the parent supplies, and go by name too; keyword-only ones are
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

    def constructed(self) -> None:
        """Runs once, when the constructor has returned and :attr:`spec` is set."""

    def off(self) -> SpecLike | None:
        """What stands in its place where it is taken out: its slot's off kind, unless the component says otherwise."""
        return slot_info(self.slot).off


class Module(Component, nn.Module):
    """A component with parameters or buffers.

    Buffers that are not saved (``persistent=False``) are those that the constructor computes from the declaration, and
    are computed again where their memory is new. A parameter that stands in several places stays one tensor.

    Attributes:
        reads_memory: Whether it reads what other iterations have written, through ``Frame.over_depth``.
        matrices: Parameters ``(..., out, in)`` that multiply a state, besides those of linears and convolutions; a
            stabiliser bounds them, and no table.
        summed: Parameters, or modules of parameters, along whose last axis a state is summed, and that no stabiliser
            bounds.
        exact_buffers: Buffers that stay in at least float32 when a model is cast: the angle of a far iteration, and
            what is summed up in small steps, are lost in half precision.
    """

    reads_memory: bool = False
    matrices: tuple[str, ...] = ()
    summed: tuple[str, ...] = ()
    exact_buffers: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        # Kept, since every process counts hooks anew: a handle that is unpickled says which numbers are taken.
        self._after_loading = self.register_load_state_dict_post_hook(_settle)  # type: ignore[no-untyped-call]

    def compute_buffers(self) -> None:
        """Set the buffers that are not saved to what the constructor makes of the declaration.

        They hold nothing where their memory is new: after ``to_empty``, and where weights are assigned to a model on
        the meta device. Buffers that are still on the meta device stay as they are.

        Raises:
            ValueError: The constructor makes no such buffer from the declaration alone.
        """
        buffers = {name: buffer for name, buffer in unsaved(self, Module).items() if not buffer.is_meta}
        if not buffers:
            return
        values = made_again(lambda: self.spec.build(*self.context))
        for name, buffer in buffers.items():
            if name not in values or values[name].shape != buffer.shape:
                raise ValueError(
                    f"{self.slot} {self.kind!r}: the buffer {name!r} is not saved, and its constructor does not make "
                    "it from the declaration; register it with persistent=True"
                )
            buffer.copy_(values[name])

    def to_empty(self, *, device: torch.device | str | int | None, recurse: bool = True) -> Self:
        super().to_empty(device=device, recurse=recurse)
        for module in self.modules() if recurse else (self,):
            if isinstance(module, Module):
                module.compute_buffers()
        return self

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        exact = {name: getattr(self, name) for name in self.exact_buffers}
        empty = [name for name, buffer in unsaved(self, Module).items() if buffer.is_meta]
        groups = shared_parameters(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        share(groups)
        for name, buffer in exact.items():
            cast = getattr(self, name)
            if cast.dtype.itemsize < 4:
                moved = torch.empty_like(buffer, device=cast.device) if buffer.is_meta else buffer.to(cast.device)
                setattr(self, name, moved)
        if empty:
            self.compute_buffers()
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        groups = shared_parameters(self)
        args[-1].extend(complete(groups, state_dict, prefix))  # the lines of the error that the caller raises
        self.__dict__["_shared"] = groups  # until the parts within are loaded too
        super()._load_from_state_dict(state_dict, prefix, *args)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Set the weights whose initial values are part of the component's definition.

        Runs after the model's ``initialization`` has filled every linear and embedding weight, and at the end of the
        constructor of a component that stands alone.
        """

    def initialize_alone(self) -> None:
        """Give the module and all within it their initial values, where no component around it does.

        Linears and tables keep what torch has drawn; what a component declares is set. Nothing happens to a module
        whose tensors have no numbers, as on the meta device.
        """
        if (first := next(self.parameters(), None)) is None or any(is_empty(p) for p in self.parameters()):
            return
        generator = torch.Generator(first.device).manual_seed(torch.empty((), dtype=torch.int64).random_().item())  # type: ignore[arg-type]
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, Module):
                    module.reset_parameters(generator)

    def check_sequences(self, num_positions: int, reads_all: bool) -> None:
        """Refuse sequences that the component cannot read, with ``ValueError``.

        Args:
            num_positions: Positions of a sequence.
            reads_all: Whether each may read all others: no mask stands between them, and none is padding.
        """

    def after_step(self) -> None:
        """Runs after every optimiser step; for state that is updated without a gradient."""


def settle(module: nn.Module) -> None:
    """Give the unsaved buffers that are still on the meta device the place and the values that they should have.

    They go where the module's first tensor lies that is not on the meta device, if there is one.
    """
    tensors = itertools.chain(module.parameters(), module.buffers())
    device = next((tensor.device for tensor in tensors if not tensor.is_meta), None)
    for part in module.modules() if device is not None else ():
        if isinstance(part, Module):
            empty = {name: buffer for name, buffer in unsaved(part, Module).items() if buffer.is_meta}
            for name, buffer in empty.items():
                put_buffer(part, name, torch.empty_like(buffer, device=device))
            if empty:
                part.compute_buffers()


def _settle(module: nn.Module, incompatible: Any) -> None:
    """Runs after a module and all within it have been given their state dict."""
    share(module.__dict__.pop("_shared", []))
    settle(module)


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
        complete_help(cls)
        register(slot, kind, cls)
        return cls

    return decorate


def _checked(cls: type[Component], init: Callable[..., None]) -> Callable[..., None]:
    spec_type, parameters, any_place = cls.Spec, context_parameters(init), takes_any(init)

    @functools.wraps(init)
    def checked(self: Component, *context: Any, **fields: Any) -> None:
        if type(self) is cls and not any_place:
            check_places(cls, parameters, context)
        context, fields = by_place(cls, parameters, context, fields)
        spec = spec_type(**fields)
        resolved = {name: getattr(spec, name) for name in spec_type.model_fields if name != "kind"}
        with constructing() as is_outermost:
            init(self, *context, **resolved)
        self.spec, self.context = spec, context
        self.constructed()
        if is_outermost and isinstance(self, Module):
            self.initialize_alone()

    return checked
