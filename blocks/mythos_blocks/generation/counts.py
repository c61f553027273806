"""Counts that somebody gives."""

from __future__ import annotations

import operator
from typing import Any


def count(name: str, value: Any, least: int = 1) -> int:
    """A count as a plain number; whole numbers of numpy's are taken too.

    Args:
        name: Of the argument, for the message.
        value: What was given.
        least: The smallest that it may be.

    Raises:
        ValueError: It is no whole number, or less.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise ValueError(f"{name}={value!r} must be a whole number")
    if number < least:
        raise ValueError(f"{name}={number} must be at least {least}")
    return number
