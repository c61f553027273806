"""What a run is made of beside its recipe, held against what is there now: its data, and the code that it imports."""

from __future__ import annotations

from pathlib import Path

from mythos_lab.imports import are_withheld
from mythos_lab.recipe import Recipe
from mythos_lab.recipe.code import changes, imported_code
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.rank import Rank
from mythos_lab.tasks.base import Task
from mythos_lab.training.data import order_of
from mythos_lab.training.sealed import read_json

ENVIRONMENT, DATA = "environment.json", "data.json"
CODE = "code"
"""Field of ``environment.json``: hashes of imported code, by module."""


def data_of(recipe: Recipe, task: Task) -> dict[str, str]:
    """What ``data.json`` says of a run's data."""
    order = order_of(task, recipe.training.batch_size)
    return {"fingerprint": task.fingerprint(), "order": order, **task.identity()}


def hold(folder: Path, recipe: Recipe, task: Task, owner: str | None = None) -> None:
    """Refuse to go on with a run, or to measure it, on other data or with other code than it was begun with.

    Args:
        folder: The run's folder.
        recipe: Its recipe.
        task: The task as it is now.
        owner: The run's key, which its files have to name; ``None`` where they are from before there were checksums.

    Raises:
        Misplaced: The task's data or an imported module has changed since, or what the run wrote down cannot be read.
    """
    if found := changed_since(folder, recipe, task, owner):
        what, said = found
        raise Misplaced(f"{folder}: {said}; put the old {what} back, or begin another run")


def changed_since(folder: Path, recipe: Recipe, task: Task, owner: str | None = None) -> tuple[str, str] | None:
    """Whether data or code are others than a run was begun with: which of them, and how it shows; ``None`` if neither.

    Takes what :func:`hold` does.

    Raises:
        Misplaced: What the run wrote down cannot be read.
    """
    data = read_json(folder / DATA, owner)
    if "fingerprint" not in data:
        raise Misplaced(f"{folder / DATA}: has no 'fingerprint'")
    was, now = data["fingerprint"], task.fingerprint()
    if was != now:
        there = task.identity()
        changed = [
            f"{n} was {_short(data[n])}, is {_short(there[n])}" for n in there if n in data and data[n] != there[n]
        ]
        more = f" ({'; '.join(changed)})" if changed else ""
        return "data", (
            f"the data of the task {task.kind!r} has changed since the run: was {_short(was)}, is {_short(now)}{more}"
        )
    written = read_json(folder / ENVIRONMENT, owner).get(CODE, {})
    now_imported = imported_code(recipe.imports)
    if are_withheld():  # what was not imported is not run either
        written = {name: value for name, value in written.items() if name in now_imported}
    lines = changes(written, now_imported, folder)
    return ("code", lines[0]) if lines else None


def hold_alike(recipe: Recipe, task: Task, rank: Rank) -> None:
    """Refuse to train together on other data or with other code than rank 0; all ranks call it, and all refuse.

    Raises:
        Misplaced: A rank has made something else of the recipe.
    """
    said = rank.each([task.fingerprint(), imported_code(recipe.imports)])
    first_data, first_code = said[0]
    for index, (data, code) in enumerate(said):
        if data != first_data:
            raise Misplaced(
                f"rank {index} has other data for the task {task.kind!r} than rank 0: {_short(data)}, not "
                f"{_short(first_data)}; give both the same files"
            )
        if names := [name for name in first_code if code.get(name) != first_code[name]]:
            raise Misplaced(f"rank {index} imports another {names[0]!r} than rank 0; give both the same files")


def _short(value: str) -> str:
    return value[:12]
