"""Samplers and pruners by import path, ``{kind: import, path: package.module.Class, ...}``, with their arguments.

So a study's file can have all that Optuna and OptunaHub offer, and what its author wrote. An argument may be another
object, written the same way; a path without arguments that leads to no class is what it leads to.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import OptunaError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from mythos_blocks.declaring.registry import load_imports, suggest
from mythos_lab.imports import OPTION, are_withheld, say_imported
from mythos_lab.recipe.code import is_installed
from mythos_lab.recipe.errors import Misplaced

IMPORT = "import"

# Where Optuna has what its samplers and pruners are made of.
_OPTUNAS = ("optuna.samplers.", "optuna.pruners.", "optuna.terminator.", "optunahub_registry.")

_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def is_import(written: Any) -> bool:
    """Whether something is written as an import path."""
    return isinstance(written, Mapping) and written.get("kind") == IMPORT


def load_modules(written: Any, folders: Sequence[Path]) -> None:
    """Import what paths lead to, looking where a recipe's ``imports`` are looked for.

    Raises:
        ValueError: It is not found, or fails.
    """
    if not isinstance(written, Mapping):
        return
    if is_import(written):
        _load(_parts(written)[0], folders)
    for value in written.values():
        load_modules(value, folders)


def construct(what: str, base: type, options: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """What a path leads to, constructed.

    Args:
        what: ``sampler`` or ``pruner``, for messages.
        base: Of which it has to be.
        options: ``path`` and arguments.
        given: What the caller sets besides, where the constructor has it: the seed.

    Raises:
        ValueError: In one line: the path leads nowhere, to something else, or refuses its arguments.
    """
    path = options.get("path")
    if what == "sampler" and "seed" in options:
        raise ValueError(f"{IMPORT}: {path}: 'seed' is not offered: the study's own is used")
    made = _resolved({"kind": IMPORT, **options}, given)
    if callable(made) and not isinstance(made, (base, type)):
        made = _called(str(path), made, {}, given)
    if not isinstance(made, base):
        raise ValueError(f"{IMPORT}: {path} is no {what}; expected the path of a subclass of optuna's {base.__name__}")
    return made


def _resolved(written: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(written, list):
        return [_resolved(item, {}) for item in written]
    if not isinstance(written, Mapping):
        return written
    if not is_import(written):
        return {key: _resolved(value, {}) for key, value in written.items()}
    module, name = _parts(written)
    _load(module)
    found = getattr(sys.modules[module], name, None)
    if callable(found) and not _is_meant(found, module):
        raise ValueError(
            f"{IMPORT}: {module}.{name} is no part of Optuna's samplers and pruners, nor of a module of your own; "
            "a file has nothing else called"
        )
    if found is None:
        near = difflib.get_close_matches(name, dir(sys.modules[module]), n=1)
        raise ValueError(f"{IMPORT}: {module} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    arguments = {key: _resolved(value, {}) for key, value in written.items() if key not in ("kind", "path")}
    if not inspect.isclass(found) and not (callable(found) and arguments):
        return found
    return _called(f"{module}.{name}", found, arguments, given)


def _load(module: str, folders: Sequence[Path] = ()) -> None:
    """Import a module that a study's file names, unless nothing is to be imported."""
    if module not in sys.modules:
        if are_withheld():
            raise ValueError(f"{IMPORT}: {module} is not imported ({OPTION}), so that what it has is unknown")
        load_imports([module], folders)
        say_imported(module)


def _is_meant(found: Any, module: str) -> bool:
    """Whether a path leads to what may be called because a file says so, which is not all that is installed."""
    if inspect.isclass(found) and issubclass(found, (BaseSampler, BasePruner)):
        return True
    defined = str(getattr(found, "__module__", None) or type(found).__module__)
    return defined.startswith(_OPTUNAS) or (_top(defined) == _top(module) and not is_installed(_top(module)))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _called(path: str, make: Any, arguments: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    parameters: Mapping[str, inspect.Parameter] = {}
    with suppress(ValueError):  # what is written in C has no signature
        parameters = inspect.signature(make).parameters
    names = [name for name, parameter in parameters.items() if parameter.kind in _KINDS]
    takes_all = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    for name in arguments:
        if parameters and name not in names and not takes_all:
            raise ValueError(f"{IMPORT}: {path}: unknown argument {name!r}; {suggest(name, names)}")
    try:
        return make(**arguments, **{name: value for name, value in given.items() if name in names})
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise ValueError(f"{IMPORT}: {path}: {type(error).__name__}: {said}") from None


def _parts(written: Mapping[str, Any]) -> tuple[str, str]:
    path = written.get("path")
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ValueError(f"{IMPORT}: path: expected package.module.Class, found {path!r}")
    module, _, name = path.rpartition(".")
    return module, name


class Plugged(BaseSampler):
    """A sampler by import path: one that fails ends the study with a line, and one that is exhausted does not.

    Optuna's samplers of finite spaces stop ``optimize`` when they have been through them, and raise anywhere else. What
    they draw then has been drawn before, and is answered as such.

    Raises:
        Misplaced: The sampler raised something.
    """

    def __init__(self, sampler: BaseSampler, path: str) -> None:
        self._sampler, self._path = sampler, path

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        with self._asked(study):
            return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        with self._asked(study):
            return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        with self._asked(study):
            return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        with self._asked(study):
            self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        with self._asked(study):
            self._sampler.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        self._sampler.reseed_rng()

    @contextmanager
    def _asked(self, study: Study) -> Iterator[None]:
        before = study._thread_local.in_optimize_loop
        study._thread_local.in_optimize_loop = True  # where a sampler may call stop
        try:
            yield
        except OptunaError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise Misplaced(f"sampler: {self._path} fails: {type(error).__name__}: {said}") from error
        finally:
            study._thread_local.in_optimize_loop = before
