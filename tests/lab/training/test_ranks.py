"""Which samples a rank takes, and what launchers say of its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.rank import Rank
from mythos_lab.training.data import training_batch
from mythos_lab.training.devices import Place, declared

TASK = ["training.batch_size=8", "task.validation_size=8", "task.test_size=8"]


@given(num=st.integers(1, 8), size=st.integers(1, 8), step=st.integers(0, 100))
def test_shares_are_equal_and_together_the_batch(num, size, step):
    batch = range(step * num * size, (step + 1) * num * size)
    shares = [Rank(index, num).share(batch) for index in range(num)]
    assert [sample for share in shares for sample in share] == list(batch)
    assert {len(share) for share in shares} == {size}


def test_ranks_read_the_rows_of_the_batch_that_one_would_read():
    task = load_recipe("gated_loop", TASK).task.build()
    whole = training_batch(task, range(24, 32), Rank())
    parts = [training_batch(task, range(24, 32), Rank(index, 4)) for index in range(4)]
    for index, part in enumerate(parts):
        rows = slice(2 * index, 2 * index + 2)
        assert (part.tokens == whole.tokens[rows]).all() and (part.targets == whole.targets[rows]).all()
        assert (part.allowed == whole.allowed[rows]).all()


STEP = {
    "SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_JOB_ID": "123456", "SLURM_STEP_ID": "2",
}  # fmt: skip


def tell(monkeypatch, values):
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_tasks_of_one_step_meet_at_one_place_on_the_first_machine(monkeypatch):
    recipe = load_recipe("gated_loop", [*TASK, "training.num_devices=4", "training.accelerator=cpu"])
    meetings = []
    for task in range(4):
        tell(monkeypatch, {**STEP, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task % 2)})
        meetings.append(declared(recipe))
    assert [m.rank for m in meetings] == [Rank(task, 4, task % 2, 2) for task in range(4)]
    assert [Place(m.rank).node_rank() for m in meetings] == [0, 0, 1, 1]
    assert {m.address for m in meetings} == {"node07"} and len({m.port for m in meetings}) == 1
    monkeypatch.setenv("SLURM_STEP_ID", "3")
    assert declared(recipe).port != meetings[0].port


@pytest.mark.parametrize("tasks, num_devices", [("4", 1), ("1", 2)], ids=["one of many workers", "a batch script"])
def test_a_task_of_srun_may_be_alone(monkeypatch, tasks, num_devices):
    tell(monkeypatch, {**STEP, "SLURM_STEP_NUM_TASKS": tasks, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"})
    assert declared(load_recipe("gated_loop", [*TASK, f"training.num_devices={num_devices}"])) is None
