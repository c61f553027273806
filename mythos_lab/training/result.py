"""The files of a run's folder: what repeats it, and what it came to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mythos_blocks import LoopedTransformer, load_plugins
from mythos_blocks.checkpoints import Checkpoint, copy_into, load, load_into, save
from mythos_lab.imports import are_withheld
from mythos_lab.measures.base import Outcome
from mythos_lab.measures.tidy import rows
from mythos_lab.metrics import METRICS
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import task_of
from mythos_lab.recipe.code import said_of_kept
from mythos_lab.recipe.compose import build_on_meta, declare_recorded, validate, written
from mythos_lab.recipe.documents import parse_yaml
from mythos_lab.recipe.outputs import sync_folder, write_whole
from mythos_lab.report.result import RunResult as RunResult
from mythos_lab.report.table import plain
from mythos_lab.tasks.base import Task
from mythos_lab.training.held import CODE, hold
from mythos_lab.training.held import DATA as DATA
from mythos_lab.training.held import ENVIRONMENT as ENVIRONMENT
from mythos_lab.training.sealed import (
    Damaged,
    cannot_verify,
    is_sealed,
    read_json,
    read_yaml,
    seal,
    verify,
    write_json,
    write_yaml,
)

LOCK = "run.lock"
RESUMED = "resumed"  # environments that a run went on in, after its first
RECIPE, STATE, WEIGHTS, CHECKPOINT, RESULT = "recipe.yaml", "run.json", "model.safetensors", "last.ckpt", "result.json"
MEASURES = "measures.json"
"""What measures came to, and what each says; of runs of which none was taken there is no such file."""
_RUN = "run"  # the note in the weights that names it
_MOST = 2**100  # of a metric that is a whole number
_STATUSES = ("finished", "diverged", "pruned")


def key_of(folder: Path) -> str | None:
    """The key that the files of a run's folder have to name; ``None`` where they are from before there were checksums.

    Raises:
        RecipeError: The folder holds no run.
        Damaged: The file that says so is not as it was written.
    """
    state = _file(folder, STATE)
    key: str = read_json(state)["key"]
    if is_sealed(state):
        read_json(state, key)  # which another run's file is not, and a renamed one
        return key
    cannot_verify(folder)
    return None


def write_state(folder: Path, state: dict[str, str]) -> None:
    """Write down the run's key, and its MLflow id once it has one."""
    write_json(folder / STATE, state, state["key"])


def read_state(folder: Path) -> dict[str, str]:
    """What :func:`write_state` wrote."""
    key_of(folder)
    return read_json(folder / STATE)


def write_values(folder: Path, name: str, values: dict[str, Any]) -> None:
    """Write one of the run's JSON files."""
    write_json(folder / name, values, _owner(folder))


def read_values(folder: Path, name: str) -> dict[str, Any]:
    """What :func:`write_values` wrote.

    Raises:
        RecipeError: The folder has no such file.
        Damaged: It is not as it was written, or another run's.
    """
    return read_json(_file(folder, name), key_of(folder))


def dump_recipe(recipe: Recipe, path: Path) -> None:
    """Write a composed recipe for its reader to change."""
    write_whole(path, written(recipe))


def write_recipe(recipe: Recipe, folder: Path, key: str) -> None:
    """Write the composed recipe of the run of that key, which need not be written down yet."""
    write_yaml(folder / RECIPE, written(recipe), key)


def read_recipe(folder: Path, *, assembled: bool = True) -> Recipe:
    """The recipe of a run.

    Args:
        folder: The run's.
        assembled: Hold it against its task and its model, for which the data have to be there.

    Raises:
        RecipeError: The folder holds no run.
        Damaged: The file is not as it was written, or another run's.
    """
    load_plugins()
    path = _file(folder, RECIPE)
    try:
        content = parse_yaml(read_yaml(path, key_of(folder)), path)
    except Damaged:
        raise
    except RecipeError as error:
        raise Damaged(*error.lines) from None
    if not isinstance(content, dict):
        raise Damaged(f"{path}: holds no recipe")
    read = validate if assembled else declare_recorded
    code = recorded_code(folder)
    try:
        return read(content, path, recorded_code=code)
    except RecipeError as error:  # perhaps as a component of somebody's is not here
        if are_withheld() or not (kept := said_of_kept(folder, code)):
            raise
        raise type(error)(*error.lines[:-1], f"{error.lines[-1]}; {kept}") from None


