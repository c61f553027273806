"""Which parameters of a model are used once, and which in every iteration."""

from __future__ import annotations

from typing import Literal, get_args

from mythos_blocks import LoopedTransformer
from mythos_blocks.declaring.registry import suggest
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import count

Counted = Literal["non_embedding", "all"]
"""Whether the embedding and the head count: scaling laws of small models leave them out (Kaplan et al., 2001.08361)."""


def check_counted(name: str) -> Counted:
    """The name; ``RecipeError`` with the nearest where it says nothing that can be counted."""
    for known in get_args(Counted):
        if name == known:
            return known
    raise RecipeError(f"--count {name}: {suggest(name, get_args(Counted))}")


def once_and_recurrent(recipe: Recipe, counted: Counted = "non_embedding") -> tuple[int, int]:
    """Parameters used once in a forward pass, and those of the core that every iteration uses again.

    What belongs to one iteration alone, such as a row of a step embedding or an adapter's matrices of one loop, is used
    once: it is what a core that reaches one iteration further has more. So is what stands at the loop's ends: the
    norm of its input, the initial state, the interface. Experts count as stored, whether or not a token is routed to
    them.

    Raises:
        RecipeError: The core is no loop of layers.
    """
    model, _ = build_on_meta(recipe)
    core = model.core
    if core.kind != "loop":
        raise RecipeError(f"{recipe.name}: model.core: {core.kind!r} has no layers to trade for loops; one of: loop")
    reach = core.loops.max_loops
    of_one_iteration = count(_reaching(recipe, reach + 1).core) - count(core)
    at_the_ends = sum(count(part) for part in (core.input_norm, core.initial_state, core.interface))
    recurrent = count(core) - reach * of_one_iteration - at_the_ends
    left_out = 0 if counted == "all" else _embedding_and_head(model)
    return count(model) - recurrent - left_out, recurrent


def _reaching(recipe: Recipe, num_loops: int) -> LoopedTransformer:
    """The model as if training drew so many loops."""
    config = recipe.model_dump(mode="json")
    window = config["model"]["core"]["loops"].get("gradient_window")
    config["model"]["core"]["loops"] = {"kind": "fixed", "num_loops": num_loops, "gradient_window": window}
    model, _ = build_on_meta(Recipe.model_validate(config))
    assert isinstance(model, LoopedTransformer)
    return model


def _embedding_and_head(model: LoopedTransformer) -> int:
    """Parameters of both, once where they are tied."""
    ends = {id(weight): weight.numel() for weight in (model.embedding.weight, model.head.weight)}
    return sum(ends.values())
