"""Trials as Ray tasks: Ray finds each one a place among a cluster's CPUs and GPUs."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import TrialState

from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.recipe.outputs import open_log
from mythos_lab.recipe.screen import say
from mythos_lab.recipe.urls import in_text
from mythos_lab.search.attributes import WORKER
from mythos_lab.search.engines.base import Engine, Job
from mythos_lab.search.engines.carrying import CARRIED
from mythos_lab.search.engines.ray_session import check_carried, check_fits, connect, read_resources
from mythos_lab.search.engines.remote import Assignment, Channel, Needs, Unshared, give
from mythos_lab.search.opening import join_study
from mythos_lab.search.spaces.space import ARTIFACTS_VARIABLE, STORAGE_VARIABLE, Space
from mythos_lab.search.trial_queue import hand_back
from mythos_lab.search.worker import run_one
from mythos_lab.tracking.process import identity

_PATIENCE_SECONDS = 60.0  # for a trial to save its checkpoint
_PENDING_SECONDS = 30.0  # for which a trial may wait for a place before that is said
_NODE = "ray.io/node-id"  # the label by which Ray knows a machine
_PASSED_ON = ("MLFLOW_", "MYTHOS_")  # variables by which runs find where they are logged


class Ray(Engine):
    """One Ray task a trial; the coordinator keeps as many in flight as there may be workers.

    Args:
        job: What to work off.
        ray_address: The cluster; that of ``RAY_ADDRESS`` without, or a Ray of its own on this machine.
        cpus_per_trial: CPUs that a trial reserves, and threads that it uses where the recipe names no number; without,
            the recipe's threads for each of its devices, or one.
        gpus_per_trial: GPUs that a trial reserves; without, the recipe's devices where it asks for GPUs, or may take
            them and the cluster has some.
        resources: What else a trial reserves, of what the cluster's machines declare: JSON, amounts by name.
        carry: Whether Ray brings the working directory to its machines, which then need to share none; runs go to the
            study's place for artifacts.

    Raises:
        RecipeError: No cluster answers at the address, or this machine has less than a trial needs.

    Attributes:
        left_out: Machines that do not see the study's folder, by Ray's number of them: what they said.
    """

    def __init__(
        self,
        job: Job,
        *,
        ray_address: str | None = None,
        cpus_per_trial: float | None = None,
        gpus_per_trial: float | None = None,
        resources: str | None = None,
        carry: bool = False,
    ) -> None:
        super().__init__(job)
        self.resources = read_resources(resources or "{}")
        if carry:
            check_carried(job.space)
        self._started = connect(ray_address, job.space if carry else None)
        needs = Needs.of(job.space)
        gpus = 0 if needs.if_any and not ray.cluster_resources().get("GPU", 0) else needs.gpus
        self.cpus = needs.cpus if cpus_per_trial is None else cpus_per_trial
        self.gpus = gpus if gpus_per_trial is None else gpus_per_trial
        if self._started:
            check_fits(self._wanted())
        self.assignment = Assignment.of(job, is_carried=carry)
        self.left_out: dict[str, str] = {}
        self.tasks: dict[ray.ObjectRefGenerator, _Task] = {}
        self._said = ""

    def tend(self) -> None:
        self._collect()
        taken = {task.slot for task in self.tasks.values()}
        free = [slot for slot in range(self.job.num_workers) if slot not in taken]
        for slot in free[: self.num_vacancies(len(self.tasks))]:
            self._submit(slot)
        self._say_what_is_waited_for()

    def _say_what_is_waited_for(self) -> None:
        """Say what keeps trials from beginning, once until it is something else: a place that does not exist, or time.

        A machine that has it may still join the cluster, so nothing is refused.
        """
        waiting = [task.since for task in self.tasks.values() if task.worker is None]
        said = self._missing() if waiting else ""
        if not said and waiting and time.monotonic() - min(waiting) > _PENDING_SECONDS:
            free, wanted = ray.available_resources(), self._wanted()
            shown = ", ".join(f"{free.get(kind, 0):g} of {num:g} {kind}" for kind, num in wanted.items())
            said = f"trials wait for a place in the cluster; free of what one needs: {shown}"
        if said and said != self._said:
            say(f"ray: {said}", file=sys.stderr)
        self._said = said

    def _wanted(self) -> dict[str, float]:
        wanted = {"CPU": self.cpus, "GPU": self.gpus, **self.resources}
        return {kind: num for kind, num in wanted.items() if num}

    def _missing(self) -> str:
        """What a trial needs and no machine of the cluster has; nothing where one has all of it."""
        machines, wanted = [node["Resources"] for node in self._nodes()], self._wanted()
        if any(all(machine.get(kind, 0) >= num for kind, num in wanted.items()) for machine in machines):
            return ""
        most = {kind: max((machine.get(kind, 0) for machine in machines), default=0) for kind in wanted}
        shown = ", ".join(f"{num:g} {kind} (the most that one has is {most[kind]:g})" for kind, num in wanted.items())
        return f"a trial needs {shown}, and no machine of the cluster has all of that; trials wait until one joins"

    def _nodes(self) -> list[dict[str, Any]]:
        """The cluster's machines, as Ray describes them, without those that are left out."""
        return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self.left_out]

    def is_idle(self) -> bool:
        self._collect()
        return not self.tasks

    def finish(self) -> None:
        give(self.job, self.assignment, "finish")
        self._recall()

    def abandon(self) -> None:
        give(self.job, self.assignment, "stop")
        self._recall()
        if self.tasks:
            ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=_PATIENCE_SECONDS)
        self._collect()
        for reference, task in self.tasks.items():
            ray.cancel(reference, force=True)
            self._retry(task.worker)

    def close(self) -> None:
        if self._started:
            ray.shutdown()

    def _submit(self, slot: int) -> None:
        # The URL and whatever else may be secret travel as arguments: Ray writes a runtime environment into its logs.
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        passed_on.pop(STORAGE_VARIABLE, None)
        if self.job.space.artifacts is not None:
            passed_on[ARTIFACTS_VARIABLE] = self.job.space.artifacts
        task = _run.options(
            name=self.job.space.file.name,  # by which Ray's dashboard lists it
            num_cpus=self.cpus,
            num_gpus=self.gpus,
            resources=self.resources,
            label_selector={_NODE: f"!in({','.join(self.left_out)})"} if self.left_out else None,
        )
        reference = task.remote(self.assignment, self.job.space.storage, passed_on, slot, max(1, int(self.cpus)))
        self.tasks[reference] = _Task(slot)

    def _recall(self) -> None:
        """Take back the tasks that wait for a place."""
        self._collect()
        for reference, task in list(self.tasks.items()):
            if task.worker is None:
                ray.cancel(reference)

    def _collect(self) -> None:
        """Hear which tasks have begun and which have ended, and how."""
        while self.tasks:
            ready, _ = ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=0)
            if not ready:
                return
            for reference in ready:
                self._hear(reference)

    def _hear(self, reference: ray.ObjectRefGenerator) -> None:
        task = self.tasks[reference]
        try:
            task.worker, task.node = ray.get(next(reference))
        except StopIteration:
            del self.tasks[reference]
        except ray.exceptions.TaskCancelledError:
            del self.tasks[reference]
        except ray.exceptions.RayTaskError as error:
            del self.tasks[reference]
            if isinstance(error.cause, Unshared):
                self._leave_out(task.node, error.cause)
                return
            if isinstance(error.cause, Misplaced):
                raise RecipeError(*error.cause.lines) from None
            self._log(str(error))
        except ray.exceptions.RayError as error:  # the process, or its whole machine
            del self.tasks[reference]
            self._retry(task.worker)
            self._log(str(error))

    def _leave_out(self, node: str, error: Unshared) -> None:
        """Place no further trial on a machine that does not see the study's folder; end where none does."""
        if node in self.left_out:
            return
        self.left_out[node] = error.lines[0]
        if not self._nodes():
            raise RecipeError(*self.left_out.values()) from None
        say(f"ray: a machine is left out: {error.lines[0]}", file=sys.stderr)

    def _retry(self, worker: str | None) -> None:
        """Hand back the trial of a worker that Ray has seen die, without waiting for its signs of life to stop."""
        if worker is None:
            return  # it had not begun
        for trial in self.job.study.get_trials(deepcopy=False):
            if trial.state is TrialState.RUNNING and trial.user_attrs.get(WORKER) == worker:
                hand_back(self.job.study, trial, f"worker {worker} is gone")

    def _log(self, error: str) -> None:
        log = self.job.space.folder / "ray.log"
        with open_log(log) as file:
            file.write(f"{in_text(error.rstrip())}\n".encode())
        self.count_death(f"{log} says why")


