"""What is made of a recipe once, for all who ask: its task, and its model on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # every verb has the span, and some need no torch
    from mythos_lab.recipe.schema import Recipe
    from mythos_lab.tasks.base import Task

# Of each thing the last one, by what it was declared to be.
_kept: ContextVar[dict[str, tuple[str, Any]] | None] = ContextVar("kept", default=None)

_NEITHER = {"name", "description", "seed", "tracking"}
"""Fields that change nothing about a model without numbers."""


@contextmanager
def assembled_once() -> Iterator[None]:
    """Within it, what is asked for again is what was made last; afterwards nothing of it is kept.

    A verb validates a recipe, checks it, counts its cost and trains it; a trial does the same for sizes that are solved
    for and for several seeds. All of them ask for the task, whose text may fill the memory, and for the model's shapes.
    Spans within a span are one with it.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def task_of(recipe: Recipe) -> Task:
    """The task of a recipe.

    Raises:
        BuildError: Its constructor refuses it.
    """
    from mythos_blocks import build

    task: Task = _once("task", recipe.task.model_dump_json(), lambda: build(recipe.task))  # type: ignore[union-attr]
    return task


def shapes_of(recipe: Recipe, make: Callable[[Recipe], Any]) -> Any:
    """The model of a recipe on the meta device, as ``make`` makes it; who asks for it leaves it as it is."""
    return _once("model", recipe.model_dump_json(exclude=_NEITHER), lambda: make(recipe))


def _once(name: str, declared: str, make: Callable[[], Any]) -> Any:
    kept = _kept.get()
    if kept is not None and name in kept and kept[name][0] == declared:
        return kept[name][1]
    if kept is not None:
        kept.pop(name, None)  # before another takes as much memory
    made = make()
    if kept is not None:
        kept[name] = declared, made
    return made
