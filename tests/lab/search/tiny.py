"""The smallest studies that train: a handful of steps on the task that is drawn and audited soonest."""

import yaml

from mythos_lab.search.opening import enqueue_grid, open_study
from mythos_lab.search.spaces.space import load_space
from mythos_lab.search.worker import run_one

OVERRIDES = [
    "task=word_problem", "mask=causal", "monitor.measures=[]",
    "training.max_steps=4", "training.validate_every=2", "training.batch_size=8", "training.schedule.warmup_steps=0",
    "task.validation_size=32", "task.test_size=32", "task.ood_range=0", "evaluation.knockouts=false",
    "evaluation.depth_factor=1", "training.num_threads=1", "model.width=16", "model.core.layer.feedforward.hidden=8",
]  # fmt: skip

FILE = {"name": "tiny", "recipe": "gated_loop", "overrides": OVERRIDES, "objectives": {"val/accuracy": "maximize"}}


def write(folder, **fields):
    """A study's file in a folder; its space, loaded."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**FILE, **fields}, sort_keys=False))
    return load_space(str(folder / "tiny.yaml"))


def work_off(space, should_stop=lambda: False):
    """Run a study's trials in this process; the study."""
    study = open_study(space)
    enqueue_grid(study, space, space.num_trials())
    while run_one(space, study, space.num_trials(), should_stop):
        pass
    return study


def go_on(space, study):
    """Run what is left of a study's trials in this process."""
    while run_one(space, study, space.num_trials(), lambda: False):
        pass


def complete(study):
    """Trials that were run to their end here."""
    return [t for t in study.get_trials() if t.user_attrs.get("outcome") == "complete"]
