"""The mutation run plants what it says that it has planted."""

import ast
import gc
import importlib.util
import os

from tests.mutants import mutants, plant

SOURCE = """
class Area:
    def __init__(self, side):
        super().__init__()
        self.side = side

    def value(self):
        return self.side * self.side
"""


def in_a_fork(holds):
    """Whether something holds in a process of its own, as planting forgets what all functions have computed."""
    if (child := os.fork()) == 0:
        status = 1
        try:
            status = 0 if holds() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_a_mutant_is_what_runs(tmp_path):
    path = tmp_path / "planted.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("planted", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    (divided,) = (tree for _, text, tree in mutants(SOURCE) if "/" in text)

    def runs():
        gc.freeze()  # as tests do after they have loaded
        plant(divided, str(path))
        as_planted = loaded.Area(3).value()
        plant(ast.parse(SOURCE), str(path))
        return (as_planted, loaded.Area(3).value()) == (1, 9)

    assert in_a_fork(runs)


def test_a_module_of_which_nothing_is_loaded_is_an_error(tmp_path):
    def is_refused():
        try:
            plant(ast.parse(SOURCE), str(tmp_path / "planted.py"))
        except AssertionError as error:
            return "no function of" in str(error)

    assert in_a_fork(is_refused)
