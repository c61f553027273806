"""YAML as recipes, config groups, search spaces and run folders are written: one reader and one writer.

What stands without quotes means what it means in an override, by Hydra's grammar: ``1e-4``, ``3e3`` and ``1_000`` are
numbers, ``on``, ``no`` and ``010`` are texts. What no recipe needs is refused, and before it costs anything: tags, keys
that are written twice or are no names, nesting and aliases without measure. Overrides are held to the same bounds by
:func:`plain`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mythos_lab.recipe.errors import RecipeError, shortened
from mythos_lab.recipe.reading import read_at_most

MAX_NESTING = 64
"""Lists and mappings within each other; the deepest recipe of ours has 9."""

_MAX_BYTES = 2**20  # of a file
MAX_VALUES = 10_000
"""Values of a document, those that aliases and references stand for included; composing that many takes seconds."""

_MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 400  # of a number with a point

_MERGE = "<<"
_UNSIGNED = r"(0|[1-9](_?[0-9])*)"
_INTEGER = re.compile(rf"[-+]?{_UNSIGNED}")
_FLOAT = re.compile(rf"[-+]?({_UNSIGNED}(\.([0-9](_?[0-9])*)?)?|\.[0-9](_?[0-9])*)([eE][-+]?[0-9](_?[0-9])*)?")
_NO_NUMBER = re.compile(r"([-+]?)\.?(inf|nan)", re.IGNORECASE)
_WORDS = {"null": None, "true": True, "false": False}


def parse_yaml(text: str, source: str | Path) -> Any:
    """The value of a YAML document; ``None`` for an empty one.

    Raises:
        RecipeError: It is no YAML, or goes beyond what a recipe needs; with the line.
    """
    reader = _Reader(str(source))
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}:" if mark is not None else ""
        raise RecipeError(
            f"{source}:{line} not YAML: {' '.join(filter(None, (error.context, error.problem)))}"
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not YAML: {' '.join(str(error).split())[:200]}") from None
    return reader.value


def read_document(path: Path) -> Any:
    """The value of a YAML file, as :func:`parse_yaml` reads it.

    Raises:
        RecipeError: The file cannot be read, is larger than a MiB, or not what :func:`parse_yaml` takes.
    """
    try:
        return parse_yaml(read_at_most(path, _MAX_BYTES, "recipe or search space").decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not YAML: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RecipeError: As :func:`read_document`, or it holds no mapping; ``what`` names what its fields should be.
    """
    content = read_document(path)
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise RecipeError(f"{path}: expected a mapping of a {what}'s fields, found {found}")
    return content


_BREAKS = frozenset("\x85\u2028\u2029")


def to_yaml(value: Any) -> str:
    """A document that :func:`parse_yaml` reads as the same value, and so does PyYAML; equal parts stand each time."""
    options: Any = {"Dumper": _Dumper, "sort_keys": False, "width": 120}
    document = yaml.dump(value, **options, allow_unicode=True)
    # Unicode's ends of lines stand in it as they are, and would be read as ends of lines.
    return document if _BREAKS.isdisjoint(document) else yaml.dump(value, **options)


def plain(value: Any, where: str) -> Any:
    """A value that did not come from YAML, held to the same bounds.

    Raises:
        RecipeError: It is nested too deep, has too many parts, or a number or a text that no field takes.
    """
    num_values = 0
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        num_values += 1
        if depth > MAX_NESTING:
            raise RecipeError(f"{where}: nested more than {MAX_NESTING} deep")
        if num_values > MAX_VALUES:
            raise RecipeError(f"{where}: more than {MAX_VALUES:,} values")
        if isinstance(item, Mapping):
            for key in item:
                _check_key(key, where)
            waiting += [(part, depth + 1) for part in item.values()]
        elif isinstance(item, list):
            waiting += [(part, depth + 1) for part in item]
        elif isinstance(item, str):
            _check_text(item, where)
        elif isinstance(item, int):
            _check_integer(item, where)
        elif not isinstance(item, float | None):
            raise RecipeError(f"{where}: expected a number, a text, a list or a mapping, found a {type(item).__name__}")
    return value


