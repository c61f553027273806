"""``${model.width}`` in a recipe: the value that stands at a path, whoever put it there and wherever it is written.

References are followed once, in the composed recipe with all that the command line, a search space or a solved budget
has set. A sum of numbers and paths is one too, ``${1 / model.core.loops.num_loops}``. There are no others, and no
functions. In ``tracking.uri`` alone a variable of the environment may be named, ``${oc.env:NAME}``, which stays a name
until the URL is opened.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mythos_lab.recipe.arithmetic import computed
from mythos_lab.recipe.documents import MAX_NESTING, MAX_VALUES, plain
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import field_at
from mythos_lab.recipe.urls import ENVIRONMENT

_REFERENCE = re.compile(r"(\\*)\$\{([^{}]*)(\}?)")
_OPENED = ("tracking", "uri")
_PATH = re.compile(r"\w+(\.\w+)*")
_MAX_LENGTH = 10_000  # characters of a text with references
_MAX_CHARACTERS = 2**20  # of all of them


def resolved(root: type[BaseModel], config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A composed mapping with every reference replaced by what it stands for.

    A text that is one reference becomes the value, of whatever type; within a text a reference becomes its text.
    ``\\${`` is ``${``. A field that nobody has set has its default.

    Args:
        root: The schema, for defaults and for the nearest name.
        config: The mapping, which stays as it is.
        source: File, for errors.

    Raises:
        RecipeError: A reference to nothing, to itself by whatever way, or into a value that has no parts.
    """
    found = _Following(root, config, source).value(config, ())
    for path, text in _texts(found):
        if (named := ENVIRONMENT.search(text)) and path != _OPENED:
            raise RecipeError(
                f"{source}: {'.'.join(path)}: {named[0]}: values of the environment are recorded nowhere, and only "
                f"{'.'.join(_OPENED)} may name one; expected a value, or ${{path}}"
            )
    return dict(plain(found, source))


def escaped(value: Any) -> Any:
    """A value that :func:`resolved` gives back as it is."""
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escaped(item) for item in value]
    return (
        _REFERENCE.sub(lambda m: "\\" * (2 * len(m[1]) + 1) + m[0].lstrip("\\"), value)
        if isinstance(value, str)
        else value
    )


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path, value
    for key, item in (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from _texts(item, (*path, str(key)))


class _Following:
    def __init__(self, root: type[BaseModel], config: Mapping[str, Any], source: str) -> None:
        self._root, self._config, self._source = root, config, source
        self._num_values = self._num_characters = 0

    def value(self, value: Any, through: tuple[str, ...]) -> Any:
        """The value without references; ``through`` are the paths that led here."""
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            raise RecipeError(f"{self._source}: more than {MAX_VALUES:,} values, with what references stand for")
        if isinstance(value, Mapping):
            return {key: self.value(item, through) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, through) for item in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = _REFERENCE.fullmatch(value)
        if whole is not None and not whole[1]:
            return self._at(whole, through)
        text = _REFERENCE.sub(lambda found: self._text(found, value, through), value)
        self._num_characters += len(text)
        if self._num_characters > _MAX_CHARACTERS:
            raise RecipeError(f"{self._source}: texts with references come to more than {_MAX_CHARACTERS:,} characters")
        if len(text) > _MAX_LENGTH:
            raise RecipeError(f"{self._source}: a text with references comes to more than {_MAX_LENGTH:,} characters")
        return text

    def _text(self, found: re.Match[str], value: str, through: tuple[str, ...]) -> str:
        slashes = found[1][: len(found[1]) // 2]
        if len(found[1]) % 2:
            return slashes + found[0].lstrip("\\")
        inner = self._at(found, through)
        if isinstance(inner, Mapping | list):
            raise RecipeError(
                f"{self._source}: {found[0]} is no single value, and stands within the text {value[:80]!r}"
            )
        words = {None: "null", True: "true", False: "false"}
        return slashes + (words[inner] if inner is None or isinstance(inner, bool) else str(inner))

    def _at(self, found: re.Match[str], through: tuple[str, ...]) -> Any:
        path = found[2].strip()
        if ENVIRONMENT.fullmatch(f"${{{path}}}") and found[3]:
            return f"${{{path}}}"
        if found[3] and not _PATH.fullmatch(path) and re.search(r"[-+*/(]", path):
            return self._sum(path, through)
        if not found[3] or not _PATH.fullmatch(path):
            raise RecipeError(
                f"{self._source}: {found[0][:80]}: expected ${{path}}, a path from the recipe's root such as "
                "${model.width}; a text with ${ of its own has it as \\${"
            )
        return self._value_at(path, through)

    def _sum(self, text: str, through: tuple[str, ...]) -> int | float:
        try:
            return computed(text, lambda path: self._value_at(path, through))
        except RecipeError:
            raise
        except ValueError as error:
            raise RecipeError(f"{self._source}: ${{{text[:80]}}}: {error}") from None

    def _value_at(self, path: str, through: tuple[str, ...]) -> Any:
        if path in through:
            raise RecipeError(f"{self._source}: ${{{path}}} comes back to itself by {' -> '.join((*through, path))}")
        if len(through) >= MAX_NESTING:
            raise RecipeError(f"{self._source}: ${{{path}}} is reached through more than {MAX_NESTING} references")
        return self.value(self._stands_at(path, through), (*through, path))

    def _stands_at(self, path: str, through: tuple[str, ...]) -> Any:
        node: Any = self._config
        parts = path.split(".")
        for i, part in enumerate(parts):
            if isinstance(node, str) and "${" in node:
                node = self.value(node, (*through, ".".join(parts[:i])))
            if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
                node = node[int(part)]
                continue
            if not isinstance(node, Mapping) or part not in node:
                return self._default(path)
            node = node[part]
        return copy.deepcopy(node)

    def _default(self, path: str) -> Any:
        where = f"{self._source}: ${{{path}}}"
        field = field_at(self._root, self._config, path, where)
        default = field.get_default(call_default_factory=True) if not field.is_required() else None
        if field.is_required() or isinstance(default, BaseModel):
            raise RecipeError(f"{where}: nothing is written there")
        return default
