"""What a field may be in a search, each able to suggest a value to an Optuna trial and to list its values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from optuna.distributions import FloatDistribution, IntDistribution

from mythos_blocks import Spec
from mythos_blocks.declaring.registry import lookup
from mythos_lab.search.samplers.prior import Prior


class Census(NamedTuple):
    """How many Optuna parameters there are that can take more than one value.

    Attributes:
        num_params: All of them.
        num_categorical: Those that have no order.
        num_conditional: Those that exist only where a kind is chosen.
    """

    num_params: int = 0
    num_categorical: int = 0
    num_conditional: int = 0

    def and_(self, other: Census) -> Census:
        """Both together."""
        return Census(*(a + b for a, b in zip(self, other, strict=True)))


class Domain:
    """A set of values.

    Attributes:
        label: The Optuna parameter's name, where it is not the field's path; fields with one label share a value.
        prior: Where a good value is believed to be.
    """

    label: str | None = None
    prior: Prior | None = None

    def suggest(self, trial: Any, path: str) -> Any:
        """A value for the field at the path, as the recipe has it."""
        return self._suggest(trial, self.label or path)

    def points(self, path: str) -> Iterator[dict[str, Any]] | None:
        """The parameters of every value, one mapping each; ``None`` where the values cannot be listed."""
        return self._points(self.label or path)

    def priors(self, path: str) -> dict[str, Prior]:
        """What is believed of each Optuna parameter, in the parameter's own terms."""
        return {} if self.prior is None else {self.label or path: self.prior}

    def census(self) -> Census:
        """How many Optuna parameters it has that can take more than one value."""
        raise NotImplementedError

    def num_points(self) -> int | None:
        """How many values there are; ``None`` where they cannot be listed."""
        raise NotImplementedError

    def _suggest(self, trial: Any, name: str) -> Any:
        raise NotImplementedError

    def _points(self, name: str) -> Iterator[dict[str, Any]] | None:
        raise NotImplementedError


