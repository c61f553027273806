"""Constraints as users write them: ``core.depth * loops.mean <= 48``, ``stability/rho_A < 1``.

Python's own grammar, read by ``ast`` and evaluated by walking a few kinds of nodes; nothing is executed. Metrics have a
slash in their name, which the grammar would read as a division, so they are put under other names first.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.metrics import METRICS

_METRIC = re.compile(r"(?<![\w./])([a-z]+)/([A-Za-z_]\w*)(?![\w.])")
_GROUPS = {name.split("/")[0] for name in METRICS}
_OF_SEVERAL: dict[str, Callable[..., float]] = {
    "min": lambda *numbers: min(numbers),
    "max": lambda *numbers: max(numbers),
}
_FUNCTIONS: dict[str, Callable[..., float]] = {**_OF_SEVERAL, "abs": abs, "log": math.log, "sqrt": math.sqrt}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    # In floats, as whole numbers would grow without end.
    ast.Pow: math.pow,
}
_MAX_LENGTH = 1000  # characters of a constraint
_MAX_NESTING = 100  # operations within each other; walking them recurses
_JUST_ABOVE = math.ulp(0.0)  # a strict inequality that holds with equality is violated by as little as there is


@dataclass(frozen=True)
class Constraint:
    """A condition that a candidate has to meet.

    Attributes:
        text: As written.
        names: Fields and metrics that it reads.
        tree: Its parsed form.
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that are metrics."""
        return tuple(name for name in self.names if name in METRICS)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names that are fields."""
        return tuple(name for name in self.names if name not in METRICS)

    def violation(self, values: Mapping[str, Any]) -> float | None:
        """By how much it is violated: zero or below where it holds, as Optuna's constraints are.

        Args:
            values: The value of every name that the recipe has. A comparison with another name says nothing, and
                where all that would have to hold says nothing, the constraint does not either: ``None``.

        Raises:
            ValueError: It cannot be computed: a division by zero, a comparison of a number with a name.
        """
        try:
            return _violation(self.tree, values)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ValueError(f"{self.text}: {error}") from None

    def check_types(self, values: Mapping[str, Any]) -> None:
        """Refuse what has no meaning for values of such types, whatever they are.

        Raises:
            ValueError: A name is compared with a number, or reckoned with.
        """
        try:
            _violation(self.tree, values)
        except TypeError as error:
            raise ValueError(f"{self.text!r}: {error}") from None
        except (ArithmeticError, ValueError):
            pass  # another candidate may do

    def words(self) -> Iterator[tuple[str, str]]:
        """Each name that is compared with a word, and the word."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                names = [side.id for side in sides if isinstance(side, ast.Name)]
                items = [item for side in sides for item in getattr(side, "elts", [side])]
                constants = [item.value for item in items if isinstance(item, ast.Constant)]
                yield from itertools.product(names, [word for word in constants if isinstance(word, str)])


def parse(text: str) -> Constraint:
    """Read a constraint.

    Raises:
        ValueError: It is no comparison, or uses what constraints do not know; a misspelt metric is named.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"{text[:60]!r}...: {len(text):,} characters; expected at most {_MAX_LENGTH:,}")
    metrics: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        name = match.group(0)
        if name not in METRICS:
            if match.group(1) in _GROUPS:
                raise ValueError(f"{text!r}: unknown metric {name!r}; {suggest(name, METRICS)}")
            return name
        metrics[f"_metric{len(metrics)}"] = name
        return f"_metric{len(metrics) - 1}"

    try:
        tree = ast.parse(_METRIC.sub(named, text), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r}: expected a comparison such as 'core.depth <= 4' ({error.msg})") from None
    except (RecursionError, MemoryError, ValueError) as error:  # what Python's own parser has no place for
        raise ValueError(f"{text!r}: expected a comparison such as 'core.depth <= 4' ({error})") from None
    if _height(tree) > _MAX_NESTING:
        raise ValueError(f"{text!r}: operations nested more than {_MAX_NESTING} deep")
    if not isinstance(tree, (ast.Compare, ast.BoolOp)):
        raise ValueError(f"{text!r}: expected a comparison such as 'core.depth <= 4'")
    names: dict[str, None] = {}
    tree = _Names(text, metrics, names).visit(tree)
    if not names:
        raise ValueError(f"{text!r}: reads no field and no metric, so it is the same for every candidate")
    _check_constants(text, tree)
    return Constraint(text, tuple(names), tree)


def _check_constants(text: str, tree: ast.expr) -> None:
    """Refuse what no candidate could compute: ``log(0)``, a division by zero that is written down."""
    for node in ast.walk(tree):
        divides = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod))
        part = node.right if isinstance(node, ast.BinOp) and divides else node
        if not isinstance(part, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Call)) or any(_names(part)):
            continue
        try:
            value = _value(part, {})
            if divides and value == 0:
                raise ZeroDivisionError("division by zero")
        except (ArithmeticError, ValueError) as error:
            raise ValueError(f"{text!r}: {ast.unparse(node)} has no value for any candidate: {error}") from None
        except TypeError:
            pass  # which is told of with the types of fields


