"""The Optuna parameters of a search space, and what of given values does not fit them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    check_distribution_compatibility,
)
from optuna.trial import FrozenTrial

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe.errors import shortened
from mythos_lab.search.spaces.domains import Choice, Domain, Kinds, Range

Condition = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Parameter:
    """One Optuna parameter.

    Attributes:
        distribution: Its values, as Optuna has them.
        under: The kinds that have to be chosen for it to exist, by the parameters that choose them.
    """

    distribution: BaseDistribution
    under: Condition = ()

    def misfit(self, value: Any) -> str | None:
        """What is wrong with a value; ``None`` where the parameter can have it."""
        if isinstance(self.distribution, CategoricalDistribution):
            choices = self.distribution.choices
            if any(choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in choices):
                return None
            return f"{shortened(repr(value))} is no choice; {suggest(str(value), map(str, choices))}"
        assert isinstance(self.distribution, (IntDistribution, FloatDistribution))
        return _outside(self.distribution, value)

    def takes(self, distribution: BaseDistribution) -> bool:
        """Whether Optuna lets one study have both distributions under one name."""
        try:
            check_distribution_compatibility(distribution, self.distribution)
        except ValueError:
            return False
        return True


def lies_in(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value plainly is one of a range without steps, as most are; of any other it is to be asked further."""
    if type(distribution) is FloatDistribution:
        return type(value) is float and distribution.step is None and distribution.low <= value <= distribution.high
    if type(distribution) is IntDistribution:
        return type(value) is int and distribution.step == 1 and distribution.low <= value <= distribution.high
    return False


def lie_in(trials: Sequence[FrozenTrial]) -> bool:
    """Whether all values of trials plainly are of their distributions: tens of thousands are looked at together."""
    columns: dict[int, tuple[BaseDistribution, list[Any]]] = {}
    for trial in trials:
        distributions = trial.distributions
        for name, value in trial.params.items():
            if (distribution := distributions.get(name)) is None:
                return False
            if (column := columns.get(id(distribution))) is None:
                column = columns[id(distribution)] = distribution, []
            column[1].append(value)
    return all(_all_lie_in(distribution, values) for distribution, values in columns.values())


def _all_lie_in(distribution: BaseDistribution, values: list[Any]) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        if not set(map(type, values)) <= {bool, int, float, str, type(None)}:
            return False
        kinds = {(type(choice), choice) for choice in distribution.choices}
        return set(zip(map(type, values), values, strict=True)) <= kinds
    if set(map(type, values)) not in ({int}, {float}) or math.isnan(sum(values)):
        return False
    return lies_in(distribution, min(values)) and lies_in(distribution, max(values))


def parameters(domains: Mapping[str, Domain], under: Condition = (), prefix: str = "") -> dict[str, Parameter]:
    """Every Optuna parameter of what varies, by name, those that exist only where a kind is chosen among them."""
    return dict(_parameters(domains, under, prefix))


def misfit(known: Mapping[str, Parameter], values: Mapping[str, Any], *, whole: bool) -> str | None:
    """Why values are no candidate of a space; ``None`` where they are one.

    Args:
        known: The space's parameters.
        values: By parameter.
        whole: Whether all have to be there; else a sampler draws those that are missing.
    """
    for name, value in values.items():
        if (parameter := known.get(name)) is None:
            return f"{name}: the space has no such parameter; {suggest(name, known)}"
        if not lies_in(parameter.distribution, value) and (reason := parameter.misfit(value)) is not None:
            return f"{name}: {reason}"
    for name in values:
        for chooser, kind in known[name].under:
            if chooser in values and values[chooser] != kind:
                return f"{name}: exists only where {chooser} is {kind!r}, and it is {values[chooser]!r}"
    if whole:
        for name, parameter in known.items():
            if name not in values and all(values.get(chooser) == kind for chooser, kind in parameter.under):
                return f"{name}: is missing"
    return None


def _parameters(domains: Mapping[str, Any], under: Condition, prefix: str) -> Iterator[tuple[str, Parameter]]:
    for path, domain in domains.items():
        name = getattr(domain, "label", None) or f"{prefix}{path}"
        if isinstance(domain, Range):
            yield name, Parameter(domain.distribution, under)
        elif isinstance(domain, Choice):
            kept = domain.values if domain.plain else range(len(domain.values))
            yield name, Parameter(CategoricalDistribution(list(kept)), under)
        elif isinstance(domain, Kinds):
            yield name, Parameter(CategoricalDistribution(sorted(domain.kinds)), under)
            for kind, fields in domain.kinds.items():
                yield from _parameters(fields, (*under, (name, kind)), f"{name}.{kind}.")


def _outside(range_: IntDistribution | FloatDistribution, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"expected a number, found {shortened(repr(value))}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, found {value}"
    if isinstance(range_, IntDistribution) and value != int(value):
        return f"expected a whole number, found {value!r}"
    if not range_.low <= value <= range_.high:
        return f"{shortened(repr(value))} is outside {range_.low:g} to {range_.high:g}"
    steps = (value - range_.low) / (range_.step or 1)
    if range_.step is not None and abs(steps - round(steps)) > 1e-6:
        return f"{value!r} is none of {range_.low:g} to {range_.high:g} by steps of {range_.step:g}"
    return None
