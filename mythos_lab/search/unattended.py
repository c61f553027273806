"""A worker that no study started, and none watches over: a container, a step of a workflow, a colleague's desktop.

It takes part from wherever it is: what it needs is the space's file, the storage and the tracker.
"""

from __future__ import annotations

import os
import signal
import time
import uuid

from mythos_lab.recipe.errors import Interrupted
from mythos_lab.recipe.screen import say
from mythos_lab.search.attributes import NUM_TRIALS
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.measurable import refuse_unmeasurable
from mythos_lab.search.opening import enqueue_grid, join_study, refuse_after_opening
from mythos_lab.search.parent_run import parent_run
from mythos_lab.search.spaces.space import Space
from mythos_lab.search.wanted import num_settled
from mythos_lab.search.worker import Orders, run_one
from mythos_lab.training.stopping import heeding

INDEX_VARIABLES = ("JOB_COMPLETION_INDEX", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK")
"""Where those who start many workers at once say which one this is: Kubernetes, SLURM, MPI."""


def take_part(space: Space, index: int | None = None) -> None:
    """Run trials of a study until all of them are settled, here or elsewhere; begin it where nobody has.

    It stays while the last trials run elsewhere: should their workers be lost, it takes them over. SIGTERM and Ctrl-C
    have it lay its trial down at a checkpoint; SIGUSR1 has it bring the trial to its end, and take no other.

    Args:
        space: The search space.
        index: Which of the study's workers this is; each samples from a seed of its own. ``None`` asks the environment,
            and else takes a number that no other has.

    Raises:
        RecipeError: The storage cannot be opened, holds another study of that name, or the study is not to go on.
        Interrupted: A signal ended it.
    """
    refuse_unmeasurable(space)
    study = join_study(space, space.num_trials(), _index() if index is None else index)
    refuse_after_opening(space, study)
    num_trials = study.user_attrs.get(NUM_TRIALS)
    if num_trials is None:
        study.set_user_attr(NUM_TRIALS, num_trials := space.num_trials())
    if num_settled(study) >= num_trials:
        return
    parent_run(space, study)
    orders, heard = Orders(), list[int]()

    def obey(number: int) -> None:
        heard.append(number)
        (orders.to_finish if number == signal.SIGUSR1 else orders.to_stop)(number)

    watch = Watch(space.file.heartbeat)
    with heeding(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGUSR1), obey)):
        while num_settled(study, seen := study.get_trials(deepcopy=False)) < num_trials:
            is_stale = watch.reap(study, most=1, seen=seen) + enqueue_grid(study, space, num_trials)
            ran = not orders.finish and run_one(
                space, study, num_trials, lambda: orders.stop, None if is_stale else seen
            )
            if orders.finish:
                raise Interrupted(128 + heard[0])
            if not ran:
                _wait(space.file.heartbeat, orders)
    say(f"{num_trials} trials are settled; mythos study {space.source} says what they came to")


def _wait(seconds: float, orders: Orders) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not orders.finish:
        time.sleep(min(seconds, 0.2))


def _index() -> int:
    for name in INDEX_VARIABLES:
        if (said := os.environ.get(name, "")).isdigit():
            return int(said)
    return uuid.uuid4().int % 2**20
