"""What a study's bookkeeping costs a trial: by storage, by sampler, and by how many trials are finished.

    python -m benchmarks.ask_tell                          # two minutes, on one core
    python -m benchmarks.ask_tell --finished 10 --repeats 3 --storages journal --samplers random    # whether it runs

Prints two tables in Markdown. A trial is what a worker pays for one with twelve parameters, six of them choices, beside
training: ``trial_queue.take``, twelve ``suggest``, ``trial_queue.settle``; finished trials are as real ones
(parameters, value, what the laboratory notes). The first table takes random draws, so that the storage shows; the
second keeps the study in memory, so that the sampler does. Figures are medians, in milliseconds of this process's
processor, which the server's are no part of, and of the clock in brackets, which whoever else is busy stretches; before
the tables stands what the disk takes for a flush, of which the journal and the databases need one a write. PostgreSQL
is started for the benchmark; the proxy stands before SQLite, in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import socket
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import run_grpc_proxy_server
from optuna.trial import FrozenTrial, TrialState

from benchmarks.clocks import Took, now, since
from benchmarks.finished_trials import fill_database, fill_journal, finished
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.named import Named
from mythos_lab.search.samplers import StudyFacts, make_sampler
from mythos_lab.search.storage import open_storage
from mythos_lab.search.trial_queue import settle, take
from tests.lab.search.postgres import cluster

STORAGES = ("journal", "sqlite", "postgresql", "grpc")
SAMPLERS = ("random", "qmc", "cmaes", "nsgaii", "tpe", "gp")
FINISHED = (10, 1_000, 10_000)
MOST_GP = 200  # it is refused above 500

CHOICES = ["none", "add", "lti", "gate"]
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    **{f"model.core.size_{i}": FloatDistribution(1e-4, 1.0, log=True) for i in range(6)},
    **{f"model.core.part_{i}": CategoricalDistribution(CHOICES) for i in range(6)},
}
NUMBERS_ONLY: dict[str, BaseDistribution] = {f"model.core.size_{i}": FloatDistribution(1e-4, 1.0) for i in range(12)}


@contextmanager
def storage_of(kind: str, name: str, trials: Sequence[FrozenTrial]) -> Iterator[str]:
    """The URL of a storage that holds a study with these trials."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if kind == "memory":
            yield ""
            return
        if kind == "journal":
            fill_journal(folder / "journal.log", name, trials, is_begun=False)
            yield f"journal://{folder / 'journal.log'}"
            return
        url = (
            stack.enter_context(cluster(durable=True)).url
            if kind == "postgresql"
            else f"sqlite:///{folder / 'study.db'}"
        )
        fill_database(url, name, trials)
        yield stack.enter_context(proxy(url)) if kind == "grpc" else url


@contextmanager
def proxy(url: str) -> Iterator[str]:
    """The URL of Optuna's gRPC proxy before a database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(url, port), daemon=True)
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.join()


def serve(url: str, port: int) -> None:
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    run_grpc_proxy_server(open_storage(url, Path()), host="127.0.0.1", port=port)


def trial_of(study: optuna.Study, space: dict[str, BaseDistribution], num_trials: int) -> dict[str, Took]:
    """What the parts of a trial took."""
    begun = start = now()
    trial = take(study, num_trials)
    assert trial is not None
    took, start = {"take": since(start)}, now()
    for name, distribution in space.items():
        trial._suggest(name, distribution)
    took["suggest"], start = since(start), now()
    settle(study, trial, TrialState.COMPLETE, "complete", values=[random.random()])
    took["settle"] = since(start)
    return {**took, "trial": since(begun)}


def bare_trial_of(study: optuna.Study, space: dict[str, BaseDistribution]) -> Took:
    """What a trial takes as Optuna alone has it."""
    start = now()
    trial = study.ask()
    for name, distribution in space.items():
        trial._suggest(name, distribution)
    study.tell(trial, random.random())
    return since(start)


def measure(kind: str, sampler: str, num: int, repeats: int) -> dict[str, Took]:
    """Medians of a trial's parts, of a worker's look for lost trials, and of opening the study once."""
    space = NUMBERS_ONLY if sampler == "cmaes" else DISTRIBUTIONS
    num_choices = sum(isinstance(d, CategoricalDistribution) for d in space.values())
    facts = StudyFacts(num, len(space), num_choices)
    past = finished(num, space, population=50)
    with storage_of(kind, "benchmark", past) as url:
        start = now()
        if kind == "memory":
            study = optuna.create_study()
            study.add_trials(past)
        else:
            study = optuna.load_study(study_name="benchmark", storage=open_storage(url, Path()))
        study.get_trials(deepcopy=False)
        opening = since(start)
        study.sampler = make_sampler(Named(sampler), facts, seed=0)
        for _ in range(15 if sampler == "cmaes" else 1):  # CMA-ES continues from the state of its last generation
            trial_of(study, space, 10 * num)
        times, watch = defaultdict[str, list[Took]](list), Watch(30.0)
        for _ in range(repeats):
            for part, took in trial_of(study, space, 10 * num).items():
                times[part].append(took)
            times["bare"].append(bare_trial_of(study, space))
            start = now()
            watch.reap(study)
            times["reap"].append(since(start))
    medians = {part: Took(*map(median, zip(*took, strict=True))) for part, took in times.items()}
    return {**medians, "open": opening}


def shown(took: Took) -> str:
    """Milliseconds of the processor, and of the clock in brackets."""
    return f"{took.processor * 1e3:,.1f} ({took.clock * 1e3:,.1f})"


def flush() -> float:
    """Milliseconds until a few bytes are on the disk."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(21):
            start = time.perf_counter()
            file.write(b"a few bytes")
            file.flush()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - start) * 1e3)
    return median(times)


def row(*cells: Any) -> None:
    print(
        "|",
        " | ".join(f"{c:,.1f}" if isinstance(c, float) else f"{c:,}" if isinstance(c, int) else c for c in cells),
        "|",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--finished", type=int, nargs="+", default=FINISHED)
    parser.add_argument("--storages", nargs="*", default=STORAGES, choices=STORAGES)
    parser.add_argument("--samplers", nargs="*", default=SAMPLERS, choices=SAMPLERS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"One flush of a small file: {flush():.1f} ms\n")
    columns = ("take", "suggest", "settle", "trial", "bare", "reap", "open")
    if options.storages:
        row("storage", "finished", *columns)
        row(*["---"] * (len(columns) + 2))
    for kind in options.storages:
        for num in options.finished:
            found = measure(kind, "random", num, options.repeats)
            row(kind, num, *(shown(found[c]) for c in columns))
    print()
    if options.samplers:
        row("sampler", "finished", "take", "suggest", "trial")
        row(*["---"] * 5)
    for sampler in options.samplers:
        for num in sorted({min(num, MOST_GP) for num in options.finished}) if sampler == "gp" else options.finished:
            found = measure("memory", sampler, num, options.repeats)
            row(sampler, num, *(shown(found[c]) for c in ("take", "suggest", "trial")))


if __name__ == "__main__":
    main()
