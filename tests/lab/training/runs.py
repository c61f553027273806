"""Runs of a few steps, and how two of them compare."""

import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from mythos_lab.training.history import HISTORY, read_history

SMALL = [
    "training.max_steps=20", "training.validate_every=10", "training.log_every=5", "training.batch_size=8",
    "task.validation_size=32", "task.test_size=32", "training.schedule.warmup_steps=2", "training.num_threads=1",
    "evaluation.ood=false",
]  # fmt: skip


def history(run_id, name):
    return [(m.step, m.value) for m in MlflowClient().get_metric_history(run_id, name)]


def timeless(entry):
    """An entry of a run's history without what depends on the clock; a number that is none, as a text."""
    return {name: str(value) for name, value in entry.items() if name != "time" and not name.startswith("speed/")}


def assert_same(one, other):
    """Two results are the same to the bit: every metric but speed, what MLflow was told of it, and the weights."""
    names = {name for name in {**one.metrics, **other.metrics} if not name.startswith("speed/")}
    assert {n: one.metrics[n] for n in names} == {n: other.metrics[n] for n in names}
    for name in names:
        assert history(one.run_id, name) == history(other.run_id, name), name
    logged = [[timeless(entry) for entry in read_history(result.folder / HISTORY)] for result in (one, other)]
    assert logged[0] == logged[1]
    a, b = (load_file(result.folder / "model.safetensors") for result in (one, other))
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
