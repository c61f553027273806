"""The generic tests of the installed transformers, from its source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

# What the tests import and the distribution leaves out: mixins of tests that then do not run.
_MISSING = {
    "exporters/test_export.py": "class ExportTesterMixin: ...\n",
    "generation/test_utils.py": "class GenerationTesterMixin: ...\n",
}


def fetched(cache: Path) -> Path:
    """A folder with the tests as the package ``transformers_tests``, and what they need as ``packages``."""
    number = version("transformers")
    folder = cache / f"transformers-{number}"
    package = folder / "transformers_tests"
    if (package / "test_modeling_common.py").exists():
        return folder
    pip = [sys.executable, "-m", "pip"]
    source = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", f"transformers=={number}"]
    subprocess.run([*pip, "download", "-q", "--dest", str(cache), *source], check=True)
    subprocess.run([*pip, "install", "-q", "--target", str(folder / "packages"), "parameterized"], check=True)
    for name, text in _MISSING.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    (package / "__init__.py").touch()
    prefix = f"transformers-{number}/tests/"
    with tarfile.open(cache / f"transformers-{number}.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(prefix):
                member.name = member.name.removeprefix(prefix)
                archive.extract(member, package, filter="data")
    return folder
