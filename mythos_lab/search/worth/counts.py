"""Which parameters of a model are used once, and which in every iteration."""

from __future__ import annotations

from typing import Literal, get_args

from mythos_blocks import LoopedTransformer
from mythos_blocks.loop_lora import LoopLoRALinears
from mythos_blocks.registry import suggest
from mythos_lab.recipe import RecipeError
from mythos_lab.recipe.cost import count

Counted = Literal["non_embedding", "all"]
"""Whether the embedding and the head count: scaling laws of small models leave them out (Kaplan et al., 2001.08361)."""


def check_counted(name: str) -> Counted:
    """The name; ``RecipeError`` with the nearest where it says nothing that can be counted."""
    for known in get_args(Counted):
        if name == known:
            return known
    raise RecipeError(f"--count {name}: {suggest(name, get_args(Counted))}")


def once_and_recurrent(model: LoopedTransformer, counted: Counted = "non_embedding") -> tuple[int, int]:
    """Parameters used once in a forward pass, and those that every iteration uses again.

    Recurrent are those of the core's layers, injection, update and depth adapter, which ``cost/params_applied`` counts
    once a loop, less what belongs to one iteration alone: a row of an adapter's table is used once. Experts count as
    stored, whether or not a token is routed to them.
    """
    core = model.core
    recurrent = sum(count(part) for part in (core.layers, core.injection, core.update, core.depth_adapter))
    recurrent -= _of_one_iteration(model)
    total = count(model)
    if counted == "non_embedding":
        total -= _num_in_ends(model)
    return total - recurrent, recurrent


def _num_in_ends(model: LoopedTransformer) -> int:
    """Parameters of the embedding and the head, once where they are tied."""
    ends = {id(weight): weight.numel() for weight in (model.embedding.weight, model.head.weight)}
    return sum(ends.values())


def _of_one_iteration(model: LoopedTransformer) -> int:
    tables = [model.core.depth_adapter.table()]
    for module in model.core.depth_adapter.modules():
        if isinstance(module, LoopLoRALinears):
            tables += module.parameters()
    return sum(table.numel() for table in {id(t): t for t in tables if t is not None}.values())
