"""Values that nothing here changes, and that others' collections fill anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import torch

C = TypeVar("C", bound=type)
T = TypeVar("T")


def settable(cls: C) -> C:
    """A frozen dataclass whose fields can be set all the same.

    ``torch.compile`` passes the fields of a frozen dataclass on, where it holds a graph to the numbers in any other's.
    Lightning moves what a module returns by setting the fields of a copy.
    """
    del cls.__setattr__, cls.__delattr__
    return cls


def changed(instance: T, **changes: Any) -> T:
    """``dataclasses.replace`` for what is changed many times in an iteration: the fields are taken as they are.

    Nothing is checked or completed on the way, as a constructor would.
    """
    if torch.compiler.is_dynamo_compiling():
        return replace(instance, **changes)  # type: ignore[type-var]
    other = object.__new__(type(instance))
    other.__dict__.update(instance.__dict__)
    other.__dict__.update(changes)
    return other
