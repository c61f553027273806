"""Samplers and pruners by name: a choice as YAML says it, held against the constructor before anything runs."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, NoneType
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from mythos_blocks.declaring.registry import suggest
from mythos_lab.search.imported import IMPORT, construct, is_import

_MOST = 1_000_000
"""The largest whole number that an option takes."""

DEPRECATED = "Optuna deprecates it"

_WORDS: Mapping[str, type] = {
    "bool": bool, "int": int, "float": float, "str": str, "None": NoneType, "BasePruner": BasePruner,
}  # fmt: skip


@dataclass(frozen=True)
class Named:
    """A choice.

    Attributes:
        kind: Its name.
        options: The options that were written, checked; a nested choice is a ``Named`` too.
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def asdict(self) -> dict[str, Any]:
        """As YAML and JSON say it."""
        return {"kind": self.kind} | {
            name: value.asdict() if isinstance(value, Named) else value for name, value in self.options.items()
        }


@dataclass(frozen=True)
class Option:
    """What can be set.

    Attributes:
        name: Of the constructor's parameter.
        types: What it takes; a ``BasePruner`` is written as another choice.
        default: The value if it is not written; ``inspect.Parameter.empty`` where it has to be.
    """

    name: str
    types: tuple[type, ...]
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    def describe(self) -> str:
        """The types in words, as in ``int or null``."""
        words = {NoneType: "null", BasePruner: "a pruner"}
        return " or ".join(words.get(t, t.__name__) for t in self.types)


@dataclass(frozen=True)
class Entry:
    """What can be chosen.

    Attributes:
        make: The constructor; its signature says which options there are.
        presets: What is set where the user writes nothing, instead of the constructor's defaults.
        withheld: Options that are not offered, and why. Functions and objects, which YAML cannot say, need no mention.
        least: The least whole number that an option takes, where that is not 0.
    """

    make: Callable[..., Any]
    presets: Mapping[str, Any] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)

    def options(self) -> dict[str, Option]:
        """The options that are offered, in the order of the signature."""
        offered = {}
        for name, parameter in _parameters(self.make).items():
            types = _types(parameter.annotation)
            if types is not None and name not in self.withheld:
                offered[name] = Option(name, types, self.presets.get(name, parameter.default))
        return offered


class Catalogue:
    """Everything that can be chosen in one place of a study file.

    Args:
        what: What is chosen, for messages: ``sampler`` or ``pruner``.
        base: Of what is chosen.
        entries: By kind.
        withheld: Kinds of Optuna that are not offered, and why.
    """

    def __init__(self, what: str, base: type, entries: Mapping[str, Entry], withheld: Mapping[str, str]) -> None:
        self.what, self.base = what, base
        self.entries = MappingProxyType(dict(entries))
        self.withheld = MappingProxyType(dict(withheld))

    def read(self, written: Any) -> Named:
        """Check a choice: ``tpe``, ``{kind: tpe, n_startup_trials: 10}``, or ``{kind: import, path: ...}``.

        Raises:
            ValueError: An unknown kind or option, with the nearest one; a value of another type; a missing option; or
                what the constructor itself refuses.
        """
        if isinstance(written, str):
            written = {"kind": written}
        if not isinstance(written, Mapping) or not isinstance(written.get("kind"), str):
            raise ValueError(f"expected a {self.what}'s kind, or {{kind: ..., options}}, found {written!r}")
        kind = written["kind"]
        if is_import(written):
            imported = Named(IMPORT, {str(name): value for name, value in written.items() if name != "kind"})
            self.build(imported)
            return imported
        if "." in kind:
            raise ValueError(f"{kind!r} is no {self.what}'s kind; expected {{kind: {IMPORT}, path: {kind}}}")
        if kind in self.withheld:
            raise ValueError(f"{self.what} {kind!r} is not offered: {self.withheld[kind]}")
        if kind not in self.entries:
            raise ValueError(f"unknown {self.what} {kind!r}; {suggest(kind, (*self.entries, IMPORT))}")
        offered = self.entries[kind].options()
        options = {
            str(name): self._option(kind, offered, str(name), value)
            for name, value in written.items()
            if name != "kind"
        }
        missing = [name for name, option in offered.items() if option.required and name not in options]
        if missing:
            raise ValueError(f"{kind}: {missing[0]} is required ({offered[missing[0]].describe()}), and missing")
        named = Named(kind, options)
        self.build(named)  # what only the constructor can say is said now
        return named

    def build(self, named: Named, **given: Any) -> Any:
        """Construct what was chosen.

        Args:
            given: What the caller sets besides the options, such as the seed; it wins over presets and options.

        Raises:
            ValueError: The constructor refuses the options.
        """
        if named.kind == IMPORT:
            return construct(self.what, self.base, named.options, given)
        entry = self.entries[named.kind]
        options = {name: self.build(v) if isinstance(v, Named) else v for name, v in named.options.items()}
        try:
            with warnings.catch_warnings():
                # Known: Optuna calls the grouped TPE experimental since 2.8, and the whole of QMC since 3.0. An
                # experimental option that a user writes goes on warning.
                for known in [r"\w+ is experimental", *(rf"Argument ``{name}``" for name in entry.presets)]:
                    warnings.filterwarnings("ignore", message=known, category=ExperimentalWarning)
                return entry.make(**{**entry.presets, **options, **given})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{named.kind}: {error}") from None

    def _option(self, kind: str, offered: Mapping[str, Option], name: str, value: Any) -> Any:
        entry = self.entries[kind]
        option = offered.get(name)
        if option is None:
            if name in entry.withheld:
                raise ValueError(f"{kind}: option {name!r} is not offered: {entry.withheld[name]}")
            if name in _parameters(entry.make):
                raise ValueError(f"{kind}: option {name!r} is not offered: it takes an object that YAML cannot say")
            raise ValueError(f"{kind}: unknown option {name!r}; {suggest(name, offered)}")
        if BasePruner in option.types and value is not None:
            try:
                return self.read(value)
            except ValueError as error:
                raise ValueError(f"{kind}: {name}: {error}") from None
        if type(value) in option.types or (type(value) is int and float in option.types):
            least = entry.least.get(name, 0)
            if type(value) is int and int in option.types and not least <= value <= _MOST:
                raise ValueError(f"{kind}: {name}={value}: expected {least} to {_MOST:,}")
            if type(value) is float and not math.isfinite(value):
                raise ValueError(f"{kind}: {name}: expected a finite number, found {value}")
            return value
        raise ValueError(f"{kind}: {name}: expected {option.describe()}, found {value!r}")


def _parameters(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in inspect.signature(make).parameters.items() if p.kind in kinds}


def _types(annotation: Any) -> tuple[type, ...] | None:
    """The types of an annotation that YAML can say, or ``None``. Annotations are mostly text: Optuna defers them."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    parts = [part.strip() for part in text.split("|")]
    return tuple(_WORDS[part] for part in parts) if all(part in _WORDS for part in parts) else None
