"""What strangers hand over is data: each fault as a harmless proof, each promise of SECURITY.md as a contract."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from mythos_lab.recipe import load_recipe
from tests.lab.search.tiny import OVERRIDES


@lru_cache(maxsize=1)
def _tiny() -> str:
    return load_recipe("gated_loop", OVERRIDES).model_dump_json()


def tiny(**fields: object) -> dict[str, Any]:
    """The whole of a recipe that takes a second, with other fields where they are given."""
    return {**json.loads(_tiny()), **fields}


def write(path: Path, content: object) -> Path:
    """The content as YAML in a file, whose path is returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def marking(marker: Path) -> str:
    """The source of a module that leaves a file behind, as proof that it was executed."""
    return f"open({str(marker)!r}, 'a').close()\n"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, as it stands on the disk."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
