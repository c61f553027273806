"""What a trial has in a field: Optuna keeps the position of a choice among mappings and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mythos_lab.search.spaces.domains import Choice, Kinds


def chosen(params: Mapping[str, Any], parameter: str, choices: Mapping[str, Sequence[Any]]) -> Any:
    """The value of a parameter.

    Args:
        params: A trial's, as Optuna has them.
        parameter: Its name.
        choices: As :func:`by_position` found them.
    """
    value = params[parameter]
    return choices[parameter][value] if parameter in choices else value


def by_position(domains: Mapping[str, Any], prefix: str = "") -> dict[str, Sequence[Any]]:
    """The values of choices of which Optuna keeps the position, by parameter."""
    found: dict[str, Sequence[Any]] = {}
    for path, domain in domains.items():
        parameter = getattr(domain, "label", None) or f"{prefix}{path}"
        if isinstance(domain, Choice) and not domain.plain:
            found[parameter] = domain.values
        elif isinstance(domain, Kinds):
            for kind, fields in domain.kinds.items():
                found |= by_position(fields, f"{parameter}.{kind}.")
    return found
