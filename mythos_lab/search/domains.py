"""What a field may be in a search, each able to suggest a value to an Optuna trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Domain:
    """A set of values."""

    def suggest(self, trial: Any, name: str) -> Any:
        """A value, suggested by the trial under this parameter name."""
        raise NotImplementedError


@dataclass(frozen=True)
class Range(Domain):
    """Numbers from low to high, both included."""

    whole: bool
    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low, and it is {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")

    def suggest(self, trial: Any, name: str) -> Any:
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)


@dataclass(frozen=True)
class Choice(Domain):
    """One of some values. Optuna keeps the position, so that values of any type can be chosen from."""

    values: list[Any]

    def suggest(self, trial: Any, name: str) -> Any:
        if all(isinstance(value, (bool, int, float, str)) or value is None for value in self.values):
            return trial.suggest_categorical(name, self.values)
        return self.values[trial.suggest_int(name, 0, len(self.values) - 1)]


@dataclass(frozen=True)
class Kinds(Domain):
    """A component, each kind with a sub-space of its own that exists only where the kind is chosen."""

    kinds: dict[str, dict[str, Any]]

    def suggest(self, trial: Any, name: str) -> Any:
        kind = trial.suggest_categorical(name, sorted(self.kinds))
        fields = {
            field: value.suggest(trial, f"{name}.{kind}.{field}") if isinstance(value, Domain) else value
            for field, value in self.kinds[kind].items()
        }
        return {"kind": kind, **fields}
