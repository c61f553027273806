"""The fair opponent: a fixed-depth model with a looped one's budget, or a looped one with a fixed-depth model's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta, validate
from mythos_lab.recipe.cost import cost, count
from mythos_lab.recipe.paths import field_at, set_path

BUDGETS = {
    "params": "cost/params",
    "params_active": "cost/params_active",
    "training_flops": "cost/training_flops",
    "inference_flops": "cost/inference_flops_per_token",
}
"""What can be held, by the name that the command takes."""

_FINE = {"moe": "expert_hidden", "gelu": "hidden", "swiglu": "hidden", "relu2": "hidden"}
_LARGEST = 2**16
_NEIGHBOURS = 16  # values on either side that are tried for one that builds: heads must divide widths, and the like


@dataclass(frozen=True)
class Match:
    """A counterpart and how near it came.

    Attributes:
        recipe: The counterpart.
        held: For each held budget the original's, the counterpart's, and the relative mismatch.
        varied: The sizes that were solved for, with the original's and the counterpart's.
    """

    recipe: Recipe
    held: dict[str, tuple[float, float, float]]
    varied: dict[str, tuple[Any, int]]

    @property
    def mismatch(self) -> float:
        """The largest relative mismatch of all held budgets."""
        return max(abs(miss) for _, _, miss in self.held.values())


def match(
    recipe: Recipe, hold: Sequence[str], vary: Sequence[str] = (), loops: int | None = None, tolerance: float = 0.01
) -> Match:
    """Find the counterpart of a recipe at equal budgets.

    A looped recipe's counterpart is a stack of its own layers: no loop, and with it no injection, halting, signal or
    adapter. Where stored parameters are held, it has as many layers as the core stores; otherwise as many as the loops
    apply on average. A fixed-depth recipe's counterpart loops one layer ``loops`` times.

    The sizes in ``vary`` are searched over integers: the last one solves for the first budget, which must grow with it;
    the ones before it are tried around their present values, nearest first.

    Args:
        recipe: The original.
        hold: Names of :data:`BUDGETS`, all of which have to match.
        vary: Paths of whole-number fields; by default the inner size of the core's feed-forward, and for several
            budgets the core's depth before it.
        loops: Iterations of a looped counterpart; by default as many as the original has layers.
        tolerance: The largest relative mismatch.

    Raises:
        RecipeError: An unknown budget or path, a ``loops`` without effect, or no counterpart within the tolerance;
            the nearest found is named.
    """
    for name in hold:
        if name not in BUDGETS:
            raise RecipeError(f"--hold {name}: cannot be held; one of: {', '.join(BUDGETS)}")
    if not hold:
        raise RecipeError(f"--hold: nothing to hold; one of: {', '.join(BUDGETS)}")
    config = _counterpart(recipe, hold, loops)
    paths = list(vary) or _default_paths(config, hold, recipe)
    for path in paths:
        if not _is_whole(field_at(Recipe, config, path, "--vary").annotation):
            raise RecipeError(f"--vary {path}: not a whole number")
    target = {name: _budget(recipe, name) for name in hold}
    found = _Search(config, paths, list(hold), target).nearest(tolerance)
    if found is None:
        raise RecipeError(f"{recipe.name}: no legal {' and '.join(paths)} was found")
    if found.mismatch > tolerance:
        near = ", ".join(f"{name} {miss:+.1%}" for name, (_, _, miss) in found.held.items())
        sizes = ", ".join(f"{path}={new}" for path, (_, new) in found.varied.items())
        raise RecipeError(
            f"{recipe.name}: no counterpart within {tolerance:.0%}; the nearest misses {near} at {sizes}; "
            "vary another size, or hold fewer budgets"
        )
    return found


def _counterpart(recipe: Recipe, hold: Sequence[str], loops: int | None) -> dict[str, Any]:
    """The counterpart's configuration before sizes are solved for."""
    config = recipe.model_dump(mode="json")
    core = config["model"]["core"]
    if core.get("kind") != "loop":
        raise RecipeError(f"{recipe.name}: model.core: {core.get('kind')!r} has no counterpart; one of: loop")
    model, _ = build_on_meta(recipe)
    looped = model.core.loops.max_loops > 1
    kept = {"kind": "loop", "layer": core["layer"], "alternate": core["alternate"]}
    if looped and loops is not None:
        raise RecipeError(f"{recipe.name}: --loops: the counterpart of a looped recipe has none")
    if looped:
        unrolled = max(1, round(core["depth"] * model.core.loops.mean))
        depth = core["depth"] if "params" in hold else unrolled
        config["model"]["core"] = {**kept, "depth": depth}
        config["name"] = f"{recipe.name}-layers"
    else:
        times = loops or core["depth"]
        if times < 2:
            raise RecipeError(f"{recipe.name}: --loops: one layer applied once is what the recipe is; at least 2")
        config["model"]["core"] = {**kept, "depth": 1, "loops": {"kind": "fixed", "num_loops": times}}
        config["name"] = f"{recipe.name}-looped"
    config["description"] = f"The counterpart of {recipe.name} at equal {', '.join(hold)}."
    config["waive"] = []
    return config


