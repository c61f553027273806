"""A run that is asked to stop: it keeps the step that it has reached, and goes on to the same numbers."""

import json
import os
import re
import shlex
import signal
import time

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import load_recipe
from mythos_lab.training import assembly, loop, measuring, state
from mythos_lab.training.run import Pruned, Stopped, run
from tests.lab.recipes import short
from tests.lab.training.runs import SMALL, assert_same, history

SHORT = [
    "training.max_steps=10", "training.validate_every=5", "task.length=32",
    "evaluation.depth_factor=1", "evaluation.knockouts=false",
]  # fmt: skip

ALL = [
    "training.ema=0.8", "training.num_microbatches=2", "training.optimizer={kind: muon, lr: 0.003}",
    "training.groups=[{slot: norm, lr: 2}, {slot: core, weight_decay: 0}]", "training.schedule={kind: wsd, warmup_steps: 2}",
]  # fmt: skip
"""All that keeps something from step to step."""


def after(num_steps):
    """A ``should_stop`` that says yes when it is asked for the ``num_steps``-th time."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= num_steps


def test_a_stopped_run_goes_on_to_the_numbers_of_an_unbroken_one(tmp_path):
    recipe = load_recipe("openmythos", [*SMALL, *SHORT, *short("openmythos")])
    unbroken = run(recipe, folder=tmp_path / "unbroken")
    for stop, where in ((3, "between validations"), (5, "at a validation"), (10, "after the last step")):
        with pytest.raises(Stopped) as stopped:
            run(recipe, folder=tmp_path / where, should_stop=after(stop))
        assert (stopped.value.folder, stopped.value.step) == (tmp_path / where, stop)
        run_id = json.loads((tmp_path / where / "run.json").read_text())["run_id"]
        assert MlflowClient().get_run(run_id).info.status == "KILLED"
        assert [step for step, _ in history(run_id, "train/loss")] == [s for s in (0, 5, 9) if s < stop]

        resumed = run(recipe, folder=tmp_path / where)
        assert resumed.run_id == run_id and MlflowClient().get_run(run_id).info.status == "FINISHED"
        assert_same(resumed, unbroken)


def test_a_run_may_be_stopped_again_and_again(tmp_path):
    recipe = load_recipe("gated_loop", [*SMALL, "training.max_steps=6", "training.validate_every=4", *ALL])
    unbroken = run(recipe, folder=tmp_path / "unbroken")
    for step in range(1, 7):
        with pytest.raises(Stopped, match=f"stopped after step {step}"):
            run(recipe, folder=tmp_path / "broken", should_stop=after(1))
    assert_same(run(recipe, folder=tmp_path / "broken"), unbroken)


def test_pruning_comes_before_stopping(tmp_path):
    def prune(step, scores):
        raise Pruned("enough")

    assert run(load_recipe("gated_loop", SMALL), on_validation=prune, should_stop=after(10)).status == "pruned"


@pytest.mark.parametrize(
    "number, status, num_devices",
    [(signal.SIGTERM, 143, 1), (signal.SIGINT, 130, 1), pytest.param(signal.SIGTERM, 143, 2, marks=pytest.mark.slow)],
)
def test_train_stops_on_signals_and_prints_what_goes_on(number, status, num_devices, monkeypatch):
    begin, before = loop.begin, [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    def interrupted(learner, index, batch):
        if index == 6:
            os.kill(os.getpid(), number)
        return begin(learner, index, batch)

    monkeypatch.setattr(loop, "begin", interrupted)
    overrides = [*SMALL, "training.schedule={kind: constant, warmup_steps: 0}", f"training.num_devices={num_devices}"]
    result = CliRunner().invoke(app, ["train", "gated_loop", *overrides])
    assert result.exit_code == status and "stopped after step 7" in result.output, result.output
    assert before == [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    monkeypatch.setattr(loop, "begin", begin)
    command = shlex.split(re.search(r"mythos train .*", result.output)[0])
    resumed = CliRunner().invoke(app, command[1:])
    assert resumed.exit_code == 0 and "finished" in resumed.output, resumed.output


@pytest.mark.parametrize(
    "where, phase, resumes",
    [
        (assembly, "effects", False),
        (assembly, "cost", False),
        (state, "depth_curve", True),  # with which the last validation ends
        (measuring, "_look_at_depths", True),
    ],
)
def test_a_signal_while_nothing_is_trained_is_heeded_at_once(where, phase, resumes, monkeypatch):
    def takes_long(*arguments, **keywords):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(100)

    overrides = [*SMALL, "training.max_steps=4", "training.validate_every=2", "training.schedule.warmup_steps=0"]
    begun = time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, phase, takes_long)
        result = CliRunner().invoke(app, ["train", "gated_loop", *overrides])
    assert time.monotonic() - begun < 90 and result.exit_code == 143, result.output
    assert ("stopped after step 4" if resumes else "stopped before a step was trained") in result.output
    command = shlex.split(re.search(r"mythos train .*", result.output)[0])
    assert ("--resume" in command) == resumes == os.path.isdir("runs")
    resumed = CliRunner().invoke(app, command[1:])
    assert resumed.exit_code == 0 and "finished" in resumed.output, resumed.output