@dataclass(frozen=True)
class Range(Domain):
    """Numbers from low to high, both included."""

    whole: bool
    low: float
    high: float
    log: bool = False
    step: float | None = None
    label: str | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low, and it is {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and not 0 < self.step < math.inf:
            raise ValueError(f"step must be positive and finite, and it is {self.step:g}")
        if self.step is not None and not _divides(self.step, self.high - self.low):
            reached = self.low + (self.high - self.low) // self.step * self.step
            raise ValueError(
                f"step={self.step:g} from {self.low:g} ends at {reached:g} and never reaches {self.high:g}"
            )
        if self.prior is None:
            return
        if isinstance(self.prior.value, bool) or not isinstance(self.prior.value, (int, float)):
            raise ValueError(f"prior={self.prior.value!r} is no number")
        if not self.low <= self.prior.value <= self.high:
            raise ValueError(f"prior={self.prior.value:g} is outside {self.low:g} to {self.high:g}")
        self.prior.check(self.distribution)

    @property
    def distribution(self) -> IntDistribution | FloatDistribution:
        """The same range, as Optuna has it."""
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def census(self) -> Census:
        return Census(int(self.low < self.high))

    def num_points(self) -> int | None:
        step = self.step or (1 if self.whole else None)
        if self.low == self.high:
            return 1
        return None if step is None else int((self.high - self.low) / step + 1e-9) + 1

    def _suggest(self, trial: Any, name: str) -> Any:
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def _points(self, name: str) -> Iterator[dict[str, Any]] | None:
        num, step = self.num_points(), self.step or 1
        if num is None:
            return None
        return ({name: int(self.low + i * step) if self.whole else self.low + i * step} for i in range(num))


@dataclass(frozen=True)
class Choice(Domain):
    """One of some values. Optuna keeps the position, so that values of any type can be chosen from."""

    values: list[Any]
    label: str | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        if self.prior is not None and self.prior.value not in self.values:
            raise ValueError(f"prior={self.prior.value!r} is none of the choices")

    @property
    def plain(self) -> bool:
        """Whether Optuna can keep the values themselves."""
        return all(isinstance(value, (bool, int, float, str)) or value is None for value in self.values)

    def priors(self, path: str) -> dict[str, Prior]:
        if self.prior is None or self.plain:
            return super().priors(path)
        return {self.label or path: Prior(self.values.index(self.prior.value), self.prior.confidence)}

    def census(self) -> Census:
        return Census(int(len(self.values) > 1), int(len(self.values) > 1))

    def num_points(self) -> int:
        return len(self.values)

    def _suggest(self, trial: Any, name: str) -> Any:
        if self.plain:
            return trial.suggest_categorical(name, self.values)
        return self.values[trial.suggest_categorical(name, list(range(len(self.values))))]

    def _points(self, name: str) -> Iterator[dict[str, Any]]:
        return ({name: value if self.plain else i} for i, value in enumerate(self.values))


@dataclass(frozen=True)
class Kinds(Domain):
    """A component, each kind with a sub-space of its own that exists only where the kind is chosen."""

    slot: str
    kinds: Mapping[str, Mapping[str, Any]]
    label: str | None = None
    prior: Prior | None = None

    @property
    def specs(self) -> list[type[Spec]]:
        """The declarations of the kinds."""
        return [lookup(self.slot, kind).Spec for kind in self.kinds]

    def __post_init__(self) -> None:
        if self.prior is not None and self.prior.value not in list(self.kinds):
            raise ValueError(f"prior={self.prior.value!r} is none of the kinds")

    def priors(self, path: str) -> dict[str, Prior]:
        own, name = super().priors(path), self.label or path
        for kind, fields in self.kinds.items():
            for field_, domain in self._domains(fields):
                own |= domain.priors(f"{name}.{kind}.{field_}")
        return own

    def census(self) -> Census:
        several = len(self.kinds) > 1
        found = Census(int(several), int(several))
        for fields in self.kinds.values():
            for _, domain in self._domains(fields):
                inner = domain.census()
                found = found.and_(inner._replace(num_conditional=inner.num_params) if several else inner)
        return found

    def num_points(self) -> int | None:
        each = [num_points(domain for _, domain in self._domains(fields)) for fields in self.kinds.values()]
        return None if None in each else sum(num for num in each if num is not None)

    def _suggest(self, trial: Any, name: str) -> Any:
        kind = trial.suggest_categorical(name, sorted(self.kinds))
        fields = {
            field_: value.suggest(trial, f"{name}.{kind}.{field_}") if isinstance(value, Domain) else value
            for field_, value in self.kinds[kind].items()
        }
        return {"kind": kind, **fields}

    def _points(self, name: str) -> Iterator[dict[str, Any]] | None:
        listed = {
            kind: product({f"{name}.{kind}.{field_}": domain for field_, domain in self._domains(fields)})
            for kind, fields in sorted(self.kinds.items())
        }
        if any(points is None for points in listed.values()):
            return None
        return ({name: kind, **point} for kind, points in listed.items() for point in points or ())

    @staticmethod
    def _domains(fields: Mapping[str, Any]) -> list[tuple[str, Domain]]:
        return [(name, value) for name, value in fields.items() if isinstance(value, Domain)]


@dataclass(frozen=True)
class Same(Domain):
    """The value of the domain that carries the label."""

    label: str
    of: Mapping[str, Domain] = field(default_factory=dict, repr=False, compare=False)

    def suggest(self, trial: Any, path: str) -> Any:
        return self.of[self.label].suggest(trial, path)

    def points(self, path: str) -> Iterator[dict[str, Any]]:
        return iter([{}])

    def priors(self, path: str) -> dict[str, Prior]:
        return {}

    def census(self) -> Census:
        return Census()

    def num_points(self) -> int:
        return 1


def _divides(step: float, span: float) -> bool:
    """Whether so many steps come to the span, but for rounding."""
    ratio = span / step
    return math.isfinite(ratio) and abs(ratio - round(ratio)) <= 1e-6 + 1e-12 * ratio


def num_points(domains: Iterable[Domain]) -> int | None:
    """How many combinations of values there are; ``None`` where they cannot be listed."""
    each = [domain.num_points() for domain in domains]
    return None if None in each else math.prod(num for num in each if num is not None)


def product(domains: Mapping[str, Domain]) -> Iterator[dict[str, Any]] | None:
    """The parameters of every combination of values, by field; ``None`` where one domain cannot be listed."""
    listed = [domain.points(path) for path, domain in domains.items()]
    if any(points is None for points in listed):
        return None
    combinations = itertools.product(*(points for points in listed if points is not None))
    return ({name: value for point in points for name, value in point.items()} for points in combinations)