@dataclass
class _Task:
    """A task in flight.

    Attributes:
        slot: Which of the study's workers it stands for.
        worker: The process that it runs in; ``None`` until it does.
        node: The machine that it runs on, by Ray's number; empty until it does.
        since: When it was submitted, by the clock of this process.
    """

    slot: int
    worker: str | None = None
    node: str = ""
    since: float = field(default_factory=time.monotonic)


# A retry of Ray's own would double ours, and know nothing of the trial's parameters and checkpoint.
@ray.remote(max_retries=0, num_returns="streaming")
def _run(
    assignment: Assignment, storage: str | None, environment: dict[str, str], slot: int, num_threads: int
) -> Iterator[tuple[str, str]]:
    """One trial: says in which process and on which machine it is, and then runs it."""
    if assignment.is_carried:
        assignment = assignment.at(_copy())
    yield identity(), ray.get_runtime_context().get_node_id()
    os.environ.update(environment)
    space, study = _study(assignment, storage, slot)
    import torch

    torch.set_num_threads(num_threads)
    with Channel(study, assignment.channel, space.file.heartbeat) as orders:
        if not orders.finish:
            run_one(space, study, assignment.num_trials, lambda: orders.stop)


@functools.cache
def _copy() -> Path:
    """The copy of the working directory that Ray has brought: beside it a process of Ray's begins."""
    return Path.cwd() / CARRIED


@functools.lru_cache(maxsize=64)
def _study(assignment: Assignment, storage: str | None, slot: int) -> tuple[Space, optuna.Study]:
    """The study, opened once for all the tasks that a process runs in a slot."""
    space = assignment.enter(storage)
    return space, join_study(space, assignment.num_trials, slot)
