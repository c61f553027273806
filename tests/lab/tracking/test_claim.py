"""Two of everything at once: the second is refused in one line, or they share."""

import subprocess
import sys
import threading

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.holdout import open_holdout
from mythos_lab.recipe import load_recipe
from mythos_lab.search.opening import find_study
from mythos_lab.search.study import run_study
from mythos_lab.tracking.claim import InUse, claimed
from mythos_lab.tracking.process import identity
from mythos_lab.training.run import run
from tests.lab.search.conftest import here as here
from tests.lab.search.driving import results
from tests.lab.search.tiny import OVERRIDES, work_off, write

HOLD = """
import sys, time
from pathlib import Path
from mythos_lab.tracking.claim import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_claim_is_refused_while_its_holder_lives_and_taken_over_when_it_is_dead(here):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(here / "lock")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUse, match=f"process {holder.pid} on .* is at work there") as raised, claimed(here / "lock"):
        pass
    assert len(raised.value.lines) == 1
    holder.kill()
    holder.wait()
    with claimed(here / "lock"):
        assert (here / "lock").read_text() == identity()
    assert not (here / "lock").exists()


def test_of_many_who_wait_for_a_claim_one_at_a_time_has_it(here):
    inside, most, lock = [], [], threading.Lock()

    def claim():
        for _ in range(5):
            with claimed(here / "lock", patience=60):
                with lock:
                    inside.append(1)
                    most.append(len(inside))
                with lock:
                    inside.pop()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 30


def test_a_second_run_in_a_folder_is_refused_and_the_first_comes_to_what_it_would_have(here):
    recipe = load_recipe("gated_loop", OVERRIDES)
    alone, refused = run(recipe, folder=here / "alone"), []

    def second(step, scores):
        with pytest.raises(InUse, match="is at work there"):
            run(recipe, folder=here / "shared")
        shown = CliRunner().invoke(app, ["train", "gated_loop", *OVERRIDES, "--resume", str(here / "shared")])
        refused.append((shown.exit_code, len(shown.stderr.strip().splitlines()), "is at work there" in shown.stderr))

    shared = run(recipe, folder=here / "shared", on_validation=second)
    assert refused and set(refused) == {(2, 1, True)}
    same = {name for name in alone.metrics if not name.startswith(("speed/", "memory/"))}
    assert {n: shared.metrics[n] for n in same} == {n: alone.metrics[n] for n in same}
    steps = [m.step for m in MlflowClient().get_metric_history(shared.run_id, "val/loss")]
    assert sorted(steps) == sorted(set(steps)) and not (here / "shared" / "run.lock").exists()


def test_two_studies_that_begin_at_once_have_one_parent_and_share_the_trials(here, a_store):
    searched = {"space": {"seed": {"int": [0, 3]}}, "sampler": "grid"}
    space = write(here, **searched, workers=1)
    command = [sys.executable, "-m", "mythos_lab.cli", "study", "tiny.yaml"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [process.communicate(timeout=500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("mythos").experiment_id])
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if r is not parent]
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parent.info.run_id} and len(children) == 4
    assert results(find_study(space)) == results(work_off(write(here, **searched, name="alone")))


def test_a_parent_whose_maker_died_before_it_was_written_down_is_found(here, monkeypatch):
    space = write(here, space={"seed": {"int": [0, 0]}}, sampler="random", trials=1)
    study = work_off(space)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(study), "set_user_attr", dies_at("mlflow_run", type(study).set_user_attr))
        run_study(space)
    run_study(space)
    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("mythos").experiment_id])
    assert sum(r.data.tags.get("mythos.study") == "tiny" and "mythos.trial" not in r.data.tags for r in runs) == 1


def dies_at(key, whole):
    def set_user_attr(self, name, value):
        if name == key:
            raise KeyboardInterrupt
        whole(self, name, value)

    return set_user_attr


def test_a_holdout_is_opened_by_one(here, monkeypatch):
    space = write(here, space={"seed": {"int": [0, 0]}}, sampler="random", trials=1)
    work_off(space)
    with claimed(space.folder / "holdout.lock"):
        shown = CliRunner().invoke(app, ["holdout", "tiny.yaml"])
        assert shown.exit_code == 2 and "is at work there" in shown.stderr
        assert len(shown.stderr.strip().splitlines()) == 1
    assert "holdout_opened" not in find_study(space).user_attrs
    assert not open_holdout(space, find_study(space)).before


def test_ablations_that_are_written_at_once_are_whole(here, a_store):
    command = [sys.executable, "-m", "mythos_lab.cli", "ablate", "gated_loop", *OVERRIDES, "--dry-run"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0] == said[1] and len(list((here / "studies").iterdir())) == 1
