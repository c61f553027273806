"""The iso-depth sweep: unrolled layers traded against loops, at several sizes and token budgets."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mythos_blocks import LoopedTransformer, RoutedExperts, load_plugins
from mythos_lab.comparison.worth.arms import applied, changes, grown, loops_note
from mythos_lab.comparison.worth.counts import Counted, once_and_recurrent
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import build_on_meta, compose, validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.documents import read_document, to_yaml
from mythos_lab.recipe.files import find
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.places import check_name
from mythos_lab.recipe.urls import recorded

METRIC = "val/loss"

_SHARES = (1 / 2, 3 / 4, 1, 3 / 2)  # of the recipe's width
_BUDGETS = (1 / 4, 1 / 2, 1)  # of the recipe's steps
_MOST_LOOPS = 8
_NEIGHBOURS = 64
_ANY_STEPS = 10**6  # more than any warm-up; a step costs the same whatever their number
# What a sweep does not need, and pays for in every run.
_UNMEASURED = ("evaluation.knockouts=false", "evaluation.ood=false", "evaluation.depth_factor=1")


@dataclass(frozen=True)
class SweepArm:
    """One model on one token budget.

    Attributes:
        changes: What it sets in the sweep's recipe, by path.
        recipe: What that makes of it.
        width: Channels.
        loops: How often the core is applied.
        num_once: Parameters used once.
        num_rec: Parameters of the looped core.
        tokens: Tokens that its training sees.
    """

    changes: dict[str, Any]
    recipe: Recipe
    width: int
    loops: int
    num_once: int
    num_rec: int
    tokens: int

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return self.recipe.training.max_steps

    @property
    def training_flops(self) -> float:
        """FLOPs of one run."""
        training = self.recipe.training.model_copy(update={"max_steps": _ANY_STEPS})
        return self.steps * _step_flops(self.recipe.model_copy(update={"training": training}).model_dump_json())


@dataclass(frozen=True)
class Sweep:
    """The runs of a study of what recurrences are worth.

    Attributes:
        name: The study's name.
        recipe: The recipe's name or path.
        overrides: Overrides that every run gets.
        num_layers: Layers that a token passes, the same in every arm: prelude, core times loops, coda.
        arms: By name.
        num_seeds: Runs of each arm.
        notes: What the reader should know of how the arms were made.
    """

    name: str
    recipe: str
    overrides: tuple[str, ...]
    num_layers: int
    arms: dict[str, SweepArm]
    num_seeds: int
    notes: tuple[str, ...]

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        return len(self.arms) * self.num_seeds

    @property
    def training_flops(self) -> float:
        """FLOPs in all."""
        return self.num_seeds * sum(arm.training_flops for arm in self.arms.values())

    def study(self) -> dict[str, Any]:
        """The study file of declared arms."""
        return {
            "name": self.name,
            "description": f"Iso-depth sweep of {self.recipe}: {self.num_layers} layers in every arm.",
            "recipe": self.recipe,
            "overrides": recorded(list(self.overrides)),
            "arms": {name: copy.deepcopy(arm.changes) for name, arm in self.arms.items()},
            "seeds": self.num_seeds,
            "objectives": {METRIC: "minimize"},
        }

    def write(self, folder: Path = Path("studies")) -> Path:
        """Write the study file, and return its path.

        Raises:
            RecipeError: The study has runs of another sweep.
        """
        path = folder / f"{self.name}.yaml"
        if path.is_file() and read_document(path) == self.study():
            return path
        if path.is_file() and (folder / self.name).is_dir():
            raise RecipeError(f"{folder / self.name}: holds runs of another sweep; give this one another --name")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, to_yaml(self.study()))
        return path


@assembled_once()
def plan(
    recipe: str,
    overrides: Sequence[str] = (),
    *,
    widths: Sequence[int] = (),
    loops: Sequence[int] = (),
    steps: Sequence[int] = (),
    num_seeds: int = 3,
    core_layers: int | None = None,
    name: str | None = None,
    counted: Counted = "non_embedding",
) -> Sweep:
    """Plan every width with every loop count and every number of steps.

    The core applies ``core_layers`` layers in every arm: r loops of ``core_layers / r`` layers, and without a loop a
    plain stack of them, with no injection, halting, signal or adapter. Sizes that the recipe states in channels
    keep their ratio to the width. Where the recipe samples its loop count and its sampler has a mean, the arms sample
    with the mean r; otherwise they run r loops always.

    Args:
        recipe: A recipe's name or path.
        overrides: ``path=value``.
        widths: Channels of the models; by default a half, three quarters, one and one and a half times the recipe's,
            or the nearest that build.
        loops: Loop counts; by default the powers of two up to what the recipe applies, at least 1, 2 and 4, at most 8.
        steps: Optimiser steps; by default a quarter, a half and all of the recipe's.
        num_seeds: Runs of each arm.
        core_layers: Layers that the core applies; by default as many as the recipe's does, rounded to what all loop
            counts divide.
        name: The study's name.
        counted: Which parameters count.

    Raises:
        RecipeError: The recipe has no loop to trade, a loop count does not divide the layers, or an arm does not build.
    """
    load_plugins()
    source = find("recipes", recipe)
    overrides = (*_UNMEASURED, *overrides)
    config = compose(source, overrides)
    base = validate(config, source)
    model = base.model_spec().model_dump(mode="json")
    core = model["core"]
    if core.get("kind") != "loop":
        raise RecipeError(f"{recipe}: model.core: {core.get('kind')!r} has no layers to trade for loops; one of: loop")
    built, _ = build_on_meta(base)
    declared = core["depth"] * round(built.core.loops.mean)
    loops = _checked("loops", loops) or _default_loops(declared)
    unit = math.lcm(*loops) * (1 if core["alternate"] is None else 2)
    core_layers = core_layers or max(unit, unit * round(declared / unit))
    _check_division(core_layers, loops, core["alternate"] is not None)
    steps = _checked("steps", steps) or sorted({max(1, round(base.training.max_steps * share)) for share in _BUDGETS})

    @cache
    def build(width: int, num_loops: int, max_steps: int) -> Recipe:
        where = f"{recipe}: width {width}, {num_loops} loops, {max_steps} steps"
        return applied(config, changes(base, width, num_loops, core_layers, max_steps), where)

    legal = _Legal(lambda width: [build(width, num_loops, max(steps)) for num_loops in loops])
    for width in _checked("widths", widths):
        legal.require(width)
    widths = sorted(set(widths)) or sorted({legal.nearest(round(model["width"] * share)) for share in _SHARES})
    arms = {}
    for width, num_loops, max_steps in itertools.product(widths, loops, steps):
        made = build(width, num_loops, max_steps)
        changed = changes(base, width, num_loops, core_layers, max_steps)
        arms[f"w{width}-r{num_loops}-s{max_steps}"] = SweepArm(changed, made, width, num_loops, *_counts(made, counted))
    return Sweep(
        name=check_name(name or f"{base.name}-worth", "--name"),
        recipe=recipe,
        overrides=tuple(overrides),
        num_layers=model["prelude"]["depth"] + core_layers + model["coda"]["depth"],
        arms=arms,
        num_seeds=num_seeds,
        notes=tuple(_notes(built, model, max(loops))),
    )


def _notes(built: LoopedTransformer, model: dict[str, Any], most_loops: int) -> Iterator[str]:
    sizes = sorted(path.removeprefix("model.") for path in grown(model, 2 * model["width"]))
    if sizes:
        yield f"grow with the width: {', '.join(sizes)}"
    if most_loops > 1:
        yield loops_note(model["core"]["loops"])
        window = built.core.loops.gradient_window
        if window == "half_mean" or (window is not None and window < most_loops):
            yield (
                f"gradient_window {window}: arms of more loops are differentiated in part, which lowers phi "
                "(.46 to .38 in arXiv 2604.21106)"
            )
    if any(isinstance(module, RoutedExperts) for module in built.modules()):
        yield "experts count as stored, whether or not a token is routed to them"
    yield "the learning rate is the recipe's in every arm: what it costs at other sizes counts as theirs"


def _counts(recipe: Recipe, counted: Counted) -> tuple[int, int, int]:
    """Parameters used once and in every loop, and training tokens."""
    return *once_and_recurrent(recipe, counted), cost(recipe).training_tokens


@lru_cache(maxsize=1024)
def _step_flops(written: str) -> float:
    """FLOPs of one training step of a recipe, in expectation over its loop counts."""
    return cost(Recipe.model_validate_json(written)).training_flops / _ANY_STEPS


def _default_loops(declared: int) -> list[int]:
    most = max(4, min(_MOST_LOOPS, declared))
    return [2**i for i in range(most.bit_length())]


def _check_division(core_layers: int, loops: Sequence[int], pairs: bool) -> None:
    for num_loops in loops:
        layers, left = divmod(core_layers, num_loops)
        if left:
            raise RecipeError(
                f"--loops {num_loops}: does not divide the {core_layers} layers that the core applies; "
                f"set --core-layers to a multiple of {math.lcm(*loops)}"
            )
        if pairs and layers % 2:
            raise RecipeError(f"--loops {num_loops}: leaves {layers} layers, and the recipe's alternate in pairs")


def _checked(option: str, values: Sequence[int]) -> list[int]:
    for value in values:
        if value < 1:
            raise RecipeError(f"--{option} {value}: expected a whole number of at least 1")
    return sorted(set(values))


class _Legal:
    """Widths at which every model of the sweep builds."""

    def __init__(self, build: Callable[[int], object]) -> None:
        self._build = build

    def require(self, width: int) -> None:
        """``RecipeError`` with the nearest width that builds, where this one does not."""
        error = self._error(width)
        if error is not None:
            near = self.nearest(width)
            raise RecipeError(f"--widths {width}: {error.lines[0]}; the nearest that builds: {near}")

    def nearest(self, width: int) -> int:
        """The nearest width that builds, the larger of two."""
        first: RecipeError | None = None
        for distance in range(_NEIGHBOURS):
            for candidate in dict.fromkeys((width + distance, width - distance)):
                if candidate < 1:
                    continue
                error = self._error(candidate)
                if error is None:
                    return candidate
                first = first or error
        assert first is not None
        raise first

    def _error(self, width: int) -> RecipeError | None:
        try:
            self._build(width)
        except RecipeError as error:
            return error
        return None
