"""The published systems' configurations, in whichever form they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from mythos_blocks.checkpoints.weights import nearest

_MISSING = object()


class Config:
    """Reads fields of a dataclass, a mapping (such as a parsed ``config.json``) or an object with ``to_dict``.

    Args:
        source: The configuration.
        system: Whose it is, for messages.
    """

    def __init__(self, source: Any, system: str) -> None:
        self.source, self.system = source, system

    def get(self, *names: str, default: Any = _MISSING) -> Any:
        """The first of these fields that is set.

        Raises:
            ValueError: None of them is, and there is no default.
        """
        for name in names:
            value = self._read(name)
            if value is not _MISSING and value is not None:
                return value
        if default is _MISSING:
            raise ValueError(f"the {self.system} config has no {names[0]!r}; {nearest(names[0], self._names())}")
        return default

    def expect(self, name: str, *allowed: Any, default: Any = _MISSING) -> Any:
        """The field, which must have one of these values; ``default`` is what its absence means.

        Raises:
            ValueError: It has another, which the blocks cannot render.
        """
        value = self.get(name, default=allowed[0] if default is _MISSING else default)
        if value not in allowed:
            choices = " or ".join(repr(choice) for choice in allowed)
            raise ValueError(f"the {self.system} config has {name}={value!r}; only {choices} can be imported")
        return value

    def _read(self, name: str) -> Any:
        if isinstance(self.source, Mapping):
            return self.source.get(name, _MISSING)
        return getattr(self.source, name, _MISSING)

    def _names(self) -> list[str]:
        if isinstance(self.source, Mapping):
            return list(self.source)
        if is_dataclass(self.source):
            return [field.name for field in fields(self.source)]
        return list(self.source.to_dict()) if hasattr(self.source, "to_dict") else list(vars(self.source))
