"""A worker: takes trials and runs them until enough are settled. Engines start it, each in its own way."""

from __future__ import annotations

from mythos_lab.loading import begin_loading

if __name__ == "__main__":  # before all that takes long to load
    begin_loading()

import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial

from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.screen import guard_errors, say
from mythos_lab.search.faults import is_places
from mythos_lab.search.heartbeat import Heartbeat, Watch
from mythos_lab.search.opening import join_study
from mythos_lab.search.spaces.space import STORAGE_VARIABLE, Space, load_space
from mythos_lab.search.trial import run_trial
from mythos_lab.search.trial_note import note
from mythos_lab.search.trial_queue import hand_back, take
from mythos_lab.tracking.claim import InUse
from mythos_lab.training.run import Stopped
from mythos_lab.training.stopping import break_off, heeding

MISPLACED = 3
"""The exit status of a worker that would fare no better if it were started again; its last line says why."""


class Orders:
    """What a worker was told by signal: SIGUSR1 to end with the trial in hand, SIGTERM to lay it down at once.

    Attributes:
        finish: Take no further trial.
        stop: Save a checkpoint and hand the present one back.
    """

    def __init__(self) -> None:
        self.finish = self.stop = False

    @contextmanager
    def heeded(self) -> Iterator[Orders]:
        """Heed signals while a ``with`` block runs. Ctrl-C is left to the study, which asks what it is meant to do."""
        with heeding(
            {signal.SIGUSR1: self.to_finish, signal.SIGTERM: self.to_stop, signal.SIGINT: signal.Handlers.SIG_IGN}
        ):
            yield self

    def to_finish(self, number: int) -> None:
        """The handler of a signal to end with the trial in hand."""
        self.finish = True

    def to_stop(self, number: int) -> None:
        """The handler of a signal to lay the trial down at once."""
        self.finish = self.stop = True
        break_off()


def work(
    space: Space,
    num_trials: int,
    worker: int,
    orders: Orders,
    alone: Callable[[], bool] = lambda: False,
    study: optuna.Study | None = None,
) -> None:
    """Run trials until ``num_trials`` are settled, or orders or loneliness end it.

    Args:
        space: The search space.
        num_trials: Trials in all.
        worker: Which of the study's workers this is; each samples from a seed of its own.
        orders: What it is told meanwhile.
        alone: Whether the study that started this worker is gone.
        study: As :func:`~mythos_lab.search.opening.join_study` has opened it for this worker; ``None`` opens it.

    Raises:
        Exception: Whatever a run raised that was no mistake of the recipe; the trial has been handed back.
    """
    study = study or join_study(space, num_trials, worker)
    watch = Watch(space.file.heartbeat)
    while not orders.finish and not alone():
        seen = study.get_trials(deepcopy=False)
        is_stale = watch.reap(study, most=1, seen=seen)
        if not run_one(space, study, num_trials, lambda: orders.stop or alone(), None if is_stale else seen):
            return


def run_one(
    space: Space,
    study: optuna.Study,
    num_trials: int,
    should_stop: Callable[[], bool],
    seen: list[FrozenTrial] | None = None,
) -> bool:
    """Take one trial and run it; whether there was one. What was ``seen`` of the study a moment ago spares a look."""
    trial = take(study, num_trials, seen)
    if trial is None:
        return False
    with Heartbeat(study, trial, space.file.heartbeat) as heartbeat:
        try:
            run_trial(space, study, trial, lambda: heartbeat.is_lost or should_stop())
            note(space, study, trial)
        except Stopped as stopped:
            hand_back(study, trial, str(stopped), lost=False)
        except (
            InUse
        ) as in_use:  # by a worker that was taken to be gone, and is about to learn that it has lost the trial
            hand_back(study, trial, str(in_use), lost=False)
            time.sleep(space.file.heartbeat)
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # another machine took this one to be gone, and has the trial now
        except Exception as error:
            # A tracker that is away is no more the trial's doing than a full disk.
            to_blame = not (isinstance(error, (Misplaced, MlflowException)) or is_places(error))
            hand_back(study, trial, f"{type(error).__name__}: {error}", lost=to_blame)
            raise
    return True


def main(source: str, folder: str, num_trials: str, worker: str, parent: str) -> int:
    """A worker process of a study on this machine; ``parent`` is the study's process."""
    warnings.filterwarnings("ignore")
    guard_errors()
    try:
        space = load_space(source, Path(folder), os.environ.get(STORAGE_VARIABLE))
        with Orders().heeded() as orders:
            work(space, int(num_trials), int(worker), orders, lambda: os.getppid() != int(parent))
    except Misplaced as misplaced:
        say(misplaced, file=sys.stderr)
        return MISPLACED
    except Exception:
        say(traceback.format_exc(), end="", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
