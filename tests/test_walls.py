"""The walls between the rooms, and the house's public face."""

import subprocess
import sys
from pathlib import Path


def test_arrows_run_down_only():
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_file_imports_a_siblings_underscore_name():
    for folder in ("kernels/mythos_kernels", "blocks/mythos_blocks", "mythos_lab"):
        for path in Path(folder).rglob("*.py"):
            for line in path.read_text().splitlines():
                if line.startswith("from mythos"):
                    imported = line.split(" import ")[1]
                    assert not any(name.strip(" (").startswith("_") for name in imported.split(",")), (path, line)