def _default_paths(config: dict[str, Any], hold: Sequence[str], recipe: Recipe) -> list[str]:
    layer = config["model"]["core"]["layer"]
    kind = layer.get("feedforward", {}).get("kind")
    if kind not in _FINE:
        raise RecipeError(
            f"{recipe.name}: --vary: name the sizes to solve for; feed-forward {kind!r} has no inner size"
        )
    fine = f"model.core.layer.feedforward.{_FINE[kind]}"
    return [fine] if len(hold) == 1 else ["model.core.depth", fine]


def _is_whole(annotation: Any) -> bool:
    """Whether a field takes whole numbers, among other things or alone."""
    return annotation is int or any(_is_whole(part) for part in get_args(annotation))


class _Search:
    """Integer search over sizes."""

    def __init__(self, config: dict[str, Any], paths: list[str], hold: list[str], target: dict[str, float]) -> None:
        self.config, self.paths, self.hold, self.target = config, paths, hold, target
        self._recipe = lru_cache(maxsize=None)(self._build)
        self._cost = lru_cache(maxsize=None)(self._measure)

    def nearest(self, tolerance: float) -> Match | None:
        """The first counterpart within the tolerance, else the nearest."""
        best: Match | None = None
        for coarse in self._coarse():
            fine = self._solve(coarse)
            for value in [] if fine is None else self._around(coarse, fine):
                found = self._found((*coarse, value))
                if best is None or found.mismatch < best.mismatch:
                    best = found
            if best is not None and best.mismatch <= tolerance:
                return best
        return best

    def _coarse(self) -> list[tuple[int, ...]]:
        """Values of all paths but the last, those nearest to the present ones first."""
        ranges = []
        for path in self.paths[:-1]:
            now = self._present(path)
            ranges.append(sorted(range(1, 4 * now + 1), key=lambda n, now=now: abs(n / now - 1)))  # type: ignore[misc]
        combinations = itertools.product(*(range(len(values)) for values in ranges))
        ordered = sorted(combinations, key=sum)
        return [tuple(values[i] for values, i in zip(ranges, places, strict=True)) for places in ordered]

    def _solve(self, coarse: tuple[int, ...]) -> int | None:
        """The smallest last size at which the first budget is reached, by bisection; ``None`` if none reaches it."""
        name = self.hold[0]

        def reached(n: int) -> bool:
            value = self._next(coarse, n, name)
            return value is not None and value >= self.target[name]

        high = 1
        while not reached(high):
            high *= 2
            if high > _LARGEST:
                return None
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return high

    def _next(self, coarse: tuple[int, ...], n: int, name: str) -> float | None:
        """The budget at a size, or at the next larger one that builds."""
        values = (self._cost((*coarse, k), name) for k in range(n, n + _NEIGHBOURS))
        return next((value for value in values if value is not None), None)

    def _around(self, coarse: tuple[int, ...], fine: int) -> list[int]:
        """The two nearest sizes that build, on either side."""
        sides = range(fine, fine + _NEIGHBOURS), range(fine - 1, max(0, fine - 1 - _NEIGHBOURS), -1)
        legal = [(n for n in side if self._recipe((*coarse, n)) is not None) for side in sides]
        return [n for side in legal if (n := next(side, None)) is not None]

    def _found(self, sizes: tuple[int, ...]) -> Match:
        recipe = self._recipe(sizes)
        assert recipe is not None
        held = {}
        for name in self.hold:
            value = self._cost(sizes, name)
            assert value is not None
            held[name] = (self.target[name], value, value / self.target[name] - 1)
        varied = {path: (self._present(path), size) for path, size in zip(self.paths, sizes, strict=True)}
        return Match(recipe, held, varied)

    def _measure(self, sizes: tuple[int, ...], name: str) -> float | None:
        recipe = self._recipe(sizes)
        return None if recipe is None else _budget(recipe, name)

    def _build(self, sizes: tuple[int, ...]) -> Recipe | None:
        config = _copied(self.config)
        for path, size in zip(self.paths, sizes, strict=True):
            set_path(Recipe, config, path, size, "--vary")
        try:
            return validate(config, str(config["name"]))
        except RecipeError:
            return None

    def _present(self, path: str) -> int:
        value: Any = self.config
        for part in path.split("."):
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        return int(value) if value is not None else 1


def _budget(recipe: Recipe, name: str) -> float:
    if name == "params":  # cheaper than all costs
        return float(count(build_on_meta(recipe)[0]))
    return _costs(recipe.model_dump_json())[BUDGETS[name]]


@lru_cache(maxsize=256)
def _costs(written: str) -> dict[str, float]:
    return cost(Recipe.model_validate_json(written)).metrics()


def _copied(value: Any) -> Any:
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, dict) else value
