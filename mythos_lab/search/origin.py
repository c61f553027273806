"""What all trials of a study share beside its file: the data, and the code that its recipe imports."""

from __future__ import annotations

import json
from typing import Any

import optuna

from mythos_blocks import Slot, build
from mythos_lab.recipe.code import changes, imported_code
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.search.attributes import ORIGIN
from mythos_lab.search.spaces.space import Space
from mythos_lab.tasks.base import Task
from mythos_lab.tasks.generated import Generated


def check_origin(study: optuna.Study, space: Space) -> None:
    """Write down what a study begins with; refuse to go on with it where that has changed.

    Raises:
        Misplaced: The data or an imported module is not what the study was begun with.
    """
    now: dict[str, Any] = {"data": _fingerprint(space), "code": imported_code(space.base.get("imports") or [])}
    kept = study.user_attrs.get(ORIGIN)
    if kept is None:
        study.set_user_attr(ORIGIN, json.dumps(now))
        return
    was: dict[str, Any] = json.loads(kept)
    lines = changes(was["code"], now["code"], space.folder)
    if was["data"] != now["data"]:
        lines.insert(0, f"task: the data has changed since: was {was['data'][:12]}, is {now['data'][:12]}")
    if lines:
        raise Misplaced(
            f"{space.source}: the study {space.file.name!r} cannot go on as it was begun: {lines[0]}; put that back, "
            "or give the study another name"
        )


def _fingerprint(space: Space) -> str:
    """Of the task that the study's recipe has; empty for one that draws its samples, which its fields alone decide."""
    task: Task = build(Slot("task").resolve(space.base["task"]))
    return "" if isinstance(task, Generated) else task.fingerprint()
