"""Sums within references, ``${1 / model.core.loops.num_loops}``: numbers, paths, ``+ - * / **`` and brackets."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

_PATH = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.\w+)*")
_LONGEST = 200  # characters; so is what may be nested in it
_MOST_WHOLE = 2**53  # to which whole numbers are themselves as floats: what is whole may stand where a count does
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, power: float(base) ** float(power),  # of whole numbers it would have no bounds
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def computed(text: str, value_of: Callable[[str], Any]) -> int | float:
    """What a sum comes to.

    Args:
        text: The sum.
        value_of: The value at a path.

    Raises:
        ValueError: It is no sum of numbers, or comes to nothing that is one; what ``value_of`` raises.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"a sum of {len(text):,} characters; expected at most {_LONGEST}")
    paths: list[str] = []

    def named(found: re.Match[str]) -> str:
        paths.append(found[0])
        return f"_{len(paths) - 1}"

    written = _PATH.sub(named, text.strip())
    try:
        tree = ast.parse(written, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError("expected a path, or a sum of numbers and paths with + - * / ** and brackets") from None
    try:
        found = _value(tree, [_number(path, value_of(path)) for path in paths])
    except (ZeroDivisionError, OverflowError):
        raise ValueError("comes to no number") from None
    if isinstance(found, complex) or not math.isfinite(found):
        raise ValueError("comes to no number")
    return int(found) if found == int(found) and abs(found) < _MOST_WHOLE else found


def _number(path: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path} is {str(value)[:40]!r}, and no number")
    return value


def _value(node: ast.AST, numbers: list[int | float]) -> Any:
    match node:
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left, numbers), _value(node.right, numbers))
        case ast.UnaryOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.operand, numbers))
        case ast.Name():
            return numbers[int(node.id[1:])]
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return node.value
    raise ValueError("expected a path, or a sum of numbers and paths with + - * / ** and brackets")
