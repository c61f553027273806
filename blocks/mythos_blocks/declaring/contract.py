"""What a slot asks of its components: the methods that its owner calls, and how."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from mythos_blocks.declaring.registry import slot_info

if TYPE_CHECKING:
    from mythos_blocks.declaring.component import Component

C = TypeVar("C", bound="type[Component]")

_MISSING = object()


def contract(slot: str) -> Callable[[C], C]:
    """Make a base class the contract of a slot: components that are registered there are held against it.

    Its public methods are what the slot's owner calls, with the arguments that the base class names.
    """

    def decorate(cls: C) -> C:
        slot_info(slot).contract = cls
        return cls

    return decorate


def check_contract(slot: str, kind: str, cls: type[Component]) -> None:
    """Refuse a class that could not be called as its slot's components are.

    Raises:
        ValueError: It lacks a member of the contract, or a method of its does not take what it would be given.
    """
    base = slot_info(slot).contract
    if base is None or cls is base:
        return
    for name, member in vars(base).items():
        if name.startswith("_"):
            continue
        theirs = inspect.getattr_static(cls, name, _MISSING)
        if theirs is _MISSING:
            raise ValueError(
                f"{slot} {kind!r}: {cls.__qualname__} has no {name}; derive it from {base.__module__}.{base.__name__}"
            )
        if inspect.isfunction(member) and inspect.isfunction(theirs):
            _check_method(f"{slot} {kind!r}: {cls.__qualname__}.{name}", member, theirs)


def _check_method(what: str, asked: Any, theirs: Any) -> None:
    parameters = list(inspect.signature(asked).parameters.values())
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    by_place = [None for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    signature = inspect.signature(theirs)
    try:
        signature.bind(*by_place, **by_name)
    except TypeError as error:
        arguments = ", ".join(
            f"{p.name}=" if p.kind is p.KEYWORD_ONLY else p.name for p in parameters if p.name != "self"
        )
        raise ValueError(f"{what} is called with ({arguments}), which {signature} does not take: {error}") from None
