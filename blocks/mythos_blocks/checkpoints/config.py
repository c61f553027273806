"""The published systems' configurations, in whichever form they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from mythos_blocks.checkpoints.weights import nearest

T = TypeVar("T")
_ABSENT: Any = object()


class Config:
    """Reads a published configuration and accounts for every field of it.

    A field is read, or it is inert: whatever its value, the published model computes the same, and so it is trained.
    A field that the published class does not have is refused at once, so that none of a newer class, and no slip of the
    pen, is passed over; :meth:`finish` checks that the importer has read all that is not inert.

    Args:
        source: A dataclass, a mapping (such as a parsed ``config.json``), or an object with attributes.
        system: Whose it is, for messages.
        defaults: Every field that the published class knows, with what its absence means there.
        inert: Those that change nothing, each with the reason.
        at: Where a configuration within another one is, for messages.

    Raises:
        ValueError: ``source`` has no fields, or one that the published class does not have.
    """

    def __init__(
        self, source: Any, system: str, defaults: Mapping[str, Any], inert: Mapping[str, str], *, at: str = ""
    ) -> None:
        self.system, self.defaults, self.inert, self.at = system, defaults, inert, at
        self._values = _fields(source, f"the {system} config" + (f"'s {at.removesuffix('.')}" if at else ""))
        self._read: dict[str, Any] = dict.fromkeys(inert)
        for name in self._values:
            if name not in defaults:
                raise ValueError(
                    f"the {system} config has {at}{name}={self._values[name]!r}, a field that the importer does not "
                    f"know; {nearest(name, defaults)}"
                )

    def given(self, name: str) -> bool:
        """Whether the configuration has the field, rather than leaving it at its default."""
        return name in self._values

    def get(self, name: str, default: Any = _ABSENT) -> Any:
        """The field.

        Args:
            name: Its name.
            default: What its absence means, where that depends on other fields.
        """
        assert name in self.defaults and name not in self.inert, name
        self._read[name] = self._values.get(name, self.defaults[name] if default is _ABSENT else default)
        return self._read[name]

    def expect(self, name: str, *allowed: Any, default: Any = _ABSENT, why: str = "") -> Any:
        """The field, which must have one of these values.

        Args:
            name: Its name.
            allowed: The values that can be rendered.
            default: As in :meth:`get`.
            why: What stands against the others.

        Raises:
            ValueError: It has another.
        """
        value = self.get(name, default)
        if value not in allowed:
            raise self.refusal(name, " or ".join(repr(choice) for choice in allowed), why)
        return value

    def choose(self, name: str, among: Mapping[str, T], why: str = "") -> T:
        """What the field's value stands for.

        Raises:
            ValueError: It stands for nothing.
        """
        return among[self.expect(name, *among, why=why)]

    def count(self, name: str, *, at_least: int = 1, default: Any = _ABSENT) -> int:
        """The field, which must be a whole number of at least so much.

        Raises:
            ValueError: It is not.
        """
        value = self.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise self.refusal(name, f"whole numbers of at least {at_least}")
        return value

    def number(self, name: str, *, at_least: float = -math.inf, default: Any = _ABSENT) -> float:
        """The field, which must be a finite number of at least so much.

        Raises:
            ValueError: It is not.
        """
        value = self.get(name, default)
        real = isinstance(value, int | float) and not isinstance(value, bool)
        if not real or not math.isfinite(value) or value < at_least:
            raise self.refusal(name, "finite numbers" + (f" of at least {at_least:g}" if at_least > -math.inf else ""))
        return float(value)

    def flag(self, name: str) -> bool:
        """The field, which must be true or false.

        Raises:
            ValueError: It is not.
        """
        return bool(self.expect(name, False, True))

    def within(self, name: str, defaults: Mapping[str, Any], inert: Mapping[str, str]) -> Config:
        """The configuration that the field holds; :meth:`finish` is to be called on it too.

        Raises:
            ValueError: It holds none, or one with a field that is not known.
        """
        return Config(self.get(name, {}), self.system, defaults, inert, at=f"{self.at}{name}.")

    def passed_over(self, *names: str) -> None:
        """These fields are not read by a model whose other fields are as they are here."""
        self._read |= dict.fromkeys(names)

    def refusal(self, name: str, allowed: str, why: str = "") -> ValueError:
        """The error that the field's value cannot be rendered."""
        default = "" if name in self._values else " (its default)"
        value = f"{self.at}{name}={self._read[name]!r}{default}"
        message = f"the {self.system} config has {value}; only {allowed} can be imported"
        return ValueError(f"{message}: {why}" if why else message)

    def finish(self) -> None:
        """Nothing is left to read: every field that is not inert has been."""
        unread = self.defaults.keys() - self._read
        assert not unread, f"the importer neither reads these fields nor says that they change nothing: {unread}"


def _fields(source: Any, what: str) -> dict[str, Any]:
    """The fields that are set, by name."""
    if isinstance(source, Mapping):
        return dict(source)
    for method in ("to_diff_dict", "to_dict"):  # what Hugging Face's class would leave out of a file is not set
        if hasattr(source, method):
            return {name: getattr(source, name) for name in getattr(source, method)()}
    if is_dataclass(source):
        return {field.name: getattr(source, field.name) for field in fields(source)}
    if not hasattr(source, "__dict__") or isinstance(source, type):
        raise ValueError(f"{what} must be a mapping or an object with fields, not {source!r}")
    return dict(vars(source))
