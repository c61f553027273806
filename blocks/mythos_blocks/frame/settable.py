"""Values that nothing here changes, and that others' collections fill anew."""

from __future__ import annotations

from typing import TypeVar

C = TypeVar("C", bound=type)


def settable(cls: C) -> C:
    """A frozen dataclass whose fields can be set all the same.

    ``torch.compile`` passes the fields of a frozen dataclass on, where it holds a graph to the numbers in any other's.
    Lightning moves what a module returns by setting the fields of a copy.
    """
    del cls.__setattr__, cls.__delattr__
    return cls