@dataclass
class _Open:
    """A list or a mapping that has not ended."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    line: int
    size: int = 1
    height: int = 1
    key: str | None = None
    merged: dict[str, Any] | None = None


class _Reader:
    """Builds the value of one document from PyYAML's events, without recursion."""

    def __init__(self, source: str) -> None:
        self.value: Any = None
        self._source = source
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._num_values = self._num_documents = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        where = f"{self._source}: line {line}"
        if isinstance(event, yaml.DocumentStartEvent):
            self._num_documents += 1
            if self._num_documents > 1:
                raise RecipeError(f"{where}: a second document; expected one")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise RecipeError(
                    f"{where}: *{event.anchor} stands for nothing; its anchor &{event.anchor} must end above"
                )
            value, size, height = self._anchors[event.anchor]
            self._count(size, where)
            self._check_depth(height, where)
            self._put(copy.deepcopy(value), size, height, None, where)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_tag(event, where)
            self._count(1, where)
            self._check_depth(1, where)
            if self._open and isinstance(self._open[-1].value, dict) and self._open[-1].key is None:
                raise RecipeError(f"{where}: expected a name as key, found a list or a mapping")
            value = [] if isinstance(event, yaml.SequenceStartEvent) else {}
            self._open.append(_Open(value, event.anchor, line))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self._open.pop()
            value = ended.value if ended.merged is None else {**ended.merged, **ended.value}  # type: ignore[dict-item]
            self._put(value, ended.size, ended.height, ended.anchor, f"{self._source}: line {ended.line}")
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event, where)
            self._count(1, where)
            self._put(_scalar(event.value, event.style is None, where), 1, 0, event.anchor, where)

    def _put(self, value: Any, size: int, height: int, anchor: str | None, where: str) -> None:
        if anchor is not None:
            self._anchors[anchor] = value, size, height
        if not self._open:
            self.value = value
            return
        parent = self._open[-1]
        parent.size += size
        parent.height = max(parent.height, height + 1)
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            parent.key = _check_key(value, where)
            if parent.key in parent.value or (parent.key == _MERGE and parent.merged is not None):
                raise RecipeError(f"{where}: {parent.key}: written twice in one mapping")
        elif parent.key == _MERGE:
            parent.merged, parent.key = _merged(value, where), None
        else:
            parent.value[parent.key], parent.key = value, None

    def _check_depth(self, height: int, where: str) -> None:
        if len(self._open) + height > MAX_NESTING:
            raise RecipeError(f"{where}: nested more than {MAX_NESTING} deep")

    def _count(self, size: int, where: str) -> None:
        self._num_values += size
        if self._num_values > MAX_VALUES:
            raise RecipeError(f"{where}: more than {MAX_VALUES:,} values, with what aliases stand for")

    @staticmethod
    def _refuse_tag(event: yaml.ScalarEvent | yaml.CollectionStartEvent, where: str) -> None:
        if event.tag not in (None, "!"):
            raise RecipeError(f"{where}: not YAML that is read here: the tag {event.tag}; expected plain values")


def _merged(value: Any, where: str) -> dict[str, Any]:
    """What ``<<`` brings: of several mappings the first that has a key counts."""
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, dict) for part in parts):
        raise RecipeError(f"{where}: {_MERGE}: expected a mapping, or a list of some")
    merged: dict[str, Any] = {}
    for part in reversed(parts):
        merged |= part
    return merged


def _scalar(text: str, bare: bool, where: str) -> Any:
    """The value of a scalar; ``bare`` where it stands without quotes."""
    if not bare:
        return _check_text(text, where)
    if text in ("", "~"):
        return None
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        if len(text) > 30:
            raise RecipeError(f"{where}: {shortened(text)} is beyond 64 bits")
        return _check_integer(int(text), where)
    if len(text) <= _MAX_DIGITS and _FLOAT.fullmatch(text):
        return float(text)
    if found := _NO_NUMBER.fullmatch(text):
        return float(found.group(1) + found.group(2))
    return _check_text(text, where)


def _check_key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise RecipeError(
            f"{where}: expected a name as key, found {shortened(repr(key))}; quote it if it is meant as one"
        )
    return _check_text(key, where)


def _check_text(text: str, where: str) -> str:
    if "\0" in text or not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise RecipeError(f"{where}: {shortened(ascii(text))} holds a character that no file can")
    return text


def _check_integer(number: int, where: str) -> int:
    if abs(number) > _MAX_INTEGER:
        raise RecipeError(f"{where}: a whole number beyond 64 bits")
    return number


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 or 1.2 would take for something else than text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _pattern in (_FLOAT, _NO_NUMBER, re.compile("null|true|false", re.IGNORECASE)):
    _Dumper.add_implicit_resolver("mythos:quoted", re.compile(rf"^(?:{_pattern.pattern})$", _pattern.flags), None)
