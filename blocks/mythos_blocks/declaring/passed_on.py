"""What ``help`` and signatures show of a constructor that passes ``**fields`` on to its base's."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

_WIDTH = 116


def own_signature(cls: type[Any]) -> inspect.Signature:
    """The signature of a constructor as its author wrote it."""
    return inspect.signature(inspect.unwrap(vars(cls)["__init__"]))


def show_passed_on(init: Callable[..., None], bases: list[Any]) -> None:
    """Name the fields that ``**fields`` stands for in the signature of a constructor.

    Args:
        init: The constructor.
        bases: The base classes to whose constructors the fields go.
    """
    signature = inspect.signature(init)
    named = {name: p for name, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD}
    passed: dict[str, inspect.Parameter] = {}
    for base in bases:
        for name, parameter in own_signature(base).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and name not in named:
                passed.setdefault(name, parameter)
    init.__signature__ = signature.replace(parameters=[*named.values(), *passed.values()])  # type: ignore[attr-defined]


def add_arguments(cls: type[Any], described: dict[str, str]) -> None:
    """Describe further arguments among those of a class's docstring, where it has one."""
    if not described or cls.__doc__ is None:
        return
    lines = (
        textwrap.fill(f"{name}: {text}", _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)
        for name, text in described.items()
    )
    cls.__doc__ = _with_arguments(inspect.cleandoc(cls.__doc__), "\n".join(lines))


def _with_arguments(text: str, lines: str) -> str:
    section = re.search(r"^Args:\n(?:[ ]+.*\n?|\n(?=[ ]))+", text, flags=re.MULTILINE)
    if section is None:
        raises = re.search(r"^Raises:", text, flags=re.MULTILINE)
        at = len(text) if raises is None else raises.start()
        return f"{text[:at].rstrip()}\n\nArgs:\n{lines}\n\n{text[at:]}".rstrip()
    return f"{text[: section.end()].rstrip()}\n{lines}\n{text[section.end() :]}".rstrip()
