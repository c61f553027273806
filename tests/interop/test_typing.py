"""What README and docs show passes the strictest modes of mypy and pyright, as a user's own code would have to."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
# torch annotates Tensor.backward and the steps of optimisers in part, which strict modes hold against their callers.
MYPY = "[mypy]\nstrict = true\nfollow_imports = silent\nexplicit_package_bases = true\nuntyped_calls_exclude = torch\n[mypy-lightning.*]\nignore_missing_imports = true\n"  # fmt: skip


@pytest.fixture(scope="module")
def snippets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snippets")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL), 1):
            (folder / f"{page.stem.lower()}_{number}.py").write_text(code)
    return folder


def test_mypy_strict(snippets):
    (snippets / "mypy.ini").write_text(MYPY)
    places = ":".join(str(ROOT / name) for name in ("kernels", "blocks", "."))
    files = sorted(path.name for path in snippets.glob("*.py"))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        str(BIN.parent / "mypy_cache"),
        *files,
    ]
    done = subprocess.run(command, cwd=snippets, env={"MYPYPATH": places}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_pyright_strict(snippets):
    places = [str(ROOT / name) for name in ("kernels", "blocks", ".")]
    settings = {"typeCheckingMode": "strict", "reportUnknownMemberType": False, "extraPaths": places}
    (snippets / "pyrightconfig.json").write_text(json.dumps({**settings, "include": ["*.py"]}))
    command = [BIN / "pyright", "--pythonpath", sys.executable, "--project", str(snippets)]
    done = subprocess.run(command, cwd=snippets, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
