"""Workers somewhere in a cluster: what they are told, and how they hear of more. They share a disk and the storage."""

from __future__ import annotations

import os
import uuid
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import optuna

from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.urls import without_password
from mythos_lab.search.engines.base import Job
from mythos_lab.search.repeating import Repeating
from mythos_lab.search.spaces.space import Space, load_space
from mythos_lab.search.worker import Orders

_LONGEST_POLL_SECONDS = 2.0


class Unshared(Misplaced):
    """A machine does not see what those that work on a study share; others may."""


Order = Literal["finish", "stop"]


@dataclass(frozen=True)
class Assignment:
    """What a worker is told of a job. It travels through files, and so holds no password.

    Attributes:
        source: The search space's file.
        folder: The study's folder.
        directory: The working directory, from which relative paths of recipes, tasks and stores count.
        num_trials: Trials in all.
        storage: Optuna's storage, without its password.
        channel: Study attribute through which orders come.
        is_carried: Whether a copy of the working directory is brought to the workers, which share no folder.
    """

    source: Path
    folder: Path
    directory: Path
    num_trials: int
    storage: str | None
    channel: str = field(default_factory=lambda: f"orders:{uuid.uuid4().hex[:8]}")
    is_carried: bool = False

    @classmethod
    def of(cls, job: Job, *, is_carried: bool = False) -> Assignment:
        """What the workers of a job are told; makes the study's folder, in which they meet."""
        space = job.space
        space.folder.mkdir(parents=True, exist_ok=True)
        source = Path(space.source).absolute()
        shown = _shown(space.storage)
        return cls(source, space.folder, Path.cwd(), job.num_trials, shown, is_carried=is_carried)

    def at(self, copy: Path) -> Assignment:
        """The same for a worker with a copy of the working directory, which has a folder of the study of its own."""

        def moved(path: Path) -> Path:
            return copy / path.relative_to(self.directory) if path.is_relative_to(self.directory) else path

        return replace(self, source=moved(self.source), folder=copy / "studies" / self.folder.name, directory=copy)

    def enter(self, storage: str | None) -> Space:
        """The search space, in the worker's process, which is at the coordinator's place from now on.

        Args:
            storage: Optuna's storage URL, as it reached this process.

        Raises:
            Unshared: This machine does not see the study's files.
            Misplaced: It does not see the study's storage.
        """
        warnings.filterwarnings("ignore")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        machine = os.uname().nodename
        if self.is_carried:
            self.folder.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, self.source, self.folder):
            if not path.exists():
                raise Unshared(f"{path}: not on {machine}; a cluster's machines have to share the study's disk")
        os.chdir(self.directory)
        space = load_space(str(self.source), self.folder, storage)
        if _shown(space.storage) != self.storage:
            raise Misplaced(
                f"storage {self.storage or 'in the study folder'}: {machine} was given "
                f"{_shown(space.storage) or 'none'}; does the cluster pass the environment on?"
            )
        return space


@dataclass(frozen=True)
class Needs:
    """What a trial needs of a machine.

    Attributes:
        cpus: Processor cores.
        gpus: GPUs.
        if_any: Whether the recipe does without GPUs where there are none.
    """

    cpus: int
    gpus: int
    if_any: bool

    @classmethod
    def of(cls, space: Space) -> Needs:
        """What the recipe that varies declares: threads for each device, and devices."""
        training = validate(dict(space.base), space.source).training
        gpus = training.num_devices if training.accelerator in ("gpu", "auto") else 0
        return cls((training.num_threads or 1) * training.num_devices, gpus, training.accelerator == "auto")


class Channel(Orders):
    """Orders to a worker that no signal of the coordinator reaches, read from the study while a ``with`` block runs.

    Args:
        study: The study, as the worker sees it.
        name: The attribute that holds them.
        heartbeat: Seconds between the worker's signs of life; orders are read as often, or every two seconds.
    """

    def __init__(self, study: optuna.Study, name: str, heartbeat: float) -> None:
        super().__init__()
        self._study, self._name = study, name
        self._listening = Repeating("listening for orders", min(heartbeat, _LONGEST_POLL_SECONDS), self._listen)

    def read(self) -> None:
        """Take note of what has been ordered so far."""
        order = self._study._storage.get_study_user_attrs(self._study._study_id).get(self._name)
        self.finish |= order is not None
        self.stop |= order == "stop"

    def _listen(self) -> bool:
        self.read()
        return True

    def __enter__(self) -> Channel:
        self.read()
        self._listening.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.__exit__(*error)


def give(job: Job, assignment: Assignment, order: Order) -> None:
    """Give an order to all workers of a job: to end with the trial in hand, or to lay it down."""
    if job.study.user_attrs.get(assignment.channel) not in (order, "stop"):
        job.study.set_user_attr(assignment.channel, order)


def _shown(storage: str | None) -> str | None:
    return without_password(storage) if storage else None
