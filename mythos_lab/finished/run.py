"""A finished run as one object."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mythos_blocks import LoopedTransformer, build
from mythos_blocks.declaring.spec import as_spec
from mythos_lab.finished.locating import run_folder
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Task
from mythos_lab.tasks.text.task import Text, has_ends
from mythos_lab.tasks.text.tokenizer import TOKENIZER, Tokenizer
from mythos_lab.training.held import hold
from mythos_lab.training.history import HISTORY, read_history
from mythos_lab.training.result import DATA, key_of, load_weights, read_recipe, read_result, read_values


@dataclass(frozen=True)
class Run:
    """A run that has ended. What it holds is read when it is asked for, and held against what was written.

    Attributes:
        folder: Its folder.
        recipe: What was declared, defaults included.
        result: What ``result.json`` says: ``status``, ``metrics``, ``intervals``, ``depth_curve`` and more.
    """

    folder: Path
    recipe: Recipe
    result: dict[str, Any]

    @cached_property
    def model(self) -> LoopedTransformer:
        """The trained model, in evaluation mode; the data need not be there.

        Raises:
            RecipeError: The run did not finish, so that its weights mean nothing.
            Damaged: The weights are not as they were written, or not of this run.
        """
        return load_weights(self.folder, self.recipe)

    @cached_property
    def task(self) -> Task:
        """The task, on the data that the run was trained on.

        Raises:
            RecipeError: The data are not there.
            Misplaced: They, or the code that the recipe imports, have changed since.
        """
        try:
            task = task_of(self.recipe)
        except ValueError as error:
            raise RecipeError(f"{self.folder}: the run's data are not here: task: {error}") from None
        hold(self.folder, self.recipe, task, key_of(self.folder))
        return task

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """What was logged, in order: ``step``, ``time`` in seconds since the epoch, and metrics by name.

        Raises:
            RecipeError: The run is from before runs had one.
            Misplaced: It is not as it was written.
        """
        if (sha256 := self.result.get("history_sha256")) is None:
            raise RecipeError(f"{self.folder}: has no {HISTORY}; its metrics are in MLflow, run {self.run_id}")
        return read_history(self.folder / HISTORY, str(sha256))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What makes text of the model's tokens, as the run has kept it; the text need not be there.

        Raises:
            RecipeError: The task has none, as its tokens are no text; or the kept one is not the run's.
        """
        declared: Any = as_spec(self.recipe.task)
        if not issubclass(declared.component, Text):
            raise RecipeError(
                f"{self.folder}: the tokens of the task {declared.kind!r} are no text; give numbers: --tokens 1,2,3"
            )
        kept, spec = self.folder / TOKENIZER, as_spec(declared.tokenizer)
        if "path" in type(spec).model_fields:
            if not kept.is_file():
                return self.task.tokenizer  # type: ignore[attr-defined]
            spec = spec.model_copy(update={"path": str(kept)})
        tokenizer: Tokenizer = build(spec, has_ends(declared.packing, declared.document_mask))
        recorded = read_values(self.folder, DATA).get("tokenizer_sha256")
        if tokenizer.identity()["sha256"] != recorded:
            raise RecipeError(f"{kept}: is not the tokenizer that the run was trained with; bring it back from a copy")
        return tokenizer

    @property
    def run_id(self) -> str:
        """The run in MLflow."""
        return str(self.result["run_id"])


def load(run: str | Path, *, store: str | None = None) -> Run:
    """Open a run that has ended.

    >>> run = mythos_lab.load("runs/gated_loop-20260101-120000-ab12")
    >>> logits = run.model(tokens, iterations=8).logits

    Modules that the recipe imports are imported where they are as the run has recorded them.

    Args:
        run: Its folder; that of a trial with one seed; or the id of the run in MLflow.
        store: MLflow's tracking URI, for an id; ``None`` takes the default one.

    Raises:
        RecipeError: There is no such run, or it has not ended.
        Damaged: A file of it is not as it was written.
    """
    folder = run_folder(run, store)
    return Run(folder, read_recipe(folder, assembled=False), read_result(folder))
