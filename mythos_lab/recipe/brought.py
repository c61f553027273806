"""How many files a recipe's ``defaults`` come to, before Hydra brings them one by one: each may bring others, twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mythos_lab.recipe.documents import read_document
from mythos_lab.recipe.errors import RecipeError

_MOST = 200
"""Files of one composition, counted as often as they are brought; the shipped recipes come to four."""


def check_brought(path: Path, groups: Sequence[str], roots: Sequence[Path]) -> None:
    """Refuse a recipe whose ``defaults`` bring files that bring files, without end or beyond measure.

    Args:
        path: The recipe.
        groups: Choices of config groups on the command line, ``group=choice``.
        roots: Folders in which configs are looked for, the first that has one first.

    Raises:
        RecipeError: Says which file does.
    """
    walk = _Walk(roots)
    num = walk.count(path, "")
    for choice in groups:
        num += walk.count_named(choice.lstrip("+~").replace("=", "/", 1), "")
    if num > _MOST:
        raise RecipeError(f"{path}: defaults: bring {num:,} files, each as often as it is named; at most {_MOST}")


class _Walk:
    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._counts: dict[Path, int] = {}
        self._open: list[Path] = []

    def count(self, path: Path, group: str) -> int:
        """Files that a file comes to, itself included."""
        if path in self._open or len(self._open) > _MOST:
            raise RecipeError(f"{path}: defaults: comes back to itself")
        if path not in self._counts:
            self._open.append(path)
            named = list(named_by(read_document(path)))
            self._counts[path] = 1 + sum(self.count_named(name, group) for name in named)
            self._open.pop()
        return self._counts[path]

    def count_named(self, name: str, group: str) -> int:
        """The same of a config by its name, as one in a group has it; nothing of one that is not there."""
        place = name.lstrip("/") if name.startswith("/") else f"{group}/{name}".lstrip("/")
        for root in self._roots:
            path = root / (place if place.endswith((".yaml", ".yml")) else f"{place}.yaml")
            if path.is_file():
                return self.count(path, place.rpartition("/")[0])
        return 0


def named_by(content: Any) -> Iterator[str]:
    """The configs that a file's ``defaults`` name, without packages."""
    listed = content.get("defaults") if isinstance(content, dict) else None
    for each in listed if isinstance(listed, list) else ():
        for key, choices in each.items() if isinstance(each, dict) else ((each, None),):
            if not isinstance(key, str) or key == "_self_" or key.startswith("override "):
                continue
            name = key.removeprefix("optional ").partition("@")[0]
            if choices is None:
                yield name
            for choice in choices if isinstance(choices, list) else [choices]:
                if isinstance(choice, str):
                    yield f"{name}/{choice}"
