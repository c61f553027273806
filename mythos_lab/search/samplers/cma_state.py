"""The state of CMA-ES as it lies in a study's storage: numbers and arrays as JSON, never a pickle.

Optuna's sampler writes its optimiser into trials with ``pickle`` and reads it back with ``pickle.loads``, so that
whoever can write to a storage could have every worker run a program. The name ``pickle`` of its module is
:class:`PlainState` wherever samplers are made here: for the sampler by name, by import path, wrapped or derived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.samplers import _cmaes

from mythos_lab.recipe.errors import Misplaced

_WITH_MARGIN = "CMAwM"
_REPLACED = "pickle"
_INNER = "_cma"  # the optimiser that one with margin wraps
_MAX_DIMENSIONS, _MAX_POPULATION = 1000, 1_000_000


class PlainState:
    """What Optuna's module for CMA-ES asks of ``pickle``, for the optimisers of ``cmaes`` alone."""

    @staticmethod
    def dumps(optimizer: Any) -> bytes:
        """An optimiser's kind and state as JSON."""
        return json.dumps({"kind": type(optimizer).__name__, "state": _plain(optimizer)}).encode()

    @staticmethod
    def loads(written: bytes) -> Any:
        """The optimiser that :meth:`dumps` wrote.

        Raises:
            Misplaced: It is no such state: a pickle, names or sizes that no optimiser has, or no numbers.
        """
        try:
            said = json.loads(written)
            return _restored(_kinds()[said["kind"]], said["state"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            why = "a pickle, which is not read" if written[:1] == b"\x80" else f"{type(error).__name__}: {error}"
            raise Misplaced(
                f"storage: the state of cmaes in a trial is none of ours ({' '.join(why.split())[:120]}); "
                "give the study another name"
            ) from None


def use_plain_state() -> None:
    """Have Optuna's sampler write and read plain states from now on."""
    setattr(_cmaes, _REPLACED, PlainState)


def _kinds() -> dict[str, type]:
    import cmaes  # with scipy.stats behind it: more than a second of every worker's start, whatever its sampler

    return {kind.__name__: kind for kind in (cmaes.CMA, cmaes.SepCMA, cmaes.CMAwM)}


def _plain(optimizer: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in _state(optimizer).items()}


def _value(value: Any) -> Any:
    if type(value) in _kinds().values():
        return _plain(value)
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _state(optimizer: Any) -> dict[str, Any]:
    """What distinguishes an optimiser from another of its kind, besides its random numbers."""
    return {name: value for name, value in optimizer.__getstate__().items() if name != "_rng"}


def _restored(kind: type, state: Mapping[str, Any]) -> Any:
    """An optimiser of a state whose names, types and shapes are those of one of its kind and sizes."""
    inner = state[_INNER] if kind.__name__ == _WITH_MARGIN else state
    num_discrete = len(state["_discrete_idx"]) if kind.__name__ == _WITH_MARGIN else 0
    like = _of_size(kind, int(inner["_n_dim"]), int(inner["_popsize"]), num_discrete)
    expected = _state(like)
    if state.keys() != expected.keys():
        raise ValueError(f"other fields: {', '.join(sorted(state.keys() ^ expected.keys()))[:80]}")
    read = {name: _read(name, expected[name], value) for name, value in state.items()}
    like.__setstate__(read) if hasattr(like, "__setstate__") else vars(like).update(read)
    return like


def _of_size(kind: type, num_dimensions: int, population: int, num_discrete: int) -> Any:
    """An optimiser of these sizes, with all arrays that one may have."""
    if not 1 <= num_dimensions <= _MAX_DIMENSIONS or not 1 <= population <= _MAX_POPULATION:
        raise ValueError(f"{num_dimensions} dimensions and a population of {population}")
    bounds = np.tile([0.0, 1.0], (num_dimensions, 1))
    sizes: dict[str, Any] = {"mean": bounds.mean(axis=1), "sigma": 0.1, "bounds": bounds, "population_size": population}
    if kind.__name__ == _WITH_MARGIN:
        if num_discrete > num_dimensions:
            raise ValueError(f"{num_discrete} of {num_dimensions} dimensions are discrete")
        sizes["steps"] = np.where(np.arange(num_dimensions) < num_discrete, 0.5, 0.0)
    made = kind(**sizes)
    made.ask()
    return made


def _read(name: str, like: Any, value: Any) -> Any:
    if type(like) in _kinds().values():
        return _restored(type(like), value)
    if isinstance(like, np.ndarray):
        if value is None and name in ("_D", "_B"):  # which are computed again
            return None
        found = np.array(value, dtype=like.dtype)
        if found.shape != like.shape:
            raise ValueError(f"{name}: shape {found.shape}, not {like.shape}")
        return found
    if isinstance(value, bool) != isinstance(like, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name}: {str(value)[:40]!r} is no number")
    return type(like)(value) if isinstance(like, int) else float(value)
