"""One task for everything that a trial or a run makes of a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from mythos_blocks import build
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Task

_kept: ContextVar[dict[str, Task] | None] = ContextVar("kept", default=None)


@contextmanager
def task_shared() -> Iterator[None]:
    """Within it, a task that is declared again is the one that was built last; afterwards nothing of it is kept.

    A candidate's sizes are solved for, it is validated, weighed, counted and trained by several seeds, all of which ask
    for the task, and its text may fill the memory. Spans within a span are one with it.
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
    kept, declared = _kept.get(), recipe.task.model_dump_json()  # type: ignore[union-attr]
    if kept is not None and declared in kept:
        return kept[declared]
    task: Task = build(recipe.task)
    if kept is not None:
        kept.clear()  # one at a time
        kept[declared] = task
    return task
