"""The mutation run plants what it says that it has planted."""

import ast
import gc
import importlib.util

import pytest

from tests.mutants import mutants, plant

SOURCE = """
class Area:
    def __init__(self, side):
        super().__init__()
        self.side = side

    def value(self):
        return self.side * self.side
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "planted.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("planted", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded, str(path)


def test_a_mutant_is_what_runs(module):
    loaded, path = module
    gc.freeze()  # as tests do after they have loaded
    (divided,) = (tree for _, text, tree in mutants(SOURCE) if "/" in text)
    plant(divided, path)
    assert loaded.Area(3).value() == 1
    plant(ast.parse(SOURCE), path)
    assert loaded.Area(3).value() == 9


def test_a_module_of_which_nothing_is_loaded_is_an_error(tmp_path):
    with pytest.raises(AssertionError, match="no function of"):
        plant(ast.parse(SOURCE), str(tmp_path / "planted.py"))
