"""``make peers``: transformers' own generic tests over exported models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.peers.sources import fetched

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Fetch the tests, once, and run them; further arguments are pytest's."""
    folder = fetched(Path(os.environ.get("MYTHOS_PEERS", ROOT / ".venv" / "peers")))
    paths = [str(folder), str(folder / "packages"), *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        str(Path(__file__).parent / "models.py"),
    ]
    # The tests look for no server, and for the models' own words rather than warnings.
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    return subprocess.call([*command, *sys.argv[1:]], cwd=ROOT, env=surroundings)


sys.exit(main())
