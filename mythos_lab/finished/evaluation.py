"""A finished run's model on its own data, or on others: another range, split, text or task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mythos_blocks import Spec, build
from mythos_blocks.declaring.spec import as_spec
from mythos_blocks.declaring.types import MAX_LOOPS
from mythos_lab.finished.run import Run
from mythos_lab.measures.breadth import Breadth, breadths
from mythos_lab.measures.depth_curve import DepthCurve
from mythos_lab.measures.evaluate import evaluate_counts, sampler
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.compose import as_recorded, validate
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.files import SPACE_COPY
from mythos_lab.recipe.interpolation import escaped
from mythos_lab.recipe.overrides import split as read_overrides
from mythos_lab.recipe.paths import set_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import HeldOut, Task
from mythos_lab.tasks.text.task import Text
from mythos_lab.tasks.text.tokenizer import TOKENIZER
from mythos_lab.tasks.text.tokens import Tokens
from mythos_lab.training.result import DATA, read_values, recorded_code

SPLITS: tuple[HeldOut, ...] = ("validation", "test", "ood")
_DEEPEST = 3  # studies/NAME/trials/NUMBER/seed-N
_OF_THE_TEXT = ("path", "validation_path", "test_path", "dataset", "suffixes", "text_field", "format", "tokenizer")
_MAY_CHANGE = ("task", "mask", "evaluation.batch_size", "evaluation.breadth")


def evaluate(
    run: Run, overrides: Sequence[str] = (), num_loops: Sequence[int] = (), split: HeldOut = "validation"
) -> DepthCurve:
    """Score a run's model on a split, at chosen loop counts.

    Args:
        run: The run.
        overrides: ``path=value`` of the task and the mask, and the evaluation's ``batch_size`` and ``breadth``; without
            any of the task, the data are the run's own.
        num_loops: Loop counts; none is the one at which the model is evaluated by default.
        split: The split.

    Raises:
        RecipeError: An override changes something else, the model cannot read the task's samples or has not its
            tokens, the task has no such split, or the model cannot run so many loops.
    """
    recipe, task, counts = _asked(run, overrides, num_loops, split)
    return DepthCurve(task, sampler(run.model).eval_loops, evaluate_counts(run.model, task, recipe, counts, split))


def breadth(
    run: Run, overrides: Sequence[str] = (), num_loops: Sequence[int] = (), split: HeldOut = "validation"
) -> dict[int, Breadth]:
    """What several starts of a run's model come to together, by loop count; nothing where ``evaluation.breadth`` is 1.

    Args and errors are those of :func:`evaluate`.
    """
    recipe, task, counts = _asked(run, overrides, num_loops, split)
    return breadths(run.model, task, recipe, counts, split) if recipe.evaluation.breadth > 1 else {}


def _asked(
    run: Run, overrides: Sequence[str], num_loops: Sequence[int], split: HeldOut
) -> tuple[Recipe, Task, list[int]]:
    """The recipe with what is to be evaluated, its task, and the loop counts."""
    if split == "test" and (study := _study_of(run)) is not None:
        raise RecipeError(f"{run.folder}: is of the study {study}, whose test split `mythos holdout` opens, once")
    recipe, task = _changed(run, overrides)
    if not task.size(split):
        raise RecipeError(f"the task {task.kind!r} has no samples in {split}")
    _check_division(run, task, split)
    counts = sorted(set(num_loops)) or [sampler(run.model).eval_loops]
    if not 1 <= counts[0] <= counts[-1] <= 4 * MAX_LOOPS:
        raise RecipeError(f"loops: {counts[0]} to {counts[-1]}; expected numbers from 1 to {4 * MAX_LOOPS:,}")
    last = run.model.core.last_index
    if last is not None and counts[-1] > last + 1:
        raise RecipeError(f"loops: {counts[-1]}, and a table of the core ends at {last + 1}")
    return recipe, task, counts


def _study_of(run: Run) -> Path | None:
    """The folder of the study that the run is a trial of."""
    return next((each for each in run.folder.absolute().parents[:_DEEPEST] if (each / SPACE_COPY).is_file()), None)


def _changed(run: Run, overrides: Sequence[str]) -> tuple[Recipe, Task]:
    """The recipe with what is to be evaluated, and its task."""
    if not overrides:
        return run.recipe, run.task
    config: dict[str, Any] = escaped(as_recorded(run.recipe))
    values = read_overrides(overrides)[1]
    for path, value in values:
        if not any(path == each or path.startswith(f"{each}.") for each in _MAY_CHANGE):
            top = path.partition(".")[0]
            why = "changes nothing here" if top == "evaluation" else f"{top} belongs to the training"
            raise RecipeError(f"override {path!r}: {why}; expected {', '.join(_MAY_CHANGE)}")
        set_path(Recipe, config, path, value, source="override")
    of_task = any(path.partition(".")[0] == "task" for path, _ in values)
    if of_task:
        _keep_tokenizer(run, config, [path for path, _ in values])
    recipe = validate(config, f"{run.folder}, as overridden", recorded_code(run.folder))
    if not of_task:
        return recipe, run.task
    task = task_of(recipe)
    _check_tokens(run, task)
    return recipe, task


def _keep_tokenizer(run: Run, config: dict[str, Any], paths: Sequence[str]) -> None:
    """Have another text read by the tokenizer that the model was trained with."""
    task, kept = config.get("task"), run.folder / TOKENIZER
    said = any(path.startswith("task.tokenizer") for path in paths)
    if said or not isinstance(task, dict) or not isinstance(task.get("tokenizer"), dict) or not kept.is_file():
        return
    if "path" in task["tokenizer"]:
        run.tokenizer.identity()  # which holds the file against what was recorded
        task["tokenizer"] = {**task["tokenizer"], "path": str(kept)}


def _check_division(run: Run, task: Task, split: HeldOut) -> None:
    """Refuse a split of the text that the run was trained on which is divided so that it may hold what it has seen."""
    was = read_values(run.folder, DATA).get("text_sha256")
    if was is None or not isinstance(task, Text) or task.prepared.fingerprint == was:
        return
    as_trained: Any = as_spec(run.recipe.task)
    as_it_lies = as_trained.model_copy(update={name: getattr(task.spec, name) for name in _OF_THE_TEXT})
    found = task.prepared.splits[split]
    if (own := _trained_on(was, as_it_lies)) is not None:
        is_seen = not np.array_equal(own.prepared.splits[split].ids, found.ids)
    elif _places(as_trained) & _places(task.spec) and (own := _trained_on(was, as_trained)) is not None:
        is_seen = _stands_in(found, own.prepared.splits["train"], whole=not task.prepared.census.stretches)
    else:
        return
    if is_seen:
        raise RecipeError(
            f"task: divides the run's own text otherwise than for its training, so that {split} may hold what the "
            "model was trained on; leave its paths, seed, held_out, split_by and, of a text that is cut into "
            "stretches, length as they were"
        )


def _trained_on(fingerprint: str, declared: Spec) -> Text | None:
    """A text, if it is the one with this fingerprint."""
    try:
        text: Text = build(declared)
        return text if text.prepared.fingerprint == fingerprint else None
    except ValueError:  # it is not here, or the run's fields do not fit it
        return None


def _places(declared: Any) -> set[str]:
    return {str(place) for name in _OF_THE_TEXT[:4] if (place := getattr(declared, name)) is not None}


def _stands_in(found: Tokens, seen: Tokens, *, whole: bool) -> bool:
    """Whether a document of some tokens is one of others; or, if not ``whole``, stands anywhere in them."""
    if whole:
        return not _documents(found).isdisjoint(_documents(seen))
    everything = seen.ids.tobytes()
    return any(document in everything for document in _documents(found))


def _documents(tokens: Tokens) -> set[bytes]:
    begins = [0, *tokens.ends[:-1]]
    return {tokens.ids[begin:end].tobytes() for begin, end in zip(begins, tokens.ends, strict=True)}


def _check_tokens(run: Run, task: Task) -> None:
    (vocab_size,) = run.model.context
    if task.vocab_size > vocab_size:
        raise RecipeError(f"task: has {task.vocab_size:,} tokens, and the run's model was trained on {vocab_size:,}")
    was = read_values(run.folder, DATA).get("tokenizer_sha256")
    if (now := task.identity().get("tokenizer_sha256")) != was:
        raise RecipeError(f"task.tokenizer: gives other tokens ({now}) than the run's ({was}); leave it as it was")
