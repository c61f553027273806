"""What goes wrong in a study's workers, each once: a module that the recipe's ``imports:`` bring into them.

Kills strike between two steps that belong together, where a random kill would hardly ever do. The disk is full where a
run writes its checkpoint, and again where it writes its weights.
"""

import errno
import os
import signal
import sys
from pathlib import Path

from mlflow import MlflowClient

from mythos_lab.search import trial_queue
from mythos_lab.training import loop, run
from mythos_lab.training.lead import Lead

DONE = Path("mishaps")
"""Where each leaves a file of its name."""

# How many trials have begun when each is due: a worker takes seconds to start, and its successor shall do some work.
WHEN = {
    "killed after MLflow made the run": 6,
    "disk full under a checkpoint": 16,
    "killed as it hands the trial back": 16,  # the same one
    "killed between a checkpoint and the metrics that it covers": 28,
    "disk full under the weights": 38,
    "killed between MLflow's end of a run and the folder's": 48,
    "killed between a run's end and the study's": 58,
}


def _strikes(name):
    due = Path("studies/chaos/trials").is_dir() and len(os.listdir("studies/chaos/trials")) >= WHEN[name]
    if not due:
        return False
    DONE.mkdir(exist_ok=True)
    try:
        (DONE / name).open("x").close()
    except FileExistsError:
        return False
    return True


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _wrap(owner, method, before=None, after=None):
    whole = getattr(owner, method)

    def call(*arguments, **keywords):
        if before is not None:
            before(*arguments, **keywords)
        result = whole(*arguments, **keywords)
        if after is not None:
            after(*arguments, **keywords)
        return result

    setattr(owner, method, call)


def _kill_at(name, only=lambda *arguments, **keywords: True):
    return lambda *arguments, **keywords: _kill() if only(*arguments, **keywords) and _strikes(name) else None


def _fill_at(name):
    def fill(*arguments, **keywords):
        if _strikes(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fill


if "mythos_lab.search.worker" in sys.orig_argv:  # and not the study that starts them
    _wrap(MlflowClient, "create_run", after=_kill_at("killed after MLflow made the run"))
    _wrap(loop, "save_checkpoint", before=_fill_at("disk full under a checkpoint"))
    _wrap(Lead, "send", before=_kill_at("killed between a checkpoint and the metrics that it covers"))
    _wrap(run, "save_weights", before=_fill_at("disk full under the weights"))
    _wrap(
        run,
        "write_values",
        before=_kill_at(
            "killed between MLflow's end of a run and the folder's", lambda folder, name, values: name == run.RESULT
        ),
    )
    _wrap(trial_queue, "_tell", before=_kill_at("killed between a run's end and the study's"))
    _wrap(trial_queue, "queue_again", before=_kill_at("killed as it hands the trial back"))
