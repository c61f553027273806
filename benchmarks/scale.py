"""What a worker pays to enter a study, and for each trial, by how many trials are recorded.

    python -m benchmarks.scale                                        # journal and PostgreSQL, to 30,000 trials
    python -m benchmarks.scale --recorded 100 --storages journal      # whether it runs

Prints a table in Markdown. Each row is a worker in a process of its own, started when a study of so many finished
trials with twelve parameters stands in the storage: *open* is ``join_study``, *take*, *suggest* (twelve, by TPE) and
*settle* are medians over a few trials, *poll* is the look of whoever waits for the study's end, *memory* what the
process holds more than before it opened, *connections* what the server counts of it afterwards. All times are of the
clock and, as a busy machine stretches that, of the worker's processor: *open* in seconds, the others in milliseconds,
the processor's in brackets. PostgreSQL is started for the benchmark.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import optuna
import psutil
import sqlalchemy
import yaml

from benchmarks.ask_tell import row
from benchmarks.clocks import Took, now, since
from benchmarks.finished_trials import fill_database, fill_journal, finished
from mythos_lab.search.opening import join_study, open_study
from mythos_lab.search.spaces.space import Space, load_space
from mythos_lab.search.trial_queue import settle, take
from mythos_lab.search.wanted import num_settled
from tests.lab.search.postgres import cluster

STORAGES = ("journal", "postgresql")
RECORDED = (1_000, 10_000, 30_000)
MOST = 1_000_000

SPACE: dict[str, Any] = {
    "name": "scale",
    "recipe": "gated_loop",
    "objectives": {"val/accuracy": "maximize"},
    "sampler": "tpe",
    "trials": MOST,
    "space": {
        "training.optimizer.lr": {"float": [1e-4, 1e-2]},
        "training.optimizer.weight_decay": {"float": [0.0, 0.1]},
        "training.gradient_clip": {"float": [0.1, 2.0]},
        "stability.max_spectral_radius": {"float": [0.9, 1.0]},
        "training.schedule.warmup_steps": {"int": [0, 100]},
        "model.core.depth": {"int": [1, 4]},
        "model.core.loops.high": {"int": [2, 7]},
        "evaluation.depth_factor": {"int": [1, 4]},
        "training.batch_size": {"choice": [16, 32, 64]},
        "model.width": {"choice": [16, 32, 64]},
        "training.log_every": {"choice": [5, 10, 20]},
        "seed": {"choice": [0, 1, 2, 3]},
    },
}


def fill(space: Space, kind: str, num: int) -> None:
    """Put finished trials into the study of a space."""
    distributions = {name: parameter.distribution for name, parameter in space.parameters.items()}
    trials = finished(num, distributions, metric="val/accuracy", num_reports=4)
    if kind == "postgresql":
        fill_database(str(space.storage), space.file.name, trials)
    else:
        fill_journal(space.folder / "journal.log", space.file.name, trials, is_begun=True)


@contextmanager
def storage_of(kind: str) -> Iterator[str | None]:
    """The URL of an empty storage; ``None`` for a journal in the study's folder."""
    if kind == "journal":
        yield None
        return
    with cluster(durable=True) as server:
        yield server.url


def work(file: str, folder: str, storage: str | None, repeats: int, told: Connection) -> None:
    """A worker that enters the study and runs trials of nothing; what each part took."""
    space = load_space(file, Path(folder), storage)
    process = psutil.Process()
    before, start = process.memory_info().rss, now()
    study = join_study(space, MOST, 1)
    found: dict[str, Any] = {"open": since(start), "memory": (process.memory_info().rss - before) / 2**20}
    parts: dict[str, list[Took]] = {name: [] for name in ("take", "suggest", "settle", "poll")}
    for _ in range(repeats):
        start = now()
        trial = take(study, MOST)
        assert trial is not None
        parts["take"].append(since(start))
        start = now()
        for name, parameter in space.parameters.items():
            trial._suggest(name, parameter.distribution)
        parts["suggest"].append(since(start))
        start = now()
        settle(study, trial, optuna.trial.TrialState.COMPLETE, "complete", values=[0.5])
        parts["settle"].append(since(start))
        start = now()
        num_settled(study)
        parts["poll"].append(since(start))
    for name, times in parts.items():
        clock, processor = zip(*times, strict=True)
        found[name] = (median(clock), median(processor))
    found["connections"] = _connections(storage)
    told.send(found)


def _connections(storage: str | None) -> list[str]:
    """The names under which a server knows this process's connections; that which asks is none of them."""
    if storage is None:
        return []
    ports = [socket.laddr.port for socket in psutil.Process().net_connections("tcp") if socket.raddr]
    engine = sqlalchemy.create_engine(storage)
    asked = sqlalchemy.text("SELECT application_name FROM pg_stat_activity WHERE client_port = ANY(:ports)")
    with engine.connect() as connection:
        return list(connection.scalars(asked, {"ports": ports}))


def measure(kind: str, num: int, repeats: int) -> dict[str, Any]:
    """What a worker of its own finds in a study of so many trials."""
    with tempfile.TemporaryDirectory() as folder, storage_of(kind) as storage:
        file = Path(folder) / "scale.yaml"
        file.write_text(yaml.safe_dump(SPACE, sort_keys=False))
        space = load_space(str(file), Path(folder) / "study", storage)
        open_study(space, MOST)
        fill(space, kind, num)
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=work, args=(str(file), str(space.folder), storage, repeats, theirs))
        worker.start()
        theirs.close()
        try:
            found: dict[str, Any] = ours.recv()
        finally:
            worker.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", type=int, nargs="+", default=RECORDED)
    parser.add_argument("--storages", nargs="+", default=STORAGES, choices=STORAGES)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    row("storage", "recorded", "open, s", "of it processor", "memory, MiB", "take, ms", "suggest", "settle", "poll")
    row(*["---"] * 9)
    for kind in options.storages:
        for num in options.recorded:
            found = measure(kind, num, options.repeats)
            parts = [found[name] for name in ("take", "suggest", "settle", "poll")]
            costs = (f"{clock * 1e3:.1f} ({processor * 1e3:.1f})" for clock, processor in parts)
            row(kind, num, f"{found['open'][0]:.2f}", f"{found['open'][1]:.2f}", f"{found['memory']:.0f}", *costs)
            if found["connections"]:
                print(f"connections: {found['connections']}", flush=True)


if __name__ == "__main__":
    main()
