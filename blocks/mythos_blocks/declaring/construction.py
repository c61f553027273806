"""What stands around a component's constructor: its context by name, and whether it is part of another."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class _Depth(threading.local):
    value = 0


_depth = _Depth()


@contextmanager
def constructing() -> Iterator[bool]:
    """The span of a component's constructor; says whether no other component's is around it, in this thread."""
    _depth.value += 1
    try:
        yield _depth.value == 1
    finally:
        _depth.value -= 1


def context_parameters(init: Callable[..., None]) -> list[inspect.Parameter]:
    """The parameters of a constructor that its parent supplies: those that may go by place."""
    parameters = list(inspect.signature(init).parameters.values())[1:]
    return [parameter for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def takes_any(init: Callable[..., None]) -> bool:
    """Whether a constructor takes any number of arguments by place, to pass them on."""
    return any(parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(init).parameters.values())


def arguments_of(cls: type, context: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """How a component's constructor is called with what its parent supplies: by place, and by name.

    Raises:
        ValueError: The constructor takes less.
    """
    init = cls.__init__  # type: ignore[misc]
    if takes_any(init):
        return context, {}
    names = [parameter.name for parameter in context_parameters(init)]
    if len(context) > len(names):
        raise ValueError(f"{cls.__name__}({', '.join(names)}) is given {len(context)} arguments by what holds it")
    return (), dict(zip(names, context, strict=False))


def check_places(cls: type, parameters: Sequence[inspect.Parameter], context: Sequence[Any]) -> None:
    """Refuse arguments by place that go by name: all that have a default.

    Raises:
        ValueError: There are some.
    """
    places = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    if len(context) > len(places):
        given = f"only {' and '.join(places)} by place" if places else "nothing by place"
        raise ValueError(
            f"{cls.__name__} takes {given}, not {len(context)} arguments; give the others by name: "
            f"{cls.__name__}({', '.join([*places, '...'])}), see help({cls.__name__})"
        )


def by_place(
    cls: type, parameters: Sequence[inspect.Parameter], context: tuple[Any, ...], fields: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The context of a call by place, whichever way it was given, and the fields that are left.

    Raises:
        ValueError: A parameter of the context is missing, or given twice.
    """
    rest, named, values = dict(fields), parameters[len(context) :], list(context)
    for parameter in parameters[: len(context)]:
        if parameter.name in rest:
            raise ValueError(f"{cls.__name__}: {parameter.name} is given twice, by place and by name")
    last = max((i for i, parameter in enumerate(named) if parameter.name in rest), default=-1)
    for i, parameter in enumerate(named):
        if parameter.name not in rest and parameter.default is parameter.empty:
            raise ValueError(f"{cls.__name__} needs {parameter.name}; see help({cls.__name__})")
        if i <= last:
            values.append(rest.pop(parameter.name, parameter.default))
    return tuple(values), rest
