"""A user's mistake, as one line each: file, path within it, what was expected, nearest valid choice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from mythos_lab.recipe.screen import escaped
from mythos_lab.recipe.urls import in_text

if TYPE_CHECKING:
    from mythos_blocks import BuildError


class RecipeError(ValueError):
    """What is wrong with a recipe, a search space or an override.

    Attributes:
        lines: One line for each mistake, whatever a file or an argument had in it.
        status: The exit status of a command that it ends.
    """

    status = 2

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(_one_line(in_text(line)) for line in lines)
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> Any:
        return type(self), self.lines, self.__dict__


_MOST_SHOWN = 1000  # characters of a line


def _one_line(text: str) -> str:
    """The text as a terminal can show it on one line."""
    text = escaped(text)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."


def shortened(text: str) -> str:
    """What somebody wrote, as a line shows it."""
    return text if len(text) <= 80 else f"{text[:77]}..."


class Misplaced(RecipeError):
    """The recipe may be sound; where this process runs, no other would fare better."""


class Unreachable(Misplaced):
    """A server does not answer, which is nobody's mistake here."""

    status = 1


class Interrupted(Exception):
    """A study was stopped before its end; the same command goes on with it.

    Attributes:
        status: The exit status that says so: 128 and the signal's number.
    """

    def __init__(self, status: int) -> None:
        super().__init__("stopped; the same command goes on with it")
        self.status = status


class WorkersLost(RuntimeError):
    """Workers of a study keep dying, and the message says where to read why."""


_A_TYPE = re.compile(r"[-\[(]|^(bool|int|float|str)$")


def from_validation(source: str | Path, error: ValidationError, but: str | None = None) -> RecipeError:
    """The lines of a Pydantic error; what a field of several types might have been shares one line.

    Args:
        source: File, for the lines.
        error: The error.
        but: Mistakes that are left out, by Pydantic's name.
    """
    lines: dict[str, list[str]] = {}
    for e in error.errors(include_url=False):
        if e["type"] == but:
            continue
        # Pydantic names the type that was tried as if it were a field: "bool", "constrained-int", "literal['mean']".
        path = tuple(part for part in e["loc"] if not (isinstance(part, str) and _A_TYPE.search(part)))
        lines.setdefault(_path(path), []).append(_message(dict(e)))
    return RecipeError(*(f"{source}: {path}{', or: '.join(messages)}" for path, messages in lines.items()))


def from_build(source: str | Path, root: BaseModel, error: BuildError) -> RecipeError:
    """The line of an error that a constructor raised, with the path of its spec in the recipe."""
    # A component that was built already has a spec that equals the declared one.
    from mythos_lab.recipe.specs import walk_specs

    same = [path for path, spec in walk_specs(root) if spec is error.spec]
    path = next(iter(same or [path for path, spec in walk_specs(root) if spec == error.spec]), "")
    return RecipeError(f"{source}: {path}: {error}" if path else f"{source}: {error}")


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc) + ": " if loc else ""


def _message(error: dict[str, Any]) -> str:
    message = str(error["msg"])
    if error["type"] == "missing":
        return "required, and missing"
    if error["type"] in ("unknown_field", "unknown_kind", "component", "value_error"):
        return message.removeprefix("Value error, ")
    if error["type"] in ("model_type", "dict_type"):
        message = "expected fields with their values, {field: value}"
    got = error.get("input")
    shown = (
        f" (got {shortened(repr(got))})"
        if isinstance(got, (str, int, float, bool, type(None)))
        else f" (got a {type(got).__name__})"
    )
    return message[:1].lower() + message[1:] + shown
