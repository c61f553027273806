"""A study: has an engine work it off, and watches."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from mlflow.exceptions import MlflowException
from optuna.trial import TrialState
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from mythos_lab.recipe.errors import Interrupted, RecipeError
from mythos_lab.recipe.screen import say, since
from mythos_lab.search.attributes import NUM_TRIALS, PRUNER, SAMPLER
from mythos_lab.search.engines import Engine, Job, make_engine
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.measurable import refuse_unmeasurable
from mythos_lab.search.opening import enqueue_grid, num_repeats, open_study, refuse_after_opening
from mythos_lab.search.parent_run import description, elsewhere, parent_run
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.standing import best_first, complete, on_front
from mythos_lab.search.trial_queue import clear_doubles
from mythos_lab.search.trial_states import is_settled
from mythos_lab.search.wanted import num_settled
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training.stopping import break_off, heeding

_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Concluded:
    """What a settled study came to.

    Attributes:
        files: What MLflow is to keep.
        answer: The answer to the question that the study asks; empty where it has none.
    """

    files: Sequence[Path]
    answer: str = ""


Conclude = Callable[[Space, optuna.Study, float], Concluded]
"""Says what a settled study came to, given the seconds that it took."""


def run_study(
    space: Space,
    *,
    num_trials: int | None = None,
    num_workers: int | None = None,
    engine: str = "local",
    options: Mapping[str, Any] | None = None,
    conclude: Conclude | None = None,
) -> optuna.Study:
    """Run a study, or go on with it, until ``num_trials`` trials are settled.

    Trials that a killed worker left behind are queued again and go on from their last checkpoint.

    Args:
        space: The search space.
        num_trials: Trials in all; the space's own number without.
        num_workers: Trials that may run at once; the space's own number without.
        engine: What places them: ``local``, ``ray`` or ``slurm``.
        options: The engine's own, see :func:`~mythos_lab.search.engines.make_engine`.
        conclude: Called once all are settled; says what came out.

    Raises:
        RecipeError: The storage cannot be opened, holds another study of that name, or the engine cannot work here.
        Interrupted: Ctrl-C or SIGTERM ended it.
        WorkersLost: Workers keep dying; what was settled is kept.
    """
    make = make_engine(engine, options or {})
    num_trials, num_workers = space.num_trials(num_trials), num_workers or space.file.workers
    refuse_unmeasurable(space)
    study = open_study(space, num_trials)
    if num_settled(study) < num_trials:
        refuse_after_opening(space, study)
    named, reason = space.sampler(num_trials)
    say(f"sampler: {named.kind} ({reason})")
    if named.kind == "grid" and (repeats := num_repeats(study, space)):
        say(f"{repeats} of the trials before drew no point of their own, and come on top")
        num_trials += repeats
    study.set_user_attr(NUM_TRIALS, num_trials)
    enqueue_grid(study, space, num_trials, num_workers)
    watch = Watch(space.file.heartbeat)
    if retried := watch.reap(study):
        say(f"{retried} trial{'s' * (retried > 1)} of killed workers queued again")
    placed = make(Job(space, study, num_trials, num_workers))
    try:
        tracker = parent_run(space, study, may_move=num_settled(study) < num_trials)
    except (RecipeError, MlflowException) as error:
        if num_settled(study) < num_trials:
            placed.close()
            raise
        say(f"MLflow is told nothing: {' '.join(str(error).split())[:300]}", file=sys.stderr)
        tracker = None  # what the study came to is its own
    except BaseException:
        placed.close()
        raise
    started = time.monotonic()
    try:
        _work_off(placed, watch)
        clear_doubles(study)
        found = conclude(space, study, time.monotonic() - started) if conclude is not None else Concluded([])
        if tracker is not None:
            for file in found.files:
                tracker.artifact(file)
            tracker.describe(description(space, elsewhere(study), found.answer))
            _log(tracker, space, study)
    except BaseException as error:
        if tracker is not None:
            is_failed = isinstance(error, Exception) and not isinstance(error, Interrupted)
            tracker.abandon("FAILED" if is_failed else "KILLED")
        raise
    if tracker is not None:
        tracker.finish("FINISHED")
    return study


def _log(tracker: Tracker, space: Space, study: optuna.Study) -> None:
    """What the study came to, for its own MLflow run."""
    settled = [t for t in study.get_trials(deepcopy=False) if is_settled(t)]
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    numbers = {f"study/{state.name.lower()}": float(sum(t.state is state for t in settled)) for state in states}
    tracker.tag("mythos.sampler", study.user_attrs[SAMPLER]["kind"])
    tracker.tag("mythos.pruner", study.user_attrs[PRUNER]["kind"])
    if len(space.file.objectives) == 1 and (best := best_first(space, study)[:1]):
        numbers |= {f"study/best/{name}": best[0].values[0] for name in space.file.objectives}
        tracker.tag("mythos.best_trial", str(best[0].number))
        tracker.tag("mythos.best_params", json.dumps(best[0].params))
    tracker.metrics(numbers, len(settled))
    for trial in complete(study):  # the history: each trial's values, with its number as the step
        values = dict(zip(space.file.objectives, trial.values, strict=True))
        at = trial.datetime_complete.timestamp() if trial.datetime_complete is not None else None
        tracker.metrics({f"study/trial/{name}": value for name, value in values.items()}, trial.number, at)


def _work_off(engine: Engine, watch: Watch) -> None:
    job = engine.job
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[seen]}", markup=False),
    )
    try:
        interruption = _Interruption()
        shows = get_console().is_interactive
        with (
            Progress(*columns, disable=not shows) as progress,
            heeding(dict.fromkeys((signal.SIGINT, signal.SIGTERM), interruption)),
        ):
            told = first = num_settled(job.study)
            began = time.monotonic()
            bar = progress.add_task(job.space.file.name, total=job.num_trials, completed=first, seen="")
            while True:
                settled = num_settled(job.study)
                if shows:
                    progress.update(bar, completed=settled, seen=_seen(job.space, job.study))
                elif settled > told:  # a line in a file for each that has ended
                    took = since(began, settled - first, max(0, job.num_trials - settled))
                    say(f"{settled} of {job.num_trials} trials  {took}  {_seen(job.space, job.study)}")
                    told = settled
                if settled >= job.num_trials:
                    if engine.is_idle():
                        return
                    engine.finish()
                if interruption.signum == signal.SIGTERM:
                    raise Interrupted(128 + signal.SIGTERM)
                if interruption.signum == signal.SIGINT and not interruption.finishing:
                    progress.stop()
                    if not _wants_to_finish():
                        raise Interrupted(128 + signal.SIGINT)
                    interruption.finishing = True
                    engine.finish()
                    progress.start()
                if interruption.finishing:
                    if engine.is_idle():
                        raise Interrupted(128 + signal.SIGINT)
                elif settled < job.num_trials:
                    watch.reap(job.study)
                    enqueue_grid(job.study, job.space, job.num_trials, job.num_workers)
                    engine.tend()
                time.sleep(_POLL_SECONDS)
    except BaseException:
        engine.abandon()
        raise
    finally:
        engine.close()


class _Interruption:
    """What was asked by signal so far; a second Ctrl-C does not wait, and SIGTERM not for a storage that is away."""

    def __init__(self) -> None:
        self.signum, self.finishing = 0, False

    def __call__(self, signum: int) -> None:
        if self.finishing or signum == self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.signum = signum
        if signum == signal.SIGTERM:
            break_off()


def _wants_to_finish() -> bool:
    """Asks once. Without a terminal nobody can answer, and running trials end."""
    if not sys.stdin.isatty():
        say("running trials end first; Ctrl-C again lays them down")
        return True
    say("Let running trials end [e], or lay them down at a checkpoint to go on later [l]? ", end="")
    return not sys.stdin.readline().strip().lower().startswith("l")


def _seen(space: Space, study: optuna.Study) -> str:
    """How many trials run, and what the best came to."""
    num = sum(trial.state is TrialState.RUNNING for trial in study.get_trials(deepcopy=False))
    return "  ".join(filter(None, (f"{num} running" if num else "", _best(space, study))))


def _best(space: Space, study: optuna.Study) -> str:
    if len(space.file.objectives) > 1:
        return f"{len(on_front(space, study))} on the front"
    (name,) = space.file.objectives
    done = best_first(space, study)
    return f"best {name} {done[0].values[0]:.4g}" if done else ""
