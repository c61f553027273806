"""The checkpoint of a training: everything with which it goes on to the same bits."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mythos_lab.recipe.errors import Misplaced, from_validation
from mythos_lab.recipe.outputs import clear
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner
from mythos_lab.training.fabric_alone import Fabric
from mythos_lab.training.result import seal_checkpoint
from mythos_lab.training.state import Training

_FORMAT = 2  # 1 was what Lightning's Trainer writes


class _Seen(BaseModel):
    """What a training has noted of itself."""

    model_config = ConfigDict(strict=True, extra="ignore")
    metrics: dict[str, float]
    unsent: list[tuple[int, float, dict[str, float]]]
    num_steps: Annotated[int, Field(ge=0, lt=2**53)]
    is_solved: bool = False


_SEEN = tuple(_Seen.model_fields)
_AVERAGE = "average"


def save_checkpoint(fabric: Fabric, path: Path, training: Training, learner: Learner) -> None:
    """Save it: written beside and moved, so that a kill leaves the last whole one; all ranks call it."""
    partial = path.with_suffix(".partial")
    if training.rank.index == 0:
        clear(partial)  # a link would be followed
    average = {} if learner.average is None else {_AVERAGE: learner.average.state_dict()}
    seen = {name: getattr(training, name) for name in _SEEN}
    fabric.save(partial, {"format": _FORMAT, **_parts(learner), **average, **seen})
    if training.rank.index == 0:
        seal_checkpoint(partial, path)


def load_checkpoint(fabric: Fabric, path: Path, training: Training, learner: Learner) -> None:
    """Go on from it; all ranks call it.

    Raises:
        Misplaced: It is no checkpoint of this version.
    """
    seen = _Seen.model_validate(_read(path, mmap=True))
    state: dict[str, Any] = _parts(learner) | ({} if learner.average is None else {_AVERAGE: None})
    with _fitting(path):
        fabric.load(path, state, weights_only=True)
        if learner.average is not None:
            learner.average.load_state_dict(state[_AVERAGE])
    _note(training, seen)


def go_on_from(fabric: Fabric, path: Path, training: Training, learner: Learner) -> None:
    """Go on where another training ended, with the rates that this one's recipe declares; all ranks call it.

    Raises:
        Misplaced: It is no checkpoint of this version, or of another model or optimiser.
    """
    schedule: Any = learner.schedule
    declared = [{name: value for name, value in group.items() if name != "params"} for group in _groups(learner)]
    peaks = list(schedule.base_lrs)
    load_checkpoint(fabric, path, training, learner)
    training.unsent, training.metrics, training.is_solved = [], {}, False
    schedule.base_lrs = peaks
    for group, said, peak, share in zip(_groups(learner), declared, peaks, schedule.lr_lambdas, strict=True):
        group.update({**said, "lr": peak * share(training.num_steps)})


def load_trained(path: Path, training: Training) -> None:
    """The weights and the record of a training that was at its last step, without an optimiser to go on with."""
    state = _read(path)
    with _fitting(path):
        weights = {name.removeprefix("model."): tensor for name, tensor in state["loss"].items()}
        training.whole.load_state_dict(weights)
        if training.recipe.training.ema is not None:
            with torch.no_grad():
                for name, parameter in training.whole.named_parameters():
                    parameter.copy_(state[_AVERAGE]["weights"][name])
    _note(training, _Seen.model_validate(state))


def is_over(path: Path, recipe: Recipe) -> bool:
    """Whether a checkpoint is of the end of its training: the last step, or that after which the task was solved.

    Raises:
        Misplaced: It is no checkpoint of this version.
    """
    seen = _Seen.model_validate(_read(path, mmap=True))
    return seen.is_solved or seen.num_steps >= recipe.training.max_steps


def num_steps_of(path: Path) -> int:
    """Steps that a checkpoint covers.

    Raises:
        Misplaced: It is no checkpoint of this version.
    """
    return int(_read(path, mmap=True)["num_steps"])


def _read(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """What a checkpoint holds; its tensors are held to the model where they are loaded into it."""
    check_archive(path)
    try:
        state = torch.load(path, weights_only=True, mmap=mmap)
    except OSError:
        raise
    except Exception as error:  # of many types, some of which only a module that unpickles has
        raise Misplaced(f"{path}: is no checkpoint: {_in_short(error)}") from None
    if not isinstance(state, dict):
        raise Misplaced(f"{path}: is no checkpoint: it holds a {type(state).__name__}")
    if state.get("format") != _FORMAT:
        raise Misplaced(
            f"{path}: a checkpoint of another version of mythos-lab, which this one cannot go on from; "
            "go on with that version, or train again in another folder"
        )
    try:
        _Seen.model_validate(state)
    except ValidationError as error:
        raise Misplaced(from_validation(path, error).lines[0]) from None
    return state


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """Say in a line that a checkpoint's tensors are not those of the run's model and optimiser."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise Misplaced(f"{path}: is no checkpoint of this run's model: {_in_short(error)}") from None


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def check_archive(path: Path) -> None:
    """Refuse a checkpoint whose parts would take more memory than the file has bytes, before any is read.

    Raises:
        Misplaced: It is compressed, as torch writes none, or no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Misplaced(f"{path}: is no checkpoint: {error}") from None
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise Misplaced(f"{path}: is compressed, as no checkpoint is; train again in another folder")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise Misplaced(f"{path}: says that its parts are larger than itself; train again in another folder")


def _note(training: Training, seen: _Seen) -> None:
    for name in _SEEN:
        setattr(training, name, getattr(seen, name))


def _groups(learner: Learner) -> list[dict[str, Any]]:
    return learner.optimizer.param_groups


def _parts(learner: Learner) -> dict[str, Any]:
    return {"loss": learner.loss, "optimizer": learner.optimizer, "schedule": learner.schedule}
