"""Every promise of SECURITY.md has a test, and it is there."""

import ast
import re
from pathlib import Path

import pytest

ROWS = re.findall(r"^\| (.+) \| `(tests/\S+\.py)::(\w+)` \|$", Path("SECURITY.md").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("promise, file, name", ROWS)
def test_a_promise_has_its_test(promise, file, name):
    tests = {node.name for node in ast.walk(ast.parse(Path(file).read_text())) if isinstance(node, ast.FunctionDef)}
    assert name in tests


def test_a_row_of_the_table_is_a_promise_and_a_test():
    table = Path("SECURITY.md").read_text().partition("| promise | test |\n|---|---|\n")[2]
    assert len(ROWS) == table.count("\n") > 0
