"""The traffic of many workers on one proxy and one PostgreSQL, which are all ended and begun again in the middle.

    python -m benchmarks.thousand_clients                                          # 1,000 clients, 2,000 trials
    python -m benchmarks.thousand_clients --clients 20 --trials 60 --seconds 1     # whether it runs

Each client is a thread with a channel to the proxy, a watch and signs of life of its own, which does what a worker does
beside training: it looks for lost trials, takes one, draws four values at random, and says how it ended. Training is
replaced by sleep. When half of the trials are settled, every client drops what it has without a word, the database
crashes, the proxy is killed, and all begin anew; the trials that were dropped are taken over once their signs of life
have been missing. At the end the database is asked whether each trial that was wanted has ended, and once.

A worker on a machine of its own reads what the proxy tells it. Here all clients are one process, so a trial that the
proxy tells a thousand of them is read once, and held once in memory: what is measured of the clients is what they ask
for, and not what they pay. A client that fails ends the simulation.

Prints how far it is, and what it took: seconds of the clock, and of processors, that the proxy, PostgreSQL and all
clients together were busy with, the starts of the proxy apart.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
import psutil
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.storages._grpc.auto_generated import api_pb2
from optuna.trial import FrozenTrial, TrialState

from mythos_lab.children import environment, python_module
from mythos_lab.recipe.errors import Unreachable
from mythos_lab.search import grpc_looks, trial_queue
from mythos_lab.search.attributes import RETRY_OF
from mythos_lab.search.grpc_looks import from_message
from mythos_lab.search.heartbeat import Heartbeat, Watch
from mythos_lab.search.storage import open_storage
from mythos_lab.search.stored import Reader
from mythos_lab.search.trial_queue import settle, take
from mythos_lab.search.trial_states import is_settled, is_surplus, place_of
from mythos_lab.search.wanted import num_settled
from tests.lab.search.postgres import cluster

NAME = "simulated"
SPACE: dict[str, BaseDistribution] = {
    "model.core.depth": IntDistribution(1, 4),
    "model.core.injection": CategoricalDistribution(["none", "add", "lti", "gate"]),
    "training.optimizer.lr": FloatDistribution(1e-4, 1e-2, log=True),
    "seed": IntDistribution(0, 2**31 - 1),
}


@dataclass
class Clients:
    """Threads that stand for workers on machines of their own.

    Attributes:
        url: The storage that they reach.
        num: How many.
        num_trials: Trials in all.
        seconds: What a trial takes.
        heartbeat: Seconds between signs of life.
    """

    url: str
    num: int
    num_trials: int
    seconds: float
    heartbeat: float
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _failures: list[BaseException] = field(default_factory=list)

    def start(self, generation: int) -> None:
        """Begin anew, under names that no client had before."""
        self._over.clear()
        self._threads = [
            threading.Thread(target=self._live, args=(f"simulated-{generation}-{i}:1:0",), daemon=True)
            for i in range(self.num)
        ]
        for thread in self._threads:
            thread.start()

    def drop(self) -> None:
        """Have all end without a word."""
        self._over.set()
        self.join()

    def join(self) -> None:
        """Wait until all have ended."""
        while self.are_there():
            time.sleep(0.05)

    def are_there(self) -> bool:
        """Whether any has not ended.

        Raises:
            BaseException: What one of them failed with.
        """
        if self._failures:
            raise self._failures[0]
        return any(thread.is_alive() for thread in self._threads)

    def _live(self, who: str) -> None:
        _SELF.name = who
        try:
            self._work()
        except Exception as error:
            self._failures.append(error)

    def _work(self) -> None:
        study, watch = _study(self.url), Watch(self.heartbeat)
        while not self._over.is_set():
            seen = study.get_trials(deepcopy=False)
            if num_settled(study, seen) >= self.num_trials:
                return
            if not self.run_one(study, watch, seen):
                self._over.wait(self.heartbeat)

    def run_one(self, study: optuna.Study, watch: Watch, seen: list[FrozenTrial]) -> bool:
        """Do for one trial what a worker does who has just seen the study; whether there was one."""
        is_stale = watch.reap(study, most=1, seen=seen)
        if (trial := take(study, self.num_trials, None if is_stale else seen)) is None:
            return False
        with Heartbeat(study, trial, self.heartbeat):
            for name, distribution in SPACE.items():
                trial._suggest(name, distribution)
            if not self._over.wait(self.seconds):
                settle(study, trial, TrialState.COMPLETE, "complete", values=[0.5])
        return True


_SELF = threading.local()
_READER = Reader("the simulation")


def _study(url: str) -> optuna.Study:
    """The study, with patience for a proxy that is being started."""
    for _ in range(10):
        try:
            storage = open_storage(url, Path(NAME))
        except Unreachable:
            continue
        storage.reader = _READER  # type: ignore[attr-defined]  # of what open_storage returns
        return optuna.load_study(study_name=NAME, storage=storage, sampler=RandomSampler())
    raise AssertionError(f"{url} was never there")


def _read_once(message: Any) -> FrozenTrial:
    return _read(message.SerializeToString(deterministic=True))


@lru_cache(2**15)
def _read(message: bytes) -> FrozenTrial:
    return from_message(api_pb2.Trial.FromString(message))  # type: ignore[attr-defined]  # made by gRPC


def simulate(
    clients: Clients, restart: Callable[[], None], tell: Callable[[int], None] = lambda num: None, every: float = 1.0
) -> optuna.Study:
    """Work a study off, with all ended and begun again when half is settled.

    Args:
        clients: Who do; none has begun.
        restart: Ends and begins what serves them.
        tell: Is told how many trials are settled, again and again.
        every: Seconds between two looks at how many are.
    """

    def watch(num: int) -> None:
        while clients.are_there() and (settled := num_settled(study)) < num:
            tell(settled)
            time.sleep(every)

    with (
        mock.patch.object(trial_queue, "identity", lambda: str(_SELF.name)),
        mock.patch.object(grpc_looks, "from_message", _read_once),
    ):
        study = _study(clients.url)
        clients.start(0)
        watch(clients.num_trials // 2)
        dropping = threading.Thread(target=clients.drop)
        dropping.start()
        restart()
        dropping.join()
        clients.start(1)
        watch(clients.num_trials)
        clients.join()
    return study


def found(study: optuna.Study, num_trials: int) -> dict[str, int]:
    """How many trials ended in which way.

    Raises:
        AssertionError: One was lost or counted twice.
    """
    trials = study.get_trials(deepcopy=False)
    places = Counter(place_of(trial) for trial in trials if is_settled(trial))
    retries = Counter(trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs)
    surplus = sum(is_surplus(trial) for trial in trials)
    assert len(places) == num_trials, f"{len(places)} of {num_trials} places are settled"
    assert set(places.values()) == {1}, f"places that were settled twice: {[p for p, n in places.items() if n > 1]}"
    assert not [trial for trial in trials if trial.state is TrialState.RUNNING], "trials are left in somebody's hands"
    return {"settled": len(places), "taken over": len(retries), "surplus": surplus, "recorded": len(trials)}


class Served:
    """A proxy before a database, in a process of its own.

    Args:
        url: Of the database.

    Attributes:
        starting: Seconds of a processor that its starts took.
    """

    def __init__(self, url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._environment, self._before, self.starting = environment({"MYTHOS_STORAGE": url}), 0.0, 0.0
        self.start()

    @property
    def url(self) -> str:
        """By which clients reach it."""
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, or begin anew; returns when it listens."""
        command = python_module("mythos_lab.cli", "proxy", "--port", str(self.port))
        self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE)
        assert self._process.stdout is not None and self._process.stdout.readline(), "the proxy did not begin"
        self.starting += busy(self._process.pid)

    def busy(self) -> float:
        """Seconds of a processor that it took up to now, without its starts."""
        return self._before + busy(self._process.pid) - self.starting

    def memory(self) -> float:
        """MiB that it holds."""
        return float(psutil.Process(self._process.pid).memory_info().rss / 2**20)

    def kill(self) -> None:
        """End it at once."""
        self._before += busy(self._process.pid)
        self._process.kill()
        self._process.wait()


