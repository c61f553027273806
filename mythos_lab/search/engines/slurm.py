"""Workers as elements of a SLURM job array, submitted through submitit."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import traceback
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import submitit
from submitit import helpers
from submitit.core.utils import FailedJobError, FailedSubmissionError

from mythos_lab.children import environment
from mythos_lab.recipe.errors import Misplaced, RecipeError
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.screen import say
from mythos_lab.recipe.urls import in_text
from mythos_lab.search.engines import early_warning
from mythos_lab.search.engines.base import Engine, Job
from mythos_lab.search.engines.early_warning import keeping
from mythos_lab.search.engines.remote import Assignment, Channel, Needs, give
from mythos_lab.search.engines.slurm_settings import CLUSTER, FREE, read_settings
from mythos_lab.search.opening import join_study
from mythos_lab.search.spaces.space import ARTIFACTS_VARIABLE, STORAGE_VARIABLE
from mythos_lab.search.worker import Orders, work
from mythos_lab.training.stopping import Handler, heeding

_WARNING = int(getattr(signal, f"SIG{submitit.JobEnvironment.USR_SIG}"))
_PATIENCE_SECONDS = 60.0  # for a worker to save its checkpoint
_RECALL_SECONDS = 30.0
_TIMEOUT_MINUTES = 60  # of an element that the user sets no limit; it is queued again, and goes on
_REQUEUES = 1_000_000  # it is the study that ends, whatever the time limit of its elements


class Slurm(Engine):
    """An array of workers; those that end while trials are left are replaced by another array.

    An element that runs into its time limit, or is preempted, saves a checkpoint, hands its trial back and is queued
    again; one that is cancelled, or that SLURM does not queue again, says so and ends with 143. Elements outlive the
    coordinator: what it has submitted works the study off without it.

    Args:
        job: What to work off.
        slurm: ``key=value`` of submitit's ``AutoExecutor``, whose ``slurm_`` prefix may be left out;
            ``cluster=local`` runs the array on this machine, without SLURM.
    """

    def __init__(self, job: Job, *, slurm: Sequence[str] = ()) -> None:
        super().__init__(job)
        needs = Needs.of(job.space)
        settings = read_settings(slurm)
        cluster = settings.pop(CLUSTER, "slurm")
        declared = {
            "name": f"mythos-{job.space.file.name}",
            "timeout_min": _TIMEOUT_MINUTES,
            "cpus_per_task": needs.cpus,
            **({"gpus_per_node": needs.gpus} if needs.gpus and not needs.if_any else {}),
        }
        limits = {f"{cluster}_max_num_timeout": _REQUEUES}
        # submitit tells an element what to run by a pickle: in a folder that is new, and nobody else's to write in.
        self.folder = _new_folder(job.space.folder)
        python = {f"{cluster}_python": keeping(sys.executable, _WARNING)}
        self.executor = submitit.AutoExecutor(self.folder, cluster=cluster, **limits, **python)
        free = {"requeue": True, **settings.pop(f"slurm_{FREE}", {})}
        self.executor.update_parameters(**{**declared, **settings, f"slurm_{FREE}": free})
        self.assignment = Assignment.of(job)
        self.jobs: dict[int, submitit.Job[None]] = {}
        self.outcomes: dict[int, Path] = {}
        self._recalled = -math.inf

    @classmethod
    def check(cls, **options: Any) -> None:
        if read_settings(options.get("slurm", ())).get(CLUSTER) != "local" and shutil.which("sbatch") is None:
            raise RecipeError("--engine slurm: there is no sbatch here; start it on a machine that submits jobs")

    def tend(self) -> None:
        self._collect()
        free = [index for index in range(self.job.num_workers) if index not in self.jobs]
        indices = free[: self.num_vacancies(len(self.jobs))]
        if not indices:
            return
        self.outcomes |= {index: self.folder / f"outcome-{index}-{uuid.uuid4().hex[:8]}.json" for index in indices}
        elements = [Element(self.assignment, index, self.outcomes[index]) for index in indices]
        space = self.job.space
        named = {STORAGE_VARIABLE: space.storage, ARTIFACTS_VARIABLE: space.artifacts}
        # The environment is what SLURM passes on without writing it beside the job. Where the study runs inside a job,
        # that one's place is not the new one's.
        passed_on = helpers.environment_variables(**environment({n: value for n, value in named.items() if value}))
        try:
            with helpers.clean_env(), passed_on:
                jobs = self.executor.submit_array(elements)
        except (FailedJobError, FailedSubmissionError) as error:
            raise RecipeError(f"--engine slurm: {_last_line(str(error))}") from None
        self.jobs |= dict(zip(indices, jobs, strict=True))

    def is_idle(self) -> bool:
        self._collect()
        return not self.jobs

    def finish(self) -> None:
        give(self.job, self.assignment, "finish")
        self._recall()

    def abandon(self) -> None:
        give(self.job, self.assignment, "stop")
        self._recalled = -math.inf
        self._recall()
        patient_until = time.monotonic() + _PATIENCE_SECONDS
        while any(not job.done() for job in self.jobs.values()) and time.monotonic() < patient_until:
            time.sleep(0.2)
        for job in self.jobs.values():
            if not job.done():
                job.cancel(check=False)

    def _recall(self) -> None:
        """Take back the elements that wait in the queue. Asks SLURM, which is not to be done every second."""
        if not self.jobs or time.monotonic() < self._recalled + _RECALL_SECONDS:
            return
        self._recalled = time.monotonic()
        next(iter(self.jobs.values())).get_info()  # of all of them
        for index, job in list(self.jobs.items()):
            if job.state.upper() in ("PENDING", "REQUEUED"):
                job.cancel(check=False)
                del self.jobs[index]

    def _collect(self) -> None:
        """Hear which elements have ended, and how."""
        for index, job in list(self.jobs.items()):
            if not job.done():
                continue
            del self.jobs[index]
            if (outcome := _read(self.outcomes.pop(index))) is None:
                self.count_death(f"{job.paths.stderr} says why")
            elif (mistake := outcome.get("mistake")) is not None:
                raise RecipeError(str(mistake))


class Element:
    """What an element of the array runs: one worker.

    Args:
        assignment: What it is told of the job. The storage's URL comes with the environment, which SLURM passes on.
        index: Which of the study's workers it is.
        outcome: The file that says how it ended: well, or why this machine cannot, where it is not where the study is.
            There is none of one that failed. It is read in place of submitit's own, which is a pickle.
    """

    def __init__(self, assignment: Assignment, index: int, outcome: Path) -> None:
        self.assignment, self.index, self.outcome = assignment, index, outcome

    def __call__(self) -> None:
        """Work."""
        leave = _Leave()
        mistake = self._work(leave)
        write_whole(self.outcome, json.dumps({"mistake": mistake}))
        if leave.ended:
            said = f"ended by SIGTERM: its trial is laid down at a checkpoint, and waits; mythos study {self._named}"
            say(f"{said} goes on with it, and so does mythos worker {self._named}", file=sys.stderr)
            sys.exit(128 + signal.SIGTERM)

    @property
    def _named(self) -> str:
        return shlex.quote(str(self.assignment.source))

    def _work(self, leave: _Leave) -> str | None:
        early_warning.heed(_WARNING)  # before there is a trial, submitit alone knows what to do
        try:
            space = self.assignment.enter(os.environ.get(STORAGE_VARIABLE))
            study = join_study(space, self.assignment.num_trials, self.index)
            with Channel(study, self.assignment.channel, space.file.heartbeat) as orders:
                with heeding(leave.handlers(orders)) as give_back:
                    work(space, self.assignment.num_trials, self.index, orders, study=study)
                    requeue = give_back()[_WARNING]
        except Misplaced as misplaced:
            return str(misplaced)
        except Exception:  # of which submitit would log the text as it is
            raise RuntimeError(in_text(traceback.format_exc())) from None
        if leave.warned or (leave.ended and _is_preempted()):
            assert callable(requeue), "submitit has set a handler"
            try:
                requeue(_WARNING, None)  # which does not return
            except (OSError, subprocess.SubprocessError) as error:
                leave.ended = True
                say(f"SLURM does not queue this element again: {in_text(str(error))}", file=sys.stderr)
        return None

    def checkpoint(self) -> helpers.DelayedSubmission:
        """What submitit queues again: the same worker, as the study holds all that it did."""
        return helpers.DelayedSubmission(self)


class _Leave:
    """What signals of SLURM do: the trial is handed back first, and submitit queues the element again after that.

    submitit itself would do so at once, in its signal handler, with the trial still on the stack. SIGTERM comes with
    ``scancel``, after which nothing is to go on, and with a preemption, after which all is.

    Attributes:
        warned: Whether the warning came, at the end of the time limit or before a preemption.
        ended: Whether SIGTERM came.
    """

    def __init__(self) -> None:
        self.warned = self.ended = False

    def handlers(self, orders: Orders) -> dict[int, Handler]:
        """By signal.

        Args:
            orders: What the worker is told by them.
        """

        def warned(number: int) -> None:
            self.warned = True
            orders.to_stop(number)

        def ended(number: int) -> None:
            self.ended = True
            orders.to_stop(number)

        return {_WARNING: warned, signal.SIGTERM: ended, signal.SIGINT: signal.Handlers.SIG_IGN}


def _is_preempted() -> bool:
    """Whether SLURM takes this job's machine for another one, and has not been asked to cancel it."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    try:
        asked = ["scontrol", "show", "job", job]
        shown = subprocess.run(asked, env=environment(), capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.search(r"\bPreemptTime=(\S+)", shown)
    return found is not None and found[1] not in ("None", "N/A", "Unknown")


def _new_folder(study: Path) -> Path:
    """``slurm`` in the study's folder, or another where there is one."""
    study.mkdir(parents=True, exist_ok=True)
    for name in ("slurm", f"slurm-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"):
        with suppress(FileExistsError):
            (study / name).mkdir(mode=0o700)
            return study / name
    raise AssertionError("no two are named alike")


def _read(outcome: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(outcome.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "sbatch failed"
