"""The fair opponent: a fixed-depth model with a looped one's budget, or a looped one with a fixed-depth model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import build_on_meta, validate
from mythos_lab.recipe.cost import cost_metric
from mythos_lab.recipe.interpolation import escaped
from mythos_lab.search.budgets.sized import Sized

BUDGETS = {
    "params": "cost/params",
    "params_active": "cost/params_active",
    "training_flops": "cost/training_flops",
    "inference_flops": "cost/inference_flops_per_token",
    "prefill_flops": "cost/prefill_flops",
    "decode_flops": "cost/decode_flops_per_token",
    "cache_bytes": "cost/cache_bytes",
    "memory": "cost/peak_memory_bytes",
    "tokens": "cost/training_tokens",
}
"""What can be held, by the name that the command takes."""


def budget_named(name: str) -> str:
    """The budget of that name, which may also be written as its metric is.

    Raises:
        RecipeError: There is none.
    """
    found = {metric: budget for budget, metric in BUDGETS.items()}.get(name, name)
    if found not in BUDGETS:
        raise RecipeError(f"--hold {name}: cannot be held; {suggest(name, BUDGETS)}")
    return found


_INNER = {"moe": "expert_hidden", "gelu": "hidden", "swiglu": "hidden", "relu2": "hidden"}
_DEPTH, _STEPS = "model.core.depth", "training.max_steps"


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


@assembled_once()
def match(
    recipe: Recipe, hold: Sequence[str], vary: Sequence[str] = (), loops: int | None = None, tolerance: float = 0.01
) -> Match:
    """Find the counterpart of a recipe at equal budgets.

    A looped recipe's counterpart is a stack of its own layers: no loop, and with it no injection, halting, signal or
    adapter. Where stored parameters are held, it has as many layers as the core stores; otherwise as many as the loops
    apply on average. A fixed-depth recipe's counterpart loops one layer ``loops`` times.

    The sizes in ``vary`` are searched over integers (:func:`~mythos_lab.search.budgets.solve.solve`).

    Args:
        recipe: The original.
        hold: Names of :data:`BUDGETS`, all of which have to match.
        vary: Paths of whole-number fields; by default ``training.max_steps`` for tokens, the core's depth for the
            cache, the inner size of the core's feed-forward for another budget, and the depth for a second one.
        loops: Iterations of a looped counterpart; by default as many as the original has layers.
        tolerance: The largest relative mismatch.

    Raises:
        RecipeError: An unknown budget or path, a ``loops`` without effect, or no counterpart within the tolerance;
            the nearest found is named.
    """
    hold = [budget_named(name) for name in hold]
    if len(set(hold)) < len(hold):
        raise RecipeError(f"--hold {','.join(hold)}: names a budget twice")
    if not hold:
        raise RecipeError(f"--hold: nothing to hold; one of: {', '.join(BUDGETS)}")
    config = _counterpart(recipe, hold, loops)
    paths = list(vary) or _default_paths(config, hold, recipe)
    sized = Sized(config, paths, "--vary")
    budgets = {BUDGETS[name]: cost_metric(recipe, BUDGETS[name]) for name in hold}
    for name in hold:
        if not budgets[BUDGETS[name]]:
            raise RecipeError(f"{recipe.name}: --hold {name}: it has none to hold")
    found = sized.solve(budgets, tolerance)
    if found is None:
        raise RecipeError(f"{recipe.name}: no legal {' and '.join(paths)} was found")
    if found.mismatch > tolerance:
        near = ", ".join(f"{name} {miss:+.1%}" for name, miss in zip(hold, found.misses, strict=True))
        sizes = ", ".join(f"{path}={size}" for path, size in zip(paths, found.sizes, strict=True))
        raise RecipeError(
            f"{recipe.name}: no counterpart within {tolerance:.0%}; the nearest misses {near} at {sizes}; "
            "vary another size, or hold fewer budgets"
        )
    return Match(
        validate(sized.config(found.sizes), str(config["name"])),
        dict(zip(hold, zip(budgets.values(), found.values, found.misses, strict=True), strict=True)),
        {path: (before, new) for path, before, new in zip(paths, sized.start, found.sizes, strict=True)},
    )


def _counterpart(recipe: Recipe, hold: Sequence[str], loops: int | None) -> dict[str, Any]:
    """The counterpart's configuration before sizes are solved for."""
    config: dict[str, Any] = escaped(recipe.model_dump(mode="json"))
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
        depth = core["depth"] if {"params", "params_active"} & set(hold) else unrolled
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
    kind = config["model"]["core"]["layer"].get("feedforward", {}).get("kind")
    inner = f"model.core.layer.feedforward.{_INNER[kind]}" if kind in _INNER else None
    paths: list[str] = []
    for name in hold:
        if name == "tokens":
            wanted: tuple[str | None, ...] = (_STEPS,)
        elif name == "cache_bytes":
            wanted = (_DEPTH,)
        else:
            wanted = (inner, _DEPTH)
        paths += [path for path in wanted if path is not None and path not in paths][:1]
    if inner is None and not set(hold) <= {"tokens", "cache_bytes"}:
        raise RecipeError(
            f"{recipe.name}: --vary: name the sizes to solve for; feed-forward {kind!r} has no inner size"
        )
    return paths
