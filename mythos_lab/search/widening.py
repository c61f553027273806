"""A study that goes on with more to choose from than it began with.

Optuna keeps the choices of a categorical parameter with every trial, and lets a study have one set of them. So the
study goes on in another one of the same storage, which has the same trials with all the choices; the old one says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from mythos_lab.recipe.errors import RecipeError
from mythos_lab.search.spaces.domains import Choice, Domain, Kinds
from mythos_lab.search.spaces.space import ARM, Space

SUCCESSOR = "goes_on_as"
"""Study attribute: the name, in Optuna, of the study that has its trials and more choices."""


def current_name(storage: BaseStorage, name: str) -> str:
    """What Optuna calls a study that may have been widened."""
    while True:
        try:
            successor = storage.get_study_user_attrs(storage.get_study_id_from_name(name)).get(SUCCESSOR)
        except KeyError:
            return name
        if successor is None:
            return name
        name = successor


def widen(space: Space, study: optuna.Study, attrs: Mapping[str, Any]) -> None:
    """Have a study go on in one that has all the choices of a space.

    Whoever dies meanwhile leaves the old one as it was: it names the new one when that is complete.

    Args:
        space: The widened space.
        study: The study so far.
        attrs: Attributes that the new one has in place of the old one's.

    Raises:
        RecipeError: Trials run, whose workers know the old one.
    """
    trials = study.get_trials(deepcopy=False)
    if any(trial.state is TrialState.RUNNING for trial in trials):
        raise RecipeError(
            f"{space.source}: the study {space.file.name!r} gets more choices, and trials of it run; let them end first"
        )
    base, _, generation = study.study_name.partition("~")
    name = f"{base}~{int(generation or 1) + 1}"
    if name in optuna.get_all_study_names(study._storage):
        optuna.delete_study(study_name=name, storage=study._storage)
    wide = optuna.create_study(study_name=name, storage=study._storage, directions=study.directions)
    kept = dict(_choices(space))
    wide.add_trials([_with(kept, trial) for trial in trials])
    for key, value in {**study.user_attrs, **attrs}.items():
        wide.set_user_attr(key, value)
    study.set_user_attr(SUCCESSOR, name)


def _with(kept: Mapping[str, list[Any]], trial: FrozenTrial) -> FrozenTrial:
    distributions = {
        name: CategoricalDistribution(kept[name]) if isinstance(before, CategoricalDistribution) else before
        for name, before in trial.distributions.items()
    }
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=trial.params,
        distributions=distributions,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


def _choices(space: Space) -> Iterator[tuple[str, list[Any]]]:
    """Categorical parameters, and what Optuna keeps of each choice."""
    if space.file.arms:
        yield ARM, list(space.file.arms)
    for path, domain in space.domains.items():
        yield from _of(domain, path)


def _of(domain: Domain, path: str) -> Iterator[tuple[str, list[Any]]]:
    name = domain.label or path
    if isinstance(domain, Choice):
        yield name, domain.values if domain.plain else list(range(len(domain.values)))
    elif isinstance(domain, Kinds):
        yield name, sorted(domain.kinds)
        for kind, fields in domain.kinds.items():
            for field, inner in fields.items():
                if isinstance(inner, Domain):
                    yield from _of(inner, f"{name}.{kind}.{field}")
