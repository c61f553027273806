"""What a storage says, held against what a study writes there: whoever reaches it writes what they like.

Everything that is read passes through :class:`Reader`, so that nobody further on meets a value of another type. What is
wrong in a trial of the study's own, or in the study itself, is damage, said in one line. In a trial of somebody else's,
whose attributes may bear the same names by chance, it is left out and named, so that the study goes on without it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages._rdb.models import NOT_FOUND_MSG
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter, ValidationError

from mythos_lab.recipe.errors import Misplaced, RecipeError, from_validation, shortened
from mythos_lab.search.attributes import MISFIT, OF_STUDIES, OF_TRIALS, OUTCOME, TAKEN, of_optuna
from mythos_lab.search.spaces.parameters import lie_in, lies_in
from mythos_lab.search.trial_states import is_settled

UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What Python raises where data is of another form than its reader expects."""

_READING = {"get_trial", "get_all_trials", "get_study_user_attrs", "get_study_system_attrs", "get_all_studies"}
_Types = Callable[[str], TypeAdapter[Any] | None]


class Gone(Misplaced):
    """A study that was opened is not there any more."""


class Reader:
    """Holds the answers of one storage.

    Args:
        shown: The storage as lines of errors name it.
    """

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self._sound: set[int] = set()  # finished trials, which change no more
        self._held: dict[int, FrozenTrial] = {}  # the others; one that changes is another object

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Say in a line what a storage's own code cannot read of what the storage holds.

        Args:
            name: The method that is called.

        Raises:
            Misplaced: It cannot.
        """
        try:
            yield
        except RecipeError:
            raise
        except UNREADABLE as error:
            if name not in _READING:
                raise
            if _is_gone(error):
                raise Gone(f"{self.shown}: the study is not there any more; somebody has deleted it") from None
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise Misplaced(f"{self.shown}: holds what no study writes ({shortened(said)})") from None

    def checked(self, name: str, answer: Any) -> Any:
        """The answer of a method, where it is what a study writes; of a trial of others, what of it is.

        Raises:
            Misplaced: Something else stands there.
        """
        if name == "get_trial":
            return self._trial(answer)
        if name == "get_all_trials":
            sound, held = self._sound, self._held
            new = [t for t in answer if (number := t._trial_id) not in sound and held.get(number) is not t]
            if not new:
                return answer
            lie = lie_in(new)
            shown = {trial._trial_id: self._trial(trial, lie) for trial in new}
            return [shown.get(trial._trial_id, trial) for trial in answer]
        if name == "get_study_user_attrs":
            return self._attrs(answer, "user", OF_STUDIES.get)
        if name == "get_study_system_attrs":
            return self._attrs(answer, "system", of_optuna)
        if name == "get_all_studies":
            for study in answer:
                self._study(study)
        return answer

    def _study(self, study: FrozenStudy) -> None:
        if not isinstance(study.study_name, str):
            raise Misplaced(f"{self.shown}: a study's name is {_brief(study.study_name)}; expected a text")

    def _attrs(self, attrs: Any, what: str, types: _Types) -> dict[str, Any]:
        misfits, known = _parted(attrs, types)
        if misfits:
            raise Misplaced(f"{self.shown}: {what} attributes: {misfits[0]}")
        return known

    def _trial(self, trial: FrozenTrial, lies_there: bool = False) -> FrozenTrial:
        if trial._trial_id in self._sound:
            return trial
        where = f"{self.shown}: trial {trial.number}"
        if odd := _unsound(trial, lies_there):
            raise Misplaced(f"{where}: {odd}")
        misfits, user = _parted(trial.user_attrs, OF_TRIALS.get)
        others, system = _parted(trial.system_attrs, of_optuna)
        if not (misfits or others):
            if trial.state.is_finished():
                self._sound.add(trial._trial_id)
                self._held.pop(trial._trial_id, None)
            else:
                self._held[trial._trial_id] = trial
            return trial
        shown = copy.copy(trial)
        shown.user_attrs, shown.system_attrs = {**user, MISFIT: (misfits + others)[0]}, system
        is_damaged = trial.state.is_finished() and OUTCOME not in user and user.get(TAKEN) == trial.number
        if is_settled(shown) or (is_damaged and OUTCOME in trial.user_attrs):
            raise Misplaced(f"{where}: {(misfits + others)[0]}")
        return shown


def _is_gone(error: BaseException) -> bool:
    """Whether a storage of Optuna's says that it has no such study or trial, which those who ask had opened."""
    return isinstance(error, KeyError) and error.args in ((), (NOT_FOUND_MSG,))


def _parted(attrs: Any, types: _Types) -> tuple[list[str], dict[str, Any]]:
    """Which attributes are not what they are to be, and the others."""
    if type(attrs) is not dict and not isinstance(attrs, Mapping):
        return [f"expected attributes, found {_brief(attrs)}"], {}
    misfits, others = [], dict[str, Any]()
    for name, value in attrs.items():
        kind = types(name)
        try:
            if kind is not None:
                kind.validator.validate_python(value)
        except ValidationError as error:
            misfits.append(from_validation(f"attribute {name!r}", error).lines[0])
        else:
            others[name] = value
    return misfits, others


def _unsound(trial: FrozenTrial, lies_there: bool) -> str | None:
    """What of a trial cannot be, whoever made it; ``lies_there``: its distributions are known to have its values."""
    values, steps = trial.values, trial.intermediate_values
    if values is not None and not (isinstance(values, list) and all(map(_is_number, values))):
        return f"its values are {_brief(values)}; expected numbers"
    if trial.state is TrialState.COMPLETE and (not values or any(map(math.isnan, values))):
        return f"it is complete with the values {_brief(values)}; expected numbers"
    if not all(type(step) is int and _is_number(value) for step, value in steps.items()):
        return f"its reports are {_brief(steps)}; expected a number at each step"
    distributions = trial.distributions
    for name, value in () if lies_there else trial.params.items():
        if name not in distributions or not (lies_in(distributions[name], value) or _holds(distributions[name], value)):
            return f"its parameter {shortened(repr(name))} is {_brief(value)}, which its distribution does not have"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**1000)


def _holds(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ArithmeticError, TypeError, ValueError):
        return False


def _brief(value: Any) -> str:
    return shortened(repr(value)) if not isinstance(value, int) or abs(value) < 2**64 else "a number beyond 64 bits"
