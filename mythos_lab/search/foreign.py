"""Trials that somebody else put into a study by Optuna's own means: enqueued, added, or asked for and told.

What is enqueued is run where it lies in the space, and refused with the reason where it does not. What is told was not
measured here, so it is named and never a candidate; a sampler learns from it where it lies in the space, which is what
Optuna's users tell trials for.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import HyperbandPruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from mythos_lab.search.attributes import MISFIT, OUTSIDE
from mythos_lab.search.spaces.parameters import misfit
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.trial_states import is_asked_elsewhere, is_told, params_of
from mythos_lab.search.unpickling import nothing_unpickled
from mythos_lab.search.view import view


def refusal(space: Space, trial: FrozenTrial) -> str | None:
    """Why a trial that was queued cannot be run; ``None`` where it can, with draws for what it does not name."""
    if MISFIT in trial.user_attrs:
        return str(trial.user_attrs[MISFIT])
    for name, distribution in trial.distributions.items():
        if name in space.parameters and not space.parameters[name].takes(distribution):
            return f"{name}: was added with another distribution, {distribution}"
    return misfit(space.parameters, _values(trial), whole=False)


def unused(trial: FrozenTrial) -> str | None:
    """Which value of a queued trial came to nothing when the others were drawn."""
    for name in params_of(trial):
        if name not in trial.params:
            return f"{name}: does not exist with the kinds that were drawn beside it; enqueue those too"
    return None


def told(study: optuna.Study) -> list[FrozenTrial]:
    """Trials whose values were told from outside."""
    return [t for t in study.get_trials(deepcopy=False) if is_told(t) and t.state is TrialState.COMPLETE]


def outside(space: Space, trial: FrozenTrial) -> str | None:
    """Why what a told trial says is of no candidate of the space."""
    return misfit(space.parameters, _values(trial), whole=True)


class Strays:
    """Why a trial is no candidate of a space, asked of tens of thousands; they lie in their own distributions.

    Two of the space's distributions that agree in the kinds by which others exist are candidates both, or neither.

    Args:
        space: The space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._choosers = sorted({name for parameter in space.parameters.values() for name, _ in parameter.under})
        self._sound: dict[tuple[Any, ...], dict[str, BaseDistribution]] = {}

    def __call__(self, trial: FrozenTrial) -> str | None:
        params, known = trial.params, self._space.parameters
        kinds = tuple([params.get(name) for name in self._choosers])
        if self._sound.get(kinds) == trial.distributions and len(_values(trial)) == len(params):
            return None
        if (reason := outside(self._space, trial)) is None and all(
            distribution == known[name].distribution for name, distribution in trial.distributions.items()
        ):
            self._sound[kinds] = trial.distributions
        return reason


def without_told(study: optuna.Study) -> optuna.Study:
    """The study as it would be if nobody had told it anything, to be read."""
    return view(study, lambda trial: _blank(trial) if is_told(trial) else trial, directions=study.directions)


def measured_here(study: optuna.Study) -> optuna.Study:
    """The study as a pruner shall see it: what others measured, or are measuring, is on no curve of ours.

    Their steps need not be training steps, nor their values those of a validation, and rungs that they have reached
    would be competed for.
    """
    return view(study, lambda trial: _blank(trial) if _is_foreign(trial) else trial, directions=study.directions)


def _is_foreign(trial: FrozenTrial) -> bool:
    return is_told(trial) or is_asked_elsewhere(trial)


def are_incompatible(space: Space, trials: Sequence[FrozenTrial]) -> bool:
    """Whether a foreign trial has taken the name of a parameter for another distribution.

    Optuna holds every trial to the first that has a parameter, so that none of the study's own could be drawn.
    """
    seen: set[str] = set()
    for trial in trials:
        if trial.distributions.keys() <= seen:
            continue
        can_come_first = _is_foreign(trial) or trial.state is TrialState.WAITING
        for name in trial.distributions.keys() - seen if can_come_first else ():
            if name in space.parameters and not space.parameters[name].takes(trial.distributions[name]):
                return True
        seen |= trial.distributions.keys()
    return False


def in_terms_of(space: Space, trial: FrozenTrial) -> FrozenTrial:
    """A trial with the space's own distributions; values that these do not have stand in an attribute."""
    known, kept, left = space.parameters, dict[str, Any](), dict[str, Any]()
    for name, value in trial.params.items():
        (left if name in known and known[name].misfit(value) else kept)[name] = value
    return create_trial(
        state=trial.state,
        values=trial.values,
        params=kept,
        distributions={n: known[n].distribution if n in known else trial.distributions[n] for n in kept},
        user_attrs=trial.user_attrs | ({OUTSIDE: left} if left else {}),
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )


class Shielded(BaseSampler):
    """A sampler that is shown, of what was told from outside, only what lies in the space, in the space's own terms.

    A value beyond the range, or another distribution under the same name, makes samplers propose what the study's own
    trials cannot have, or fail. Where Optuna asks it for one of Hyperband's brackets, it is shown that bracket.
    """

    def __init__(self, sampler: BaseSampler, space: Space) -> None:
        self._sampler, self._space = sampler, space
        self._views: WeakKeyDictionary[Study, Study] = WeakKeyDictionary()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with nothing_unpickled():
            return self._sampler.infer_relative_search_space(self._shown(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        with nothing_unpickled():
            return self._sampler.sample_relative(self._shown(study), trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with nothing_unpickled():
            return self._sampler.sample_independent(self._shown(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        with nothing_unpickled():
            self._sampler.before_trial(self._shown(study), trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        with nothing_unpickled():
            self._sampler.after_trial(self._shown(study), trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    def _shown(self, study: Study) -> Study:
        if not any(map(is_told, study.get_trials(deepcopy=False))):
            return study
        whole: Study = getattr(study, "_study", study)  # of a bracket, which Optuna makes anew whenever it asks
        if whole not in self._views:
            self._views[whole] = view(whole, _face(self._space), directions=whole.directions)
        shown = self._views[whole]
        if study is whole:
            return shown
        assert isinstance(whole.pruner, HyperbandPruner)
        return whole.pruner._create_bracket_study(shown, getattr(study, "_bracket_id"))  # noqa: B009  it has no types


def _face(space: Space) -> Callable[[FrozenTrial], FrozenTrial]:
    def face(trial: FrozenTrial) -> FrozenTrial:
        if not is_told(trial):
            return trial
        if outside(space, trial) is not None:
            return _blank(trial)
        shown = copy.copy(trial)
        shown.distributions = {name: space.parameters[name].distribution for name in trial.params}
        return shown

    return face


def _blank(trial: FrozenTrial) -> FrozenTrial:
    shown = copy.copy(trial)
    shown.state, shown.values, shown.params, shown.distributions = TrialState.FAIL, None, {}, {}
    shown.intermediate_values, shown.system_attrs = {}, {}
    return shown


def _values(trial: FrozenTrial) -> dict[str, Any]:
    return {**trial.user_attrs.get(OUTSIDE, {}), **params_of(trial)}