def _height(tree: ast.AST) -> int:
    """How deep operations are nested; without recursion."""
    height, level = 0, [tree]
    while level:
        height, level = height + 1, [part for node in level for part in ast.iter_child_nodes(node)]
    return height


class _Names(ast.NodeTransformer):
    """Makes one name of every dotted path, puts metrics back, and refuses everything that is not known."""

    def __init__(self, text: str, metrics: Mapping[str, str], names: dict[str, None]) -> None:
        self.text, self.metrics, self.names = text, metrics, names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._name(self.metrics.get(node.id, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        parts, inner = [node.attr], node.value
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise ValueError(f"{self.text!r}: expected a path of names before '.{node.attr}'")
        return self._name(".".join([inner.id, *reversed(parts)]))

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in _FUNCTIONS or node.keywords:
            meant = "the metric is stability/rho_A" if name == "rho" else suggest(name, _FUNCTIONS)
            raise ValueError(f"{self.text!r}: unknown function {name!r}; {meant}")
        if not node.args or (len(node.args) > 1 and name not in _OF_SEVERAL):
            raise ValueError(f"{self.text!r}: {name}() takes {'one or more numbers' * (name in _OF_SEVERAL) or 'one'}")
        return ast.Call(node.func, [self.visit(argument) for argument in node.args], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        for side in (node.left, node.right):
            is_word = isinstance(side, ast.Constant) and not isinstance(side.value, int | float)
            if is_word or isinstance(side, (ast.List, ast.Tuple)):
                raise ValueError(f"{self.text!r}: {ast.unparse(side)} is no number, and only those are reckoned with")
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, int | float | str | None) or node.value == math.inf:
            raise ValueError(f"{self.text!r}: {ast.unparse(node)} is neither a finite number nor a word")
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)) and not isinstance(right, (ast.List, ast.Tuple)):
                raise ValueError(f"{self.text!r}: expected a list after 'in', such as ['add', 'lti']")
        return self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        known: tuple[type[ast.AST], ...] = (
            *(ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Constant, ast.List, ast.Tuple, ast.Load),
            *_OPERATORS,
            *(ast.And, ast.Or, ast.USub),
            *(ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq, ast.In, ast.NotIn),
        )
        if not isinstance(node, known):
            raise ValueError(f"{self.text!r}: {type(node).__name__} has no meaning in a constraint")
        return super().generic_visit(node)

    def _name(self, name: str) -> ast.Name:
        self.names[name] = None
        return ast.Name(name, ast.Load())


def _violation(node: ast.expr, values: Mapping[str, Any]) -> float | None:
    """A condition's violation: ``and`` is as violated as its worst part, ``or`` as its best."""
    if isinstance(node, ast.BoolOp):
        parts = [_violation(part, values) for part in node.values]
        said = [part for part in parts if part is not None]
        if isinstance(node.op, ast.Or):
            return min(said) if len(said) == len(parts) else None
        return max(said, default=None)
    if not isinstance(node, ast.Compare):
        raise TypeError(f"{ast.unparse(node)} is no comparison")
    if any(name not in values for name in _names(node)):
        return None
    sides = [_value(side, values) for side in (node.left, *node.comparators)]
    return max(_compared(op, a, b) for op, a, b in zip(node.ops, sides[:-1], sides[1:], strict=True))


def _names(node: ast.AST) -> Iterator[str]:
    """The fields and metrics in a part of a constraint."""
    if isinstance(node, ast.Name):
        yield node.id
    inner = node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
    for part in inner:
        yield from _names(part)


def _compared(op: ast.cmpop, a: Any, b: Any) -> float:
    if isinstance(op, (ast.In, ast.NotIn)):
        return float((a in b) != isinstance(op, ast.In))
    if isinstance(op, ast.Eq):
        return float(abs(a - b)) if _numbers(a, b) else float(a != b)
    if isinstance(op, ast.NotEq):
        return float(a == b)
    if not _numbers(a, b):
        raise TypeError(f"{a!r} and {b!r} have no order")
    excess = a - b if isinstance(op, (ast.Lt, ast.LtE)) else b - a
    if math.isnan(excess):
        raise ArithmeticError("not a number")
    strict = isinstance(op, (ast.Lt, ast.Gt))
    return _JUST_ABOVE if strict and excess == 0 else float(excess)


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) for value in values)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.List() | ast.Tuple():
            return [_value(item, values) for item in node.elts]
        case ast.UnaryOp():
            return -_value(node.operand, values)
        case ast.BinOp():
            sides = _value(node.left, values), _value(node.right, values)
            if not _numbers(*sides):
                raise TypeError(f"{sides[0]!r} and {sides[1]!r} cannot be reckoned with")
            return _OPERATORS[type(node.op)](*sides)
        case ast.Call(func=ast.Name(id=name)):
            return _FUNCTIONS[name](*(_value(argument, values) for argument in node.args))
    raise TypeError(f"{ast.unparse(node)} has no value")