def recorded_code(folder: Path) -> dict[str, str]:
    """The hashes of imported code that a run has written down; none where it was killed before it had."""
    if not (folder / ENVIRONMENT).is_file():
        return {}
    written: dict[str, str] = read_json(folder / ENVIRONMENT, key_of(folder)).get(CODE, {})
    return written


def seal_checkpoint(partial: Path, checkpoint: Path) -> None:
    """Seal a checkpoint that was written beside, and move it to its place."""
    seal(partial, checkpoint.name, _owner(checkpoint.parent))
    partial.replace(checkpoint)
    sync_folder(checkpoint.parent)


def check_resumable(folder: Path) -> None:
    """Hold what a run goes on from against what was written, before anything else is done.

    Raises:
        RecipeError: The folder holds no run.
        Damaged: A file is not as it was written, or another run's.
    """
    key, checkpoint = key_of(folder), folder / CHECKPOINT
    read_recipe(folder)
    for name in (ENVIRONMENT, DATA):
        if "run_id" in read_json(folder / STATE):  # else it was killed before all of them were written
            read_values(folder, name)
    if key is not None and checkpoint.exists():
        verify(checkpoint, key)


def save_weights(model: LoopedTransformer, folder: Path) -> Path:
    """Write the model of a run that has ended, for ``mythos_blocks.checkpoints.load_model``; returns its file."""
    save(model, folder / WEIGHTS, {_RUN: _owner(folder)})
    return folder / WEIGHTS


def result_values(result: RunResult) -> dict[str, Any]:
    """What ``result.json`` says of a run that has ended; a number that is none is ``null``, as JSON has no other."""
    values = {
        "status": result.status,
        "precision": result.cost.recipe.training.precision,
        "reason": result.reason,
        "run_id": result.run_id,
        "metrics": result.metrics,
        "intervals": result.intervals,
        "findings": {outcome.kind: outcome.finding for outcome in result.outcomes},
        "eval_loops": None if result.curve is None else result.curve.eval_loops,
        "chance": None if result.curve is None else result.curve.task.chance,
        "halting_histogram": result.histogram,
        "depth_curve": None if result.curve is None else result.curve.rows(),
        "ood_depth_curve": None if result.ood is None else result.ood.rows(),
        "slices": {
            name: [
                {"value": v, "accuracy": t.accuracy, "interval": t.accuracy_interval(), "num_scored": t.num_scored}
                for v, t in values.items()
            ]
            for name, values in result.slices.items()
        },
    }
    return dict(plain(values))


def read_result(folder: Path) -> dict[str, Any]:
    """What ``result.json`` says; a metric that is ``null`` there is ``nan`` here.

    Raises:
        RecipeError: The folder has none: the run has not ended.
        Damaged: It is not as it was written, another run's, or says what no run can say.
    """
    path, written = _file(folder, RESULT), read_values(folder, RESULT)
    metrics = written["metrics"]
    if written["status"] not in _STATUSES:
        raise Damaged(f"{path}: status: expected one of {', '.join(_STATUSES)}, found {written['status']!r}"[:300])
    for name, value in metrics.items():
        if value is not None and not (isinstance(value, float) or type(value) is int and abs(value) < _MOST):
            raise Damaged(f"{path}: metrics.{name}: expected a number, found {value!r}"[:300])
        unit = METRICS[name].unit if name in METRICS else ""
        if value is not None and unit == "share" and math.isfinite(value) and not 0 <= value <= 1:
            raise Damaged(f"{path}: metrics.{name}: expected a share from 0 to 1, found {value}")
    return {**written, "metrics": {name: math.nan if value is None else value for name, value in metrics.items()}}


