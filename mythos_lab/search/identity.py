"""What makes a study the study that it is: what its trials' numbers mean, and not how that was written."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.spaces.checks import change
from mythos_lab.search.spaces.domains import Choice, Domain, Kinds, Range, Same
from mythos_lab.search.spaces.space import Space

Meaning = dict[str, Any]
"""Plain values, as JSON has them."""

_RANGE, _CHOICE, _KINDS = "~range", "~choice", "~kinds"  # of no field's name
_WORDS = {"name", "description", "tracking"}  # of a recipe


def meaning_of(space: Space) -> Meaning:
    """Everything that decides what a trial's numbers mean.

    Recipes count by what they come to, ranges and choices by their values, conditions by what they say. Names, paths,
    descriptions, and how the study is searched are not in it.
    """
    base = _recipe(space, space.base)
    return {
        "recipe": base,
        "space": {path: _domain(domain) for path, domain in space.domains.items()},
        "arms": {name: _arm(space, changes, base) for name, changes in space.file.variants.items()},
        "constraints": sorted(ast.unparse(constraint.tree) for constraint in space.constraints),
        "hold": _held(space),
        "objectives": [[name, direction] for name, direction in space.file.objectives.items()],
        "seeds": space.file.seeds,
    }


def _held(space: Space) -> Any:
    """What is held; by task where there are several."""
    found = {task: {**hold.model_dump(mode="json"), "by": hold.paths} for task, hold in space.holds.items()}
    return found if space.file.tasks else found.get("")


def recorded(meaning: str) -> Meaning:
    """What was written down of a study, with the fields that recipes have got since, at their defaults.

    A recipe that the schema refuses by now is left as it was written: what differs is named then.
    """
    found: Meaning = json.loads(meaning)
    try:
        found["recipe"] = _plain(validate({**found["recipe"], "name": "recorded"}, "recorded"))
    except RecipeError:
        pass
    return found


def changes(before: Meaning, now: Meaning) -> list[str]:
    """What makes another study of it, as ``path: before, now``; what was merely widened does not."""
    return [
        f"{'.'.join(part for part in path if part != _KINDS)}: {_shown(x)}, now {_shown(y)}"
        for path, x, y in _unequal(before, now)
        if not _is_wider(path, x, y)
    ]


def has_more_choices(before: Meaning, now: Meaning) -> bool:
    """Whether a choice, a component or the arms of a study got other values, or an order, than they had."""
    others = [x for _, x, _ in _unequal(before, now) if not isinstance(x, dict) or _RANGE not in x]
    return bool(others) or [*before["arms"]] != [*now["arms"]]


def _recipe(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    return _plain(validate(dict(config), space.source))


def _plain(recipe: Recipe) -> dict[str, Any]:
    return dict(recipe.model_dump(mode="json", exclude=_WORDS))


def _arm(space: Space, changes: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in which an arm's recipe differs from the one that varies, and those that it lacks."""
    config = copy.deepcopy(space.base)
    change(config, changes, str(space.source))
    before, now = dict(_leaves(base)), dict(_leaves(_recipe(space, config)))
    return {
        path: now.get(path)
        for path in [*now, *before]
        if path not in now or path not in before or now[path] != before[path]
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _domain(domain: Any) -> Any:
    if isinstance(domain, Range):
        step = domain.step if domain.step is not None or not domain.whole else 1
        return {
            _RANGE: [float(domain.low), float(domain.high)], "whole": domain.whole, "log": domain.log,
            "step": None if step is None else float(step), "label": domain.label,
        }  # fmt: skip
    if isinstance(domain, Choice):
        return {_CHOICE: json.loads(json.dumps(domain.values)), "label": domain.label}
    if isinstance(domain, Kinds):
        kinds = {
            kind: {name: _domain(inner) for name, inner in (fields or {}).items()}
            for kind, fields in domain.kinds.items()
        }
        return {_KINDS: kinds, "label": domain.label}
    if isinstance(domain, Same):
        return {"same": domain.label}
    assert not isinstance(domain, Domain)
    return json.loads(json.dumps(domain))


_MISSING = object()


def _unequal(x: Any, y: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two meanings differ: a range or a choice as a whole, all else field by field."""
    if x == y:
        return
    in_parts = isinstance(x, dict) and isinstance(y, dict) and not {_RANGE, _CHOICE} & {*x, *y}
    if in_parts and x.get("kind") == y.get("kind"):
        for key in dict.fromkeys((*x, *y)):
            yield from _unequal(x.get(key, _MISSING), y.get(key, _MISSING), (*path, key))
    else:
        yield path, x, y


def _is_wider(path: tuple[str, ...], x: Any, y: Any) -> bool:
    """Whether all that could be drawn can be drawn still, and means the same."""
    if x is _MISSING:  # one more arm, or one more kind of a component
        return (path[0] == "arms" and len(path) == 2) or (path[0] == "space" and path[-2] == _KINDS)
    if path[0] != "space" or not (isinstance(x, dict) and isinstance(y, dict)):
        return False
    if _RANGE in x and _RANGE in y:
        same = all(x[key] == y[key] for key in ("whole", "log", "step", "label"))
        (low, high), (lower, higher) = x[_RANGE], y[_RANGE]
        moved = 0.0 if x["step"] is None else (low - lower) / x["step"]
        return same and lower <= low and high <= higher and abs(moved - round(moved)) < 1e-9
    if _CHOICE in x and _CHOICE in y and x["label"] == y["label"]:
        before, now = x[_CHOICE], y[_CHOICE]
        if any(isinstance(value, (dict, list)) for value in now):  # of which Optuna keeps the positions
            return bool(now[: len(before)] == before)
        return all(value in now for value in before)
    return False


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "not there"
    if isinstance(value, dict):
        if _RANGE in value:
            return "{:g} to {:g}".format(*value[_RANGE])
        value = value.get(_CHOICE, value.get("kind", value))
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 60 else f"{text[:57]}..."
