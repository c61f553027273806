"""Constraints as users write them: ``core.depth * loops.mean <= 48``, ``stability/rho_A < 1``.

Python's own grammar, read by ``ast`` and evaluated by walking a few kinds of nodes; nothing is executed. Metrics have a
slash in their name, which the grammar would read as a division, so they are put under other names first.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mythos_blocks.registry import suggest
from mythos_lab.metrics import METRICS

_METRIC = re.compile(r"(?<![\w./])([a-z]+)/([A-Za-z_]\w*)(?![\w.])")
_GROUPS = {name.split("/")[0] for name in METRICS}
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "abs": abs, "log": math.log, "sqrt": math.sqrt}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
    ast.Pow: lambda a, b: a**b,
}
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

    def violation(self, values: Mapping[str, Any]) -> float:
        """By how much it is violated: zero or below where it holds, as Optuna's constraints are.

        Args:
            values: The value of every name.

        Raises:
            ValueError: It cannot be computed: a division by zero, a comparison of a number with a name.
        """
        try:
            found = float(_violation(self.tree, values))
        except (ArithmeticError, TypeError) as error:
            raise ValueError(f"{self.text}: {error}") from None
        if math.isnan(found):
            raise ValueError(f"{self.text}: not a number")
        return found


def parse(text: str) -> Constraint:
    """Read a constraint.

    Raises:
        ValueError: It is no comparison, or uses what constraints do not know; a misspelt metric is named.
    """
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
    if not isinstance(tree, (ast.Compare, ast.BoolOp)):
        raise ValueError(f"{text!r}: expected a comparison such as 'core.depth <= 4'")
    names: dict[str, None] = {}
    tree = _Names(text, metrics, names).visit(tree)
    return Constraint(text, tuple(names), tree)


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
            raise ValueError(f"{self.text!r}: unknown function {name!r}; {suggest(name, _FUNCTIONS)}")
        return ast.Call(node.func, [self.visit(argument) for argument in node.args], [])

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


def _violation(node: ast.expr, values: Mapping[str, Any]) -> float:
    """A condition's violation: ``and`` is as violated as its worst part, ``or`` as its best."""
    if isinstance(node, ast.BoolOp):
        parts = [_violation(part, values) for part in node.values]
        return max(parts) if isinstance(node.op, ast.And) else min(parts)
    if not isinstance(node, ast.Compare):
        raise TypeError(f"{ast.unparse(node)} is no comparison")
    sides = [_value(side, values) for side in (node.left, *node.comparators)]
    return max(_compared(op, a, b) for op, a, b in zip(node.ops, sides[:-1], sides[1:], strict=True))


def _compared(op: ast.cmpop, a: Any, b: Any) -> float:
    if isinstance(op, (ast.In, ast.NotIn)):
        return float((a in b) != isinstance(op, ast.In))
    if isinstance(op, ast.Eq):
        return abs(a - b) if _numbers(a, b) else float(a != b)
    if isinstance(op, ast.NotEq):
        return float(a == b)
    if not _numbers(a, b):
        raise TypeError(f"{a!r} and {b!r} have no order")
    excess = a - b if isinstance(op, (ast.Lt, ast.LtE)) else b - a
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
            return _OPERATORS[type(node.op)](_value(node.left, values), _value(node.right, values))
        case ast.Call(func=ast.Name(id=name)):
            return _FUNCTIONS[name](*(_value(argument, values) for argument in node.args))
    raise TypeError(f"{ast.unparse(node)} has no value")