def write_measures(outcomes: Iterable[Outcome], folder: Path) -> None:
    """Write down what measures came to, each with its sentence; what other measures left there is kept.

    Raises:
        Damaged: What is there is not as it was written, or another run's.
    """
    kept = read_values(folder, MEASURES) if (folder / MEASURES).is_file() else {}
    for outcome in outcomes:
        values = [{name: cell for name, cell in row.items() if cell is not None} for row in rows([outcome])]
        kept[outcome.kind] = {"finding": outcome.finding, "values": plain(values)}
    if kept:
        write_values(folder, MEASURES, kept)


def load_run(folder: Path) -> tuple[Recipe, LoopedTransformer, Task]:
    """The recipe, the trained model and the task of a finished run.

    Raises:
        RecipeError: The folder holds no finished run, the weights are not of its recipe's model, or the data or the
            code that the recipe imports has changed since.
        Damaged: A file is not as it was written, or another run's, or the weights are not all numbers.
    """
    for name in (RECIPE, WEIGHTS, RESULT, DATA, ENVIRONMENT):
        _file(folder, name)
    key, recipe = key_of(folder), read_recipe(folder)
    _check_finished(folder)
    task = task_of(recipe)
    hold(folder, recipe, task, key)
    path = folder / WEIGHTS
    if (num := _num_weights(recipe)) > path.stat().st_size:  # before any is made
        raise Damaged(f"{path}: is too small for the recipe's model, which has {num:,} parameters")
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    with _naming(path):
        if key is None:
            load_into(model, path)  # whether or not the file has the declaration, which older ones have not
        else:
            written = load(path)
            _check_run(path, written, key)
            copy_into(model, written.tensors)
    _check_finite(model, path)
    return recipe, model, task


def read_weights(folder: Path) -> Checkpoint:
    """The weights of a finished run, as its file has them.

    Raises:
        RecipeError: The folder holds no finished run.
        Damaged: The file is not as it was written, or another run's.
    """
    path, key = _file(folder, WEIGHTS), key_of(folder)
    _check_finished(folder)
    with _naming(path):
        written = load(path)
    if key is not None:
        _check_run(path, written, key)
    return written


def load_weights(folder: Path, recipe: Recipe) -> LoopedTransformer:
    """The trained model of a finished run, by its weights alone: neither the task nor its data have to be there.

    Raises:
        RecipeError: The folder holds no finished run, or its weights say nothing of themselves.
        Damaged: The weights are not as they were written, another run's, another model's, or not all numbers.
    """
    path, written = folder / WEIGHTS, read_weights(folder)
    with _naming(path):
        model = written.model()
    if written.spec != recipe.model_spec():
        raise Damaged(f"{path}: holds another model than {RECIPE} declares")
    _check_finite(model, path)
    return model


def _check_finished(folder: Path) -> None:
    if (status := read_result(folder)["status"]) != "finished":
        raise RecipeError(f"{folder}: the run is {status}; only a finished one has weights that mean something")


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """The span in which what is wrong with weights is said of their file."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        raise Damaged(said if said.startswith(str(path)) else f"{path}: {said}") from error


def _check_run(path: Path, written: Checkpoint, key: str) -> None:
    if (of := written.notes.get(_RUN, "unknown")) != key:
        raise Damaged(f"{path}: belongs to run {of[:8]}, and this folder to run {key[:8]}")


def _check_finite(model: LoopedTransformer, path: Path) -> None:
    if odd := [name for name, tensor in model.state_dict().items() if not _is_finite(tensor)]:
        raise Damaged(f"{path}: {odd[0]!r} holds values that are no numbers")


def _num_weights(recipe: Recipe) -> int:
    return sum(parameter.numel() for parameter in build_on_meta(recipe)[0].parameters())


def _is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _owner(folder: Path) -> str:
    """The key that a file of the folder is to name."""
    return str(read_json(folder / STATE)["key"])


def _file(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        of = "a run" if name == STATE else "a finished run"
        raise RecipeError(f"{folder}: not the folder of {of}: it has no {name}")
    return folder / name
