"""Nothing that lies in the working directory is executed because a process was started there."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mythos_lab import children
from tests.security import marking

ROOMS = ("mythos_lab", "blocks", "kernels")
STARTERS = {
    "Popen",
    "run",
    "call",
    "check_call",
    "check_output",
    "execv",
    "execve",
    "execvp",
    "system",
    "popen",
    "spawnv",
}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STARTERS:
            owner = ast.unparse(node.func.value)
            if owner in ("subprocess", "os"):
                yield node


def test_every_process_is_started_with_the_environment_of_the_one_place():
    """Which also says that there are some."""
    found = [(path, node) for room in ROOMS for path in Path(room).rglob("*.py") for node in calls(path)]
    assert len(found) >= 4
    for path, node in found:
        names = path.read_text()
        assert "from mythos_lab.children import" in names or "mythos_lab.tracking.viewing import" in names, path
        assert "env" in {keyword.arg for keyword in node.keywords} or node.func.attr == "execve", (path, node.lineno)


@pytest.mark.parametrize("named", ["", "x:", ":x", "x::y"])
def test_a_module_of_the_working_directory_is_not_what_a_child_imports(named, tmp_path, monkeypatch):
    marker = tmp_path / "executed"
    for name in ("json.py", "of_nobody.py", "flask.py", "sitecustomize.py"):
        (tmp_path / name).write_text(marking(marker))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", named)
    program = "import importlib.util as u; import json, sys; print(u.find_spec('of_nobody'), sys.flags.safe_path)"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "shown.py").write_text(program)
    environment = children.environment({"PYTHONPATH": f"{named}{os.pathsep}{tmp_path}/elsewhere"})
    said = subprocess.run(children.python_module("shown"), env=environment, capture_output=True, text=True)
    assert said.stdout == "None True\n", said.stderr
    again = subprocess.run([sys.executable, "-m", "shown"], env=environment, capture_output=True, text=True)
    assert again.stdout == "None True\n", "so do its own children"
    assert not marker.exists()


def test_ranks_import_what_this_process_does_but_not_from_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/named")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/named", "/other"])
    assert children.search_path() == os.pathsep.join(["/named", "/other"])
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert str(tmp_path) in children.search_path().split(os.pathsep), "which its user has declared"
