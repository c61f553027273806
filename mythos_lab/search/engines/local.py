"""Workers as processes on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from mythos_lab.children import environment, python_module
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.outputs import open_log
from mythos_lab.search.engines.base import Engine, Job
from mythos_lab.search.spaces.space import ARTIFACTS_VARIABLE, STORAGE_VARIABLE
from mythos_lab.search.worker import MISPLACED

_PATIENCE_SECONDS = 60.0  # for a worker to save its checkpoint


class Local(Engine):
    """One process a worker; one that dies is replaced."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.workers: dict[int, subprocess.Popen[bytes]] = {}

    def tend(self) -> None:
        for index, worker in list(self.workers.items()):
            if worker.poll() is not None:
                del self.workers[index]
                if worker.returncode == MISPLACED:
                    raise Misplaced(self._log(index).read_text(encoding="utf-8").splitlines()[-1])
                if worker.returncode != 0:
                    self.count_death(f"{self._log(index)} says why")
        free = [index for index in range(self.job.num_workers) if index not in self.workers]
        for index in free[: self.num_vacancies(len(self.workers))]:
            self.workers[index] = self._start(index)

    def is_idle(self) -> bool:
        return all(worker.poll() is not None for worker in self.workers.values())

    def finish(self) -> None:
        self._signal(signal.SIGUSR1)

    def abandon(self) -> None:
        self._signal(signal.SIGTERM)
        for worker in self.workers.values():
            try:
                worker.wait(_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()

    def _signal(self, signum: int) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.send_signal(signum)

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        # Two spinning thread pools on the same cores are five to ten times slower than one.
        threads = str(max(1, _num_cpus() // self.job.num_workers))
        more = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads), "OMP_WAIT_POLICY": "PASSIVE"}
        space = self.job.space
        if space.storage is not None:  # not among the arguments, which every user of the machine can list
            more[STORAGE_VARIABLE] = space.storage
        if space.artifacts is not None:
            more[ARTIFACTS_VARIABLE] = space.artifacts
        arguments = [str(space.source), str(space.folder), str(self.job.num_trials), str(index), str(os.getpid())]
        with open_log(self._log(index)) as log:
            command = python_module("mythos_lab.search.worker", *arguments)
            return subprocess.Popen(command, env=environment(more), stdout=log, stderr=log)

    def _log(self, index: int) -> Path:
        return self.job.space.folder / f"worker-{index}.log"


def _num_cpus() -> int:
    """Cores that this process may use: fewer than there are, in a container or under a batch system."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
