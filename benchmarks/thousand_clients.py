"""The traffic of many workers on one proxy and one PostgreSQL, which are all ended and begun again in the middle.

    python -m benchmarks.thousand_clients                                          # 1,000 clients, 2,000 trials
    python -m benchmarks.thousand_clients --clients 20 --trials 60 --seconds 1     # whether it runs

Each client is a thread with a channel to the proxy, a watch and signs of life of its own, which does what a worker does
beside training: it looks for lost trials, takes one, draws four values at random, and says how it ended. Training is
replaced by sleep. When half of the trials are settled, every client drops what it has without a word, the database
crashes, the proxy is killed, and all begin anew; the trials that were dropped are taken over once their signs of life
have been missing. At the end the database is asked whether each trial that was wanted has ended, and once.

Prints what it took: seconds of the clock, and processors that the proxy, and all clients together, were busy with (1
is one core).
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
from pathlib import Path

import optuna
import psutil
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from mythos_lab.children import environment, python_module
from mythos_lab.recipe.errors import Unreachable
from mythos_lab.search import trial_queue
from mythos_lab.search.attributes import RETRY_OF
from mythos_lab.search.heartbeat import Heartbeat, Watch
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import is_settled, num_settled, settle, take
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
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _live(self, who: str) -> None:
        _SELF.name = who
        try:
            self._work()
        except Exception as error:
            self._failures.append(error)

    def _work(self) -> None:
        study = _study(self.url)
        watch = Watch(self.heartbeat)
        while not self._over.is_set() and num_settled(study) < self.num_trials:
            watch.reap(study, most=1)
            if (trial := take(study, self.num_trials)) is None:
                self._over.wait(self.heartbeat)
                continue
            with Heartbeat(study, trial, self.heartbeat):
                for name, distribution in SPACE.items():
                    trial._suggest(name, distribution)
                if self._over.wait(self.seconds):
                    return
            settle(study, trial, TrialState.COMPLETE, "complete", values=[0.5])


_SELF = threading.local()


def _study(url: str) -> optuna.Study:
    """The study, with patience for a proxy that is being started."""
    for _ in range(10):
        try:
            storage = open_storage(url, Path(NAME))
        except Unreachable:
            continue
        return optuna.load_study(study_name=NAME, storage=storage, sampler=RandomSampler())
    raise AssertionError(f"{url} was never there")


def simulate(clients: Clients, restart: Callable[[], None]) -> optuna.Study:
    """Work a study off, with all ended and begun again when half is settled.

    Args:
        clients: Who do; none has begun.
        restart: Ends and begins what serves them.
    """
    identity, trial_queue.identity = trial_queue.identity, lambda: str(_SELF.name)
    try:
        study = _study(clients.url)
        clients.start(0)
        while num_settled(study) < clients.num_trials // 2:
            time.sleep(min(1.0, clients.seconds))
        dropping = threading.Thread(target=clients.drop)
        dropping.start()
        restart()
        dropping.join()
        clients.start(1)
        clients.join()
    finally:
        trial_queue.identity = identity
    return study


def found(study: optuna.Study, num_trials: int) -> dict[str, int]:
    """How many trials ended in which way.

    Raises:
        AssertionError: One was lost or counted twice.
    """
    trials = study.get_trials(deepcopy=False)
    places = Counter(trial_queue._place(trial) for trial in trials if is_settled(trial))
    retries = Counter(trial.user_attrs[RETRY_OF] for trial in trials if RETRY_OF in trial.user_attrs)
    surplus = sum(trial_queue.is_surplus(trial) for trial in trials)
    assert len(places) == num_trials, f"{len(places)} of {num_trials} places are settled"
    assert set(places.values()) == {1}, f"places that were settled twice: {[p for p, n in places.items() if n > 1]}"
    assert not [trial for trial in trials if trial.state is TrialState.RUNNING], "trials are left in somebody's hands"
    return {"settled": len(places), "taken over": len(retries), "surplus": surplus, "recorded": len(trials)}


class Served:
    """A proxy before a database, in a process of its own.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._environment, self.busy = environment({"MYTHOS_STORAGE": url}), 0.0
        self.start()

    @property
    def url(self) -> str:
        """By which clients reach it."""
        return f"grpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, or begin anew."""
        command = python_module("mythos_lab.cli", "proxy", "--port", str(self.port))
        self._process = subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)

    def look(self) -> psutil.Process:
        """The process."""
        return psutil.Process(self._process.pid)

    def kill(self) -> None:
        """End it at once; what it was busy with is added up."""
        self.busy += sum(self.look().cpu_times()[:2])
        self._process.kill()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="What a trial takes.")
    parser.add_argument("--heartbeat", type=float, default=30.0)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    threading.stack_size(2**18)
    with cluster(durable=True) as server:
        optuna.create_study(study_name=NAME, storage=open_storage(server.url, Path(NAME)), direction="maximize")
        proxy = Served(server.url)
        try:
            start, own = time.monotonic(), sum(os.times()[:2])

            def restart() -> None:
                proxy.kill()
                server.restart("immediate")
                proxy.start()

            clients = Clients(proxy.url, options.clients, options.trials, options.seconds, options.heartbeat)
            simulate(clients, restart)
            seconds = time.monotonic() - start
            memory = proxy.look().memory_info().rss / 2**20
        finally:
            proxy.kill()
        print(f"{options.clients:,} clients, {options.trials:,} trials of {options.seconds:g} s: {seconds:.0f} s")
        print(", ".join(f"{num:,} {what}" for what, num in found(_study(server.url), options.trials).items()))
    clients_busy = sum(os.times()[:2]) - own
    print(f"busy: proxy {proxy.busy / seconds:.2f} cores, clients {clients_busy / seconds:.2f}; proxy {memory:.0f} MiB")


if __name__ == "__main__":
    main()
