"""One run: what it leaves, that it repeats, and that it resumes to the same numbers."""

import json
import subprocess
import sys

import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from safetensors.torch import load_file
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.measures.evaluate import evaluate_gain
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.tracking.mlflow import Tracker
from mythos_lab.training.result import ENVIRONMENT, read_values
from mythos_lab.training.run import Pruned, Stopped, run
from tests.lab.recipes import short
from tests.lab.training.runs import SMALL, history


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


PACKED = [
    "task.packing=packed",
    "task.tokenizer={kind: bpe, vocab_size: 300}",
    "task.max_bytes=60000",
    "task.length=32",
]


@pytest.mark.parametrize("overrides", [[], PACKED], ids=["bytes in a stream", "packed tokens, several epochs"])
def test_a_killed_run_resumes_to_the_numbers_of_an_unbroken_one(tmp_path, monkeypatch, overrides):
    monkeypatch.setenv("MYTHOS_CACHE", str(tmp_path / "cache"))
    few = ["training.max_steps=8", "training.validate_every=4", "training.log_every=2", *short("openmythos")]
    recipe = load_recipe("openmythos", [*SMALL, *few, *overrides])
    unbroken = run(recipe, folder=tmp_path / "unbroken")

    class Kill(BaseException):
        """Nothing catches it, as nothing catches SIGKILL."""

    def kill(step, scores):
        raise Kill

    with pytest.raises(Kill):
        run(recipe, folder=tmp_path / "broken", on_validation=kill)
    resumed = run(recipe, folder=tmp_path / "broken")
    same = {name for name in resumed.metrics if not name.startswith("speed/")}
    assert {n: resumed.metrics[n] for n in same} == {n: unbroken.metrics[n] for n in same}
    for name in ("train/loss", "train/num_loops", "val/loss"):
        assert history(resumed.run_id, name) == history(unbroken.run_id, name)
    one, other = (load_file(tmp_path / folder / "model.safetensors") for folder in ("unbroken", "broken"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_seeds_differ_and_repeat(tmp_path):
    losses = [run(load_recipe("gated_loop", [*SMALL, f"seed={seed}"])).metrics["val/loss"] for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_a_run_that_diverges_says_why_and_keeps_its_last_metrics(tmp_path):
    result = run(load_recipe("gated_loop", [*SMALL, "training.optimizer.lr=1e30", "training.gradient_clip=0"]))
    assert result.status == "diverged" and "the loss is" in result.reason and "train/loss" in result.metrics
    assert MlflowClient().get_run(result.run_id).info.status == "FAILED"


def test_a_model_whose_validation_is_no_number_has_diverged(tmp_path, monkeypatch):
    """The last update may break it after its loss was logged, and an accuracy it would have all the same."""
    recipe = load_recipe("gated_loop", SMALL)

    def broken(model, *arguments):
        with torch.no_grad():
            next(model.parameters()).fill_(torch.nan)
        return evaluate_gain(model, *arguments)

    monkeypatch.setattr("mythos_lab.training.state.evaluate_gain", broken)
    result = run(recipe)
    assert result.status == "diverged" and result.reason.startswith("the validation loss is nan at step")


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path, monkeypatch):
    recipe = load_recipe("gated_loop", SMALL)
    with pytest.raises(Stopped):
        run(recipe, folder=tmp_path / "here", should_stop=lambda: True)
    first = read_values(tmp_path / "here", ENVIRONMENT)
    with pytest.raises(Stopped):
        run(recipe, folder=tmp_path / "here", should_stop=lambda: True)
    assert read_values(tmp_path / "here", ENVIRONMENT) == first
    monkeypatch.setattr("mythos_lab.training.beginning.environment", lambda *_: {**first, "device": "NVIDIA H100"})
    run(recipe, folder=tmp_path / "here")
    written = read_values(tmp_path / "here", ENVIRONMENT)
    assert written["device"] == first["device"] and [e["device"] for e in written["resumed"]] == ["NVIDIA H100"]


def test_a_run_can_be_pruned(tmp_path):
    def prune(step, scores):
        raise Pruned("enough")

    result = run(load_recipe("gated_loop", SMALL), on_validation=prune)
    assert (result.status, result.reason) == ("pruned", "enough")


def test_the_depth_curve_is_in_the_result(tmp_path):
    result = run(load_recipe("gated_loop", SMALL))
    rows = json.loads((result.folder / "result.json").read_text())["depth_curve"]
    assert [row["loops"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8, 16]
    assert set(rows[0]) == {
        "loops",
        "loss",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "hops=1",
        "hops=2",
        "hops=3",
        "hops=4",
    }


def test_the_depth_curve_is_measured_again_from_the_folder_alone(tmp_path):
    """In a process that has loaded nothing else: the recipe's components are found from there."""
    result = run(load_recipe("gated_loop", SMALL))
    (result.folder / "depth_curve.png").unlink()
    shown = subprocess.run(
        [sys.executable, "-m", "mythos_lab.cli", "depth", str(result.folder)], capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    accuracy = f"{result.curve.scores[7].accuracy:.3f}"
    assert any(line.split()[:1] == ["7"] and accuracy in line for line in shown.stdout.splitlines()), shown.stdout
    assert (result.folder / "depth_curve.png").is_file() and "figure: " in shown.stdout


def test_a_device_that_is_not_here_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    before = sorted(tmp_path.rglob("*"))
    for accelerator in ("gpu", "mps"):
        with pytest.raises(Misplaced, match=f"training.accelerator={accelerator}, and torch finds none here"):
            run(load_recipe("gated_loop", [*SMALL, f"training.accelerator={accelerator}"]))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tracker_that_does_not_answer_is_said_in_a_line_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = sorted(tmp_path.rglob("*"))
    for store, shown in (
        ("http://me:hunter2@127.0.0.1:9", "tracking: http://127.0.0.1:9: "),
        ("foo://x", "foo://x"),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
        with pytest.raises(Misplaced) as caught:
            run(load_recipe("gated_loop", SMALL))
        assert shown in str(caught.value) and "hunter2" not in str(caught.value) and len(caught.value.lines) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tracker_that_goes_away_ends_a_run_with_a_line_and_the_run_goes_on_later(tmp_path, monkeypatch):
    def gone(*_, **__):
        raise MlflowException("the server\nis away")

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "artifact", gone)
        patch.setattr(Tracker, "finish", gone)
        ended = CliRunner().invoke(app, ["train", "gated_loop", *SMALL])
        patch.undo()
    assert ended.exit_code == 1 and ended.stderr.strip() == "tracking: the server is away"
    (folder,) = (tmp_path / "runs").iterdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert run(load_recipe("gated_loop", SMALL), folder=folder).status == "finished"


@pytest.mark.parametrize("commit", [None, "abc"])
def test_the_commit_is_told_to_mlflow_where_there_is_one(monkeypatch, commit):
    class Taken(Exception):
        pass

    def take(*_, tags, **__):
        raise Taken(tags)

    monkeypatch.setattr("mythos_lab.training.assembly.effects", lambda *_: [])
    monkeypatch.setattr("mythos_lab.training.beginning.environment", lambda *_: {"git_commit": commit})
    monkeypatch.setattr("mythos_lab.training.beginning.Tracker", take)
    with pytest.raises(Taken) as taken:
        run(load_recipe("gated_loop", SMALL))
    assert taken.value.args[0].get("mlflow.source.git.commit", None) == commit
    assert ("mlflow.source.git.commit" in taken.value.args[0]) == (commit is not None)
