"""What there is to know of a task before a model is trained on it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mythos_blocks.declaring.registry import slots
from mythos_blocks.declaring.spec import summary
from mythos_lab.tasks.base import IGNORE, HeldOut, Shortcut, Task
from mythos_lab.tasks.generated import Generated

_NUM_TIMED = 8192
_NUM_SOLVED = 512


@dataclass(frozen=True)
class Survey:
    """A task, looked at.

    Attributes:
        kind: Its name.
        summary: What it is, in a sentence.
        samples: Samples of the validation split as a person reads them.
        facts: Sizes and the like, by name.
        oracle: Share of scored tokens that the oracle has right, by split; empty for tasks without one.
        audit: What declared features give.
        max_shortcut: How far shortcuts may lead, as the task states it; ``None`` for tasks without an audit.
        samples_per_second: Training samples made in a second, first pass.
    """

    kind: str
    summary: str
    samples: list[str]
    facts: dict[str, str]
    oracle: dict[str, float]
    audit: list[Shortcut]
    max_shortcut: float | None
    samples_per_second: float


@dataclass(frozen=True)
class Line:
    """A task of the overview: its name, difficulty axis, chance, and its worst shortcut at default fields.

    Attributes:
        explained: How far the worst shortcut leads from chance to every answer right; ``None`` without an audit.
        bound: How far the task states that shortcuts may lead.
        claim: Whether it calls itself compositional.
    """

    kind: str
    difficulty: str
    chance: float | None
    shortcut: str
    explained: float | None
    bound: float | None
    claim: bool


def overview() -> list[Line]:
    """All tasks at their defaults, audited."""
    lines = []
    for kind, component in sorted(slots()["task"].kinds.items()):
        task = component()
        assert isinstance(task, Task)
        worst = max((s for s in task.audit() if not s.partial), key=lambda s: s.explained, default=None)
        facts = _facts(task)
        lines.append(
            Line(
                kind=kind,
                difficulty=facts.get("difficulty", "").replace(", out of distribution to", " /"),
                chance=task.chance,
                shortcut="" if worst is None else worst.feature,
                explained=None if worst is None else max(0.0, worst.explained),
                bound=task.max_shortcut if isinstance(task, Generated) else None,
                claim=task.compositional,
            )
        )
    return lines


def survey(task: Task, num_samples: int) -> Survey:
    """Draw, solve, audit and time a task."""
    start = time.perf_counter()
    task.batch("train", range(min(_NUM_TIMED, getattr(task, "train_size", None) or _NUM_TIMED)))
    seconds = time.perf_counter() - start
    shown = task.batch("validation", range(min(num_samples, task.size("validation"))))
    generated = isinstance(task, Generated)
    return Survey(
        kind=task.kind,
        summary=summary(type(task)),
        samples=[task.render(shown, row) for row in range(len(shown.tokens))],
        facts={**_facts(task), "fingerprint": task.fingerprint()},
        oracle=_solved(task) if isinstance(task, Generated) else {},
        audit=task.audit(),
        max_shortcut=task.max_shortcut if generated else None,  # type: ignore[attr-defined]
        samples_per_second=_NUM_TIMED / seconds,
    )


def _facts(task: Task) -> dict[str, str]:
    facts = {"tokens": f"{task.vocab_size}", "positions": f"{task.positions}"}
    if task.ood_positions is not None:
        facts["positions out of distribution"] = f"{task.ood_positions}"
    if task.difficulty_name is not None and isinstance(task, Generated) and task.high:
        beyond = f", out of distribution to {task.top}" if task.ood_range else ""
        facts["difficulty"] = f"{task.difficulty_name} {task.low} to {task.high}{beyond}"
    splits: tuple[HeldOut, ...] = ("validation", "test", "ood")
    facts["samples"] = ", ".join(f"{split} {task.size(split)}" for split in splits if task.size(split))
    if task.chance is not None:
        facts["chance"] = f"{task.chance:.4g}"
    mask = "task" if task.has_mask else "full" if task.bidirectional else "causal" if task.causal else "causal or full"
    facts["mask"] = mask
    if task.describe():
        facts["data"] = task.describe()
    return facts


def _solved(task: Generated) -> dict[str, float]:
    shares: dict[str, float] = {}
    splits: tuple[HeldOut, ...] = ("validation", "test", "ood")
    for split in splits:
        if task.size(split):
            batch = task.batch(split, range(min(_NUM_SOLVED, task.size(split))))
            scored = batch.targets != IGNORE
            shares[split] = float((task.oracle(batch) == batch.targets)[scored].float().mean())
    return shares
