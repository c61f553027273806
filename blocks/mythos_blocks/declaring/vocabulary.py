"""How many tokens there are, for components that keep something for each: the model around them says it, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_size: ContextVar[int | None] = ContextVar("vocabulary", default=None)


@contextmanager
def vocabulary(size: int) -> Iterator[None]:
    """Let what is built inside know that tokens are whole numbers below ``size``."""
    token = _size.set(size)
    try:
        yield
    finally:
        _size.reset(token)


def num_rows(field: str, declared: int | bool | None) -> int | None:
    """Rows of a table that has one for each token; ``None`` for no table.

    Args:
        field: The field that declares it.
        declared: ``True`` for as many rows as the model around has tokens, or their number.

    Raises:
        ValueError: There is no model around to ask, or it has more tokens than rows are declared.
    """
    if declared is None or declared is False:
        return None
    size = _size.get()
    if declared is True:
        if size is None:
            raise ValueError(f"{field}: true takes the vocabulary of the model around; without one, give its size")
        return size
    if size is not None and declared < size:
        raise ValueError(
            f"{field}={declared} has no row for some of the vocabulary's {size} tokens; use true or {size}"
        )
    return declared
