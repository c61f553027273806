"""Planted defects: mutants of a module, each tried on the tests that stand nearest to it; the survivors are printed.

    python -m tests.mutants mythos_lab/recipe/step.py tests/lab/training/test_plain.py --num 40

A mutant differs in one place: a comparison, an operator, a number, a condition, a name of a pair, a call or a keyword
left out. It is caught where a test fails, or does not end; those are counted apart. Tests are collected once; each
mutant is a fork in which functions of the module get other code, and meets the tests first that caught the most so far.
What runs at import is as it is, and so is the module in processes that tests start.
"""

from __future__ import annotations

import argparse
import ast
import functools
import gc
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType

import pytest

SWAPPED: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
PAIRS = (("min", "max"), ("any", "all"), ("sum", "mean"), ("clamp_min", "clamp_max"), ("zeros", "ones"))
OTHER = {a: b for one, two in PAIRS for a, b in ((one, two), (two, one))}
CPU_SECONDS = 240


def changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    """What can be done to a node in place; names that it reads stay, so that closures stay what they are."""

    def put(field: str, value: object) -> Callable[[], None]:
        return lambda: setattr(node, field, value)

    match node:
        case ast.Compare(ops=[op, *_]) if type(op) in SWAPPED:
            yield put("ops", [SWAPPED[type(op)](), *node.ops[1:]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) | ast.BoolOp(op=op) if type(op) in SWAPPED:
            yield put("op", SWAPPED[type(op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield put("operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.UnaryOp(op=ast.USub()):
            yield put("op", ast.UAdd())
        case ast.Constant(value=bool(value)):
            yield put("value", not value)
        case ast.Constant(value=int(value) | float(value)):
            yield put("value", value + 1)
        case ast.If() | ast.IfExp() | ast.While():
            yield put("test", ast.BoolOp(ast.And(), [ast.Constant(False), node.test]))
            if not isinstance(node, ast.While):
                yield put("test", ast.BoolOp(ast.Or(), [ast.Constant(True), node.test]))
        case ast.Expr(value=ast.Call()):
            yield put("value", ast.IfExp(ast.Constant(False), node.value, ast.Constant(None)))
        case ast.Call():
            match node.func:
                case ast.Name(id=name) if name in OTHER and name not in ("sum", "mean", "zeros", "ones"):
                    yield put("func", ast.Name(OTHER[name], ast.Load()))
                case ast.Attribute(attr=name) if name in OTHER:
                    yield put("func", ast.Attribute(node.func.value, OTHER[name], ast.Load()))
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
                node, ast.FunctionDef | ast.arg | ast.AnnAssign
            ):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    walk(child, within or isinstance(node, ast.FunctionDef))

    walk(tree, False)
    return found


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, what stands there then, and the whole module, of each mutant."""
    for index, node in enumerate(code_of(ast.parse(source))):
        for which in range(len(list(changes(node)))):
            tree = ast.parse(source)
            there = code_of(tree)[index]
            list(changes(there))[which]()
            ast.fix_missing_locations(tree)
            yield getattr(there, "lineno", 0), ast.unparse(there).splitlines()[0][:100], tree


def functions_in(code: CodeType) -> Iterator[CodeType]:
    """The code of all functions of a module's, or of a function's."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from functions_in(constant)


def plant(tree: ast.Module, path: str) -> None:
    """Give the functions of the module at ``path`` the code of ``tree``, and forget what they have computed."""
    code = {(x.co_qualname, x.co_firstlineno): x for x in functions_in(compile(tree, path, "exec"))}
    gc.unfreeze()  # what was loaded may have been put aside, and would not be found
    num = 0
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename == path:
            thing.__code__ = code[thing.__code__.co_qualname, thing.__code__.co_firstlineno]
            num += 1
        elif isinstance(thing, functools._lru_cache_wrapper):
            thing.cache_clear()
    assert num, f"no function of {path} is loaded"


class Planting:
    """A pytest plugin: its process collects the tests and forks; a fork runs them on one mutant."""

    def __init__(self, path: str, planted: list[tuple[int, str, ast.Module]]) -> None:
        self.path, self.planted = path, planted
        self.caught: Counter[str] = Counter()
        self.report: int | None = None
        """Where a fork says which test failed; ``None`` in the process that forks."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None
        num: Counter[str] = Counter()
        for line, text, tree in [(0, "nothing", ast.parse(Path(self.path).read_text())), *self.planted]:
            outcome = self.outcome(session, tree)
            if outcome == "fork":
                return None
            if line == 0 and outcome != "passes":
                pytest.exit("the tests fail as it is", 1)
            num[outcome] += line > 0
            if line and outcome == "passes":
                print(f"  {self.path}:{line}: {text}", flush=True)
        print(
            f"{self.path}: {sum(num.values())} mutants tried, {num['fails']} fail, {num['does not end']} do not end, "
            f"{num['passes']} survive; caught by {dict(self.caught.most_common(5))}",
            flush=True,
        )
        return True

    def outcome(self, session: pytest.Session, tree: ast.Module) -> str:
        """What the tests say of the module as ``tree``: it passes, it fails, it does not end; or: this is the fork."""
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            self.report = writing
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            os.setsid()
            limit = int(sum(os.times()[:2])) + CPU_SECONDS
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            signal.alarm(10 * CPU_SECONDS)  # where it waits for what does not come
            session.items.sort(key=lambda item: -self.caught[item.nodeid])
            plant(tree, self.path)
            return "fork"
        os.close(writing)
        with open(reading, encoding="utf-8") as pipe:
            _, status = os.waitpid(child, 0)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # what it has started
            failed = pipe.read()
        if failed:
            self.caught[failed] += 1
        if os.WIFSIGNALED(status):
            return "does not end"
        return "fails" if os.WEXITSTATUS(status) else "passes"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.report is not None and report.failed:
            os.write(self.report, report.nodeid.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+", help="What pytest is given: files, and whatever stands behind --.")
    parser.add_argument("--num", type=int, default=40, help="mutants that are tried, drawn out of all")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    path = arguments.module.absolute()
    all_of = list(mutants(path.read_text(encoding="utf-8")))
    drawn = sorted(random.Random(0).sample(range(len(all_of)), min(arguments.num, len(all_of))))
    print(f"{path}: {len(drawn)} of {len(all_of)} mutants", flush=True)
    planting = Planting(str(path), [all_of[index] for index in drawn])
    status = pytest.main(["-q", "-x", "-s", "-p", "no:cacheprovider", *arguments.tests], [planting])
    if planting.report is not None:
        os._exit(int(status))
    sys.exit(status)


if __name__ == "__main__":
    main()
