"""Planted defects: mutants of a module, each tried on the tests that stand nearest to it; the survivors are printed.

    python -m tests.mutants mythos_lab/recipe/step.py tests/lab/training/test_plain.py --num 40

A mutant differs in one place: a comparison, an operator, a number, a condition, a call or a keyword left out. It is
caught where a test fails, or does not end; those are counted apart. Processes that tests start run the module as it is.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
ROOTS = ("kernels", "blocks", ".")
CPU_SECONDS = 240


def changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    """What can be done to a node in place."""

    def put(field: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    match node:
        case ast.Compare(ops=[op, *_]) if type(op) in SWAPPED:
            yield put("ops", [SWAPPED[type(op)](), *node.ops[1:]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in SWAPPED:
            yield put("op", SWAPPED[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield put("op", ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not())
            if isinstance(node.op, ast.Not):
                yield put("operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.Constant(value=bool(value)):
            yield put("value", not value)
        case ast.Constant(value=int(value) | float(value)):
            yield put("value", value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            yield put("test", ast.Constant(False))
            if not isinstance(node, ast.While):
                yield put("test", ast.Constant(True))
        case ast.Expr(value=ast.Call()):
            yield put("value", ast.Constant(None))
        case ast.Call(keywords=[_, *_]):
            for i, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    yield put("keywords", node.keywords[:i] + node.keywords[i + 1 :])


def code_of(tree: ast.Module) -> list[ast.AST]:
    """The nodes of what functions do, without annotations, docstrings and what is only said."""
    found: list[ast.AST] = []

    def walk(node: ast.AST, within: bool) -> None:
        if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
            return
        if within:
            found.append(node)
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "decorator_list", "args") and isinstance(
                node, ast.FunctionDef | ast.arg
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    walk(child, within or isinstance(node, ast.FunctionDef))

    walk(tree, False)
    return found


def mutants(source: str) -> list[tuple[int, str, str]]:
    """Line, what stands there now, and the whole source, of each mutant."""
    made = []
    num = len(code_of(ast.parse(source)))
    for index in range(num):
        for which in range(len(list(changes(code_of(ast.parse(source))[index])))):
            tree = ast.parse(source)
            node = code_of(tree)[index]
            line = getattr(node, "lineno", 0)
            list(changes(node))[which]()
            ast.fix_missing_locations(tree)
            made.append((line, ast.unparse(copy.deepcopy(node)).splitlines()[0][:100], ast.unparse(tree)))
    return made


class Finder(importlib.abc.MetaPathFinder):
    """Finds one module with another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        if fullname != self.name:
            return None
        source = self.source.encode()

        class Loader(importlib.machinery.SourceFileLoader):
            def get_data(self, path: str) -> bytes:
                if not path.endswith(".py"):
                    raise OSError("compiled code is of the module as it is")
                return source

        return importlib.util.spec_from_file_location(fullname, self.path, loader=Loader(fullname, str(self.path)))


def outcome(name: str, path: Path, source: str, tests: list[str]) -> str:
    """What the tests say of a module with that source: it passes, it fails, or it does not end."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        signal.alarm(10 * CPU_SECONDS)  # where it waits for what does not come
        sys.meta_path.insert(0, Finder(name, path, source))
        os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests]) != 0))
    _, status = os.waitpid(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what it has started
    if os.WIFSIGNALED(status):
        return "does not end"
    return "fails" if os.WEXITSTATUS(status) else "passes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--num", type=int, default=40, help="mutants that are tried, drawn out of all")
    arguments = parser.parse_args()
    path = arguments.module
    root = next(root for root in ROOTS if path.is_relative_to(root))
    name = ".".join(path.relative_to(root).with_suffix("").parts)
    source = path.read_text(encoding="utf-8")
    import lightning_fabric  # noqa: F401  once, for all children
    import mlflow  # noqa: F401
    import optuna  # noqa: F401
    import torch

    torch.set_num_threads(1)
    if outcome(name, path.absolute(), ast.unparse(ast.parse(source)), arguments.tests) != "passes":
        sys.exit("the tests fail as it is")
    all_of = mutants(source)
    drawn = sorted(random.Random(0).sample(all_of, min(arguments.num, len(all_of))))
    said = [(line, text, outcome(name, path.absolute(), mutant, arguments.tests)) for line, text, mutant in drawn]
    num = Counter(what for _, _, what in said)
    print(
        f"{path}: {len(drawn)} of {len(all_of)} mutants tried, {num['fails']} fail, {num['does not end']} do not end, "
        f"{num['passes']} survive"
    )
    for line, text, what in said:
        if what == "passes":
            print(f"  {path}:{line}: {text}")


if __name__ == "__main__":
    main()
