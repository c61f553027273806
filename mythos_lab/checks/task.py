"""A task that is called compositional must not be solved by a shortcut."""

from __future__ import annotations

from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.tasks.base import MAX_SHORTCUT, Shortcut, Task

_audits: dict[str, list[Shortcut]] = {}


def no_shortcut_solves_it(assembly: Assembly) -> list[Finding]:
    """The audit of a task that claims to be compositional: no feature may surely lead further than the threshold."""
    task = assembly.task
    if not task.compositional:
        return []
    over = [s for s in _audited(task) if s.surely_explained > MAX_SHORTCUT]
    if not over:
        return []
    worst = max(over, key=lambda shortcut: shortcut.accuracy)
    where = "" if worst.difficulty is None else f" at {worst.difficulty} {task.difficulty_name}"
    return [
        Finding(
            "task.shortcut",
            f"{task.kind} is called compositional, and {worst.feature!r} alone gives accuracy {worst.accuracy:.3f}"
            f"{where} (at least {worst.low:.3f}; chance {worst.chance:.3f}): {worst.explained:.0%} of the way "
            f"to every answer right, where {MAX_SHORTCUT:.0%} are allowed",
        )
    ]


def _audited(task: Task) -> list[Shortcut]:
    """The audit, once for every declaration: a study trains hundreds of models on one task."""
    key = task.spec.model_dump_json()
    if key not in _audits:
        _audits[key] = task.audit(partial=False)
    return _audits[key]