def busy(pid: int) -> float:
    """Seconds of a processor that a process and those that it began have taken."""
    process = psutil.Process(pid)
    return float(sum(process.cpu_times()[:4]) + sum(sum(child.cpu_times()[:2]) for child in process.children()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="What a trial takes.")
    parser.add_argument("--heartbeat", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=30.0, help="Seconds between two lines that say how far it is.")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    threading.stack_size(2**18)
    with cluster(durable=True) as server:
        optuna.create_study(study_name=NAME, storage=open_storage(server.url, Path(NAME)), direction="maximize")
        proxy, database = Served(server.url), [0.0]
        start, own = time.monotonic(), sum(os.times()[:2])

        def spent() -> str:
            clients_busy = sum(os.times()[:2]) - own
            took = {"proxy": proxy.busy(), "PostgreSQL": database[0] + busy(server.pid), "clients": clients_busy}
            clock = time.monotonic() - start
            parts = (f"{who} {seconds:.0f} s ({seconds / clock:.2f} of a core)" for who, seconds in took.items())
            return f"{time.monotonic() - start:.0f} s: {', '.join(parts)}; proxy {proxy.memory():.0f} MiB"

        def tell(num: int) -> None:
            print(f"{num:,} settled, {spent()}", flush=True)

        def restart() -> None:
            print(f"all begin anew, {spent()}", flush=True)
            proxy.kill()
            database[0] += busy(server.pid)
            server.restart("immediate")
            proxy.start()

        clients = Clients(proxy.url, options.clients, options.trials, options.seconds, options.heartbeat)
        try:
            simulate(clients, restart, tell, options.every)
            print(f"{options.clients:,} clients, {options.trials:,} trials of {options.seconds:g} s, {spent()}")
        finally:
            proxy.kill()
        print(", ".join(f"{num:,} {what}" for what, num in found(_study(server.url), options.trials).items()))


if __name__ == "__main__":
    main()
