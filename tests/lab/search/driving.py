"""Engines driven from a test, as a study drives them."""

import time

from optuna.trial import TrialState

from mythos_lab.search.attributes import FOLDER, WORKER
from mythos_lab.search.engines import Job
from mythos_lab.search.heartbeat import Watch
from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.trial_states import is_settled

GRID = {"model.core.depth": {"choice": [1, 2]}, "training.optimizer.lr": {"choice": [0.003, 0.03]}}


def fields(name, num_steps):
    """Of a study of four trials, for :func:`tests.lab.search.tiny.write`."""
    from tests.lab.search.tiny import OVERRIDES

    steps = [f"training.max_steps={num_steps}", "training.validate_every=10", "measures=[]"]
    return {
        "name": name,
        "overrides": [o for o in OVERRIDES if not o.startswith(("training.max_steps", "training.validate_every"))] + steps,
        "sampler": "grid",
        "space": GRID,
        "objectives": {"val/loss": "minimize"},
        "heartbeat": 0.2,
    }  # fmt: skip


def job_of(space, num_workers=2):
    """All trials of a grid."""
    num_trials = space.num_trials()
    study = open_study(space, num_trials)
    enqueue_grid(study, space, num_trials)
    return Job(space, study, num_trials, num_workers)


def drive(engine, until):
    """Tend an engine until something is so; what it was."""
    watch = Watch(engine.job.space.file.heartbeat)
    for _ in range(1800):
        if result := until():
            return result
        watch.reap(engine.job.study)
        engine.tend()
        time.sleep(0.1)
    raise AssertionError("never happened")


def to_the_end(engine):
    """Drive an engine until all trials are settled and nothing runs."""
    settled = lambda: sum(map(is_settled, engine.job.study.get_trials())) >= engine.job.num_trials  # noqa: E731
    drive(engine, lambda: settled() and engine.is_idle())


def begun(job):
    """Trials that run and have a checkpoint."""
    return [
        trial
        for trial in job.study.get_trials()
        if trial.state is TrialState.RUNNING
        and (job.space.folder / trial.user_attrs.get(FOLDER, "none") / "seed-0" / "last.ckpt").exists()
    ]


def pid_of(trial):
    """The process that runs a trial."""
    return int(trial.user_attrs[WORKER].rsplit(":", 2)[1])


def results(study):
    """Objective by parameters, of the trials that count; none may be there twice."""
    done = [trial for trial in study.get_trials() if is_settled(trial)]
    found = {tuple(sorted(trial.params.items())): trial.values for trial in done}
    assert len(found) == len(done), "a trial was counted twice"
    assert all(trial.state is TrialState.COMPLETE for trial in done)
    return found
