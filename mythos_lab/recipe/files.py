"""Where recipes and search spaces are found: a path of the user's, or a name of ours."""

from __future__ import annotations

from pathlib import Path

from mythos_lab.recipe.errors import RecipeError

SPACE_COPY = "space.yaml"
"""The copy of its file that a study's folder has."""

_SUFFIXES = (".yaml", ".yml")


def data_dir(name: str) -> Path:
    """Our folder of that name: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def names(folder: str) -> list[str]:
    """The YAML files in one of our folders, without their suffix."""
    return sorted(path.stem for path in data_dir(folder).glob("*.yaml"))


def find(folder: str, name: str, named_by: Path | None = None) -> Path:
    """The file that a name or a path means.

    Args:
        folder: One of our folders, for names.
        name: A path with a YAML suffix, or one of our names.
        named_by: A file that names it. A relative path is looked for beside that file first, then in the working
            directory; what is found is another file.

    Raises:
        RecipeError: There is none; names the nearest.
    """
    from mythos_blocks.declaring.registry import suggest  # which imports torch; names are listed without it

    path = Path(name)
    if path.suffix in _SUFFIXES:
        places = [path] if named_by is None else [named_by.parent / path, path]
        found = next((place for place in places if _is_file(place) and place != named_by), None)
        if found is None:
            siblings = [str(p) for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
            several = named_by is not None and not path.is_absolute()
            also = f", neither beside {named_by} nor in the working directory" if several else ""
            raise RecipeError(f"{name}: no such file{also}; {suggest(name, siblings)}")
        return found
    ours = data_dir(folder) / f"{name}.yaml"
    if not _is_file(ours):
        raise RecipeError(f"{name}: not in {folder}/; {suggest(name, names(folder))}")
    return ours


def config_groups(folder: Path) -> dict[str, list[str]]:
    """The config groups in a folder: its sub-folders that hold YAML files, each with its choices."""
    found: dict[str, list[str]] = {}
    if folder.is_dir():
        for inner in sorted(folder.iterdir()):
            choices = sorted(path.stem for path in inner.glob("*.yaml")) if inner.is_dir() else []
            if choices:
                found[inner.name] = choices
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file system takes
        return False
