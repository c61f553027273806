"""Where recipes and search spaces are found: a path of the user's, or a name of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.errors import RecipeError


def data_dir(name: str) -> Path:
    """Our folder of that name: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def names(folder: str) -> list[str]:
    """The YAML files in one of our folders, without their suffix."""
    return sorted(path.stem for path in data_dir(folder).glob("*.yaml"))


def find(folder: str, name: str) -> Path:
    """The file that a name or a path means.

    Raises:
        RecipeError: There is none; names the nearest.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            siblings = [str(p) for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
            raise RecipeError(f"{name}: no such file; {suggest(name, siblings)}")
        return path
    ours = data_dir(folder) / f"{name}.yaml"
    if not ours.is_file():
        raise RecipeError(f"{name}: not in {folder}/; {suggest(name, names(folder))}")
    return ours


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file, loaded safely.

    Raises:
        RecipeError: The file is not YAML, or holds no mapping; ``what`` names what its fields should be.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: expected a mapping of a {what}'s fields, found a {type(content).__name__}")
    return content
