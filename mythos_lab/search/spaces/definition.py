"""A study as it is written: what varies, what is held, what counts, and how it is searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mythos_blocks.declaring.spec import Declaration
from mythos_blocks.declaring.types import AtMost, Count, Many, Positive
from mythos_lab.recipe.places import Name
from mythos_lab.search.budgets.hold import Hold
from mythos_lab.search.pruners.guard import Guard

Direction = Literal["minimize", "maximize"]
ON = "@"
"""Between an arm and its task."""

Named = str | dict[str, Any]
"""A sampler or a pruner: its name, or a mapping of ``kind`` and options."""


class StudyFile(Declaration):
    """A study's file: a search space, or arms that are declared one by one."""

    version: Literal[1] = 1
    name: Name = Field(description="Name of the study.")
    description: str = Field("", min_length=0, description="The question that it asks.")
    recipe: str = Field(description="The recipe that varies.")
    overrides: list[str] = Field([], description="Overrides of the recipe that every trial gets.")
    space: dict[str, Any] = Field({}, description="Fields that vary, by their path in the recipe.")
    arms: dict[Name, dict[str, Any]] = Field(
        {},
        max_length=1024,
        description="Variants by name, mappings of paths to values; the others are held against the first.",
    )
    tasks: dict[Name, dict[str, Any]] = Field(
        {},
        max_length=64,
        description="What every arm is trained on, by name: mappings of paths (task, mask, ...) to values. Arms are "
        "held against the first one on the same task.",
    )
    constraints: list[str] = Field(
        [],
        max_length=100,
        description="Conditions on fields and metrics; what is known before training vetoes a candidate untrained.",
    )
    hold: Hold | None = Field(None, description="Budgets that every candidate gets.")
    objectives: dict[str, Direction] = Field(min_length=1, description="Metrics, each minimize or maximize.")
    seeds: Annotated[Count, AtMost(4096)] = Field(
        1, description="Paired seeds that each trial trains; objectives are their means."
    )
    matters: Annotated[float, Field(ge=0)] = Field(
        0.01, description="The smallest difference in the first objective that matters, for verdicts."
    )
    declared: list[str] = Field(
        [], description="Inputs besides the declared changes of arms that may differ between them, for verdicts."
    )
    sampler: Named = Field("auto", description="Optuna's sampler, by name or with options; auto chooses and says why.")
    pruner: Named = Field("none", description="Optuna's pruner, or loop_aware, by name or with options.")
    guard: Guard | None = Field(None, description="What prunes trials of several objectives.")
    trials: Many | None = Field(None, description="Trials in all; null takes every point of a grid, or 20.")
    workers: Annotated[Count, AtMost(4096)] = Field(1, description="Processes that run trials.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the sampler.")
    storage: str | None = Field(
        None, description="Optuna's storage URL; null takes MYTHOS_STORAGE or a journal in the study's folder."
    )
    heartbeat: Positive = Field(
        30.0, description="Seconds between a worker's signs of life; after five missed ones its trial is taken over."
    )

    @property
    def variants(self) -> dict[str, dict[str, Any]]:
        """What is trained, by name: the arms, and of several tasks each arm on each, as ``arm@task``."""
        if not self.tasks:
            return self.arms
        return {
            f"{arm}{ON}{task}": {**changes, **changed}
            for task, changes in self.tasks.items()
            for arm, changed in self.arms.items()
        }

    def reference(self, variant: str) -> str:
        """The variant that another is held against: the first arm, on the same task."""
        arm, on, task = variant.partition(ON)
        return f"{next(iter(self.arms))}{on}{task}"

    @property
    def num_verdicts(self) -> int:
        """Verdicts that are read together."""
        return (len(self.arms) - 1) * max(1, len(self.tasks))

    @model_validator(mode="after")
    def _something_varies(self) -> StudyFile:
        if not self.space and not self.arms:
            raise ValueError("nothing varies: expected fields under 'space' or variants under 'arms'")
        if "arm" in self.space:
            raise ValueError("space: 'arm' is the parameter of declared arms")
        if self.guard is not None and self.pruner in ("none", {"kind": "none"}):
            raise ValueError("guard: without a pruner it has no effect; expected one under 'pruner'")
        if self.tasks and (self.space or not self.arms):
            raise ValueError("tasks: are what declared arms are trained on; expected some under 'arms', and no 'space'")
        for field in ("declared", "matters"):
            if field in self.model_fields_set and getattr(self, field) and not self.arms:
                raise ValueError(f"{field}: only declared arms are given verdicts; expected some under 'arms'")
        return self
