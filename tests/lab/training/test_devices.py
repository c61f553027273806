"""Several devices train what one trains: processes that share every batch, here on the CPU."""

import json
import os
import select
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest
import torch.distributed as dist
from mlflow import MlflowClient
from safetensors.torch import load_file

from mythos_lab.comparison.inputs import read_arm, unequal
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training import loop
from mythos_lab.training.assembly import assemble
from mythos_lab.training.beginning import begin_run
from mythos_lab.training.other_devices import hold_recipe
from mythos_lab.training.run import Pruned, RankDied, Stopped, run
from tests.lab.recipes import short
from tests.lab.training.runs import assert_same, history

TINY = [
    "training.max_steps=6", "training.validate_every=4", "training.log_every=2", "training.batch_size=8",
    "training.schedule.warmup_steps=1", "training.num_threads=1", "task.validation_size=16", "task.test_size=8",
    "evaluation.depth_factor=1", "evaluation.knockouts=false", "evaluation.ood=false",
]  # fmt: skip

OVERRIDES = {
    "gated_loop": ["task=word_problem", "mask=causal", "measures=[]", *TINY],
    "openmythos": ["task.length=16", "model.width=32", *short("openmythos"), *TINY],
}

# Adam moves a weight by the learning rate, 3e-3 here, however small its gradient; so rounding shows where it is
# smallest: of one weight in 4,608 it came to 2.7e-5 where all others of all parameters were within 1.2e-6.
ROUNDING = 2e-5

OF_A_DEVICE = ("cost/activation_bytes", "cost/peak_memory_bytes")

KEPT = [
    "task=copy",
    "mask=causal",
    "model.core.loops_per=sequence",
    "training.num_microbatches=2",
    "training.ema=0.5",
    "training.groups=[{slot: norm, lr: 2}]",
]

SYSTEMS = {
    "openmythos, experts' bias and ACT": ("openmythos", ["ddp"], []),
    "openmythos, experts' bias and ACT, iterations that are computed again": (
        "openmythos", ["fsdp2"], ["training.checkpointing=iteration"],
    ),
    "compiled layers": pytest.param("gated_loop", ["ddp", "fsdp2"], ["training.compile=true"], marks=pytest.mark.slow),
    "other numbers of scored tokens on each, and terms that are means over them": (
        "gated_loop",
        ["auto"],
        ["task=copy", "mask=causal", "model.core.halting=gate_cdf", "training.objective=expected",
         "training.penalties=[gate_improvement, z_loss]"],
    ),
}  # fmt: skip


def others():
    """The ranks that this process has started and that are still there."""
    return [p for p in psutil.Process().children() if "mythos_lab.training.follower" in p.cmdline()]


@pytest.fixture(autouse=True)
def everything_ends():
    yield
    assert others() == [] and not dist.is_initialized()


def recipe(num_devices, name="gated_loop", overrides=()):
    return load_recipe(name, [*OVERRIDES[name], *overrides, f"training.num_devices={num_devices}"])


@pytest.mark.parametrize("name, strategies, overrides", SYSTEMS.values(), ids=SYSTEMS)
def test_two_processes_reach_the_weights_and_the_numbers_of_one(name, strategies, overrides, tmp_path):
    one = run(recipe(1, name, overrides), folder=tmp_path / "one")
    for strategy in strategies:
        shared = recipe(2, name, [*overrides, f"training.strategy={strategy}"])
        assert_near(one, run(shared, folder=tmp_path / strategy))


def assert_near(one, two):
    """Of the runs of one process and of two."""
    a, b = (load_file(result.folder / "model.safetensors") for result in (one, two))
    for parameter in a:
        *rest, most = (a[parameter] - b[parameter]).abs().flatten().sort().values.tolist()
        assert max(rest, default=0.0) <= ROUNDING and most <= 2 * ROUNDING, parameter
    measured = [n for n in one.metrics if not n.startswith(("speed/", "cost/"))]
    assert {n: two.metrics[n] for n in measured} == pytest.approx(
        {n: one.metrics[n] for n in measured}, rel=1e-5, abs=1e-6
    )
    # Counted on the samples of one device, of which more or fewer tokens may be scored.
    counted = [n for n in one.metrics if n.startswith("cost/") and n not in OF_A_DEVICE]
    assert {n: two.metrics[n] for n in counted} == pytest.approx({n: one.metrics[n] for n in counted}, rel=1e-2)
    for metric in ("train/loss", "train/total_loss", "train/gradient_norm", "train/num_loops", "val/loss"):
        assert [s for s, _ in history(two.run_id, metric)] == [s for s, _ in history(one.run_id, metric)]
        assert [v for _, v in history(two.run_id, metric)] == pytest.approx(
            [v for _, v in history(one.run_id, metric)], rel=1e-5
        )
    looked, alone = (history(result.run_id, "live/stability/sigma_max_J") for result in (two, one))
    assert looked and dict(looked) == pytest.approx(dict(alone), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_stopped_run_of_two_goes_on_to_the_same_bits_and_leaves_the_environment_as_it_was(strategy, tmp_path):
    """With parts of each device's batch and a loop count for each sequence, an average, and rates by slot."""
    before, shared = dict(os.environ), recipe(2, overrides=[f"training.strategy={strategy}", *KEPT])
    unbroken = run(shared, folder=tmp_path / "unbroken")
    assert_near(run(recipe(1, overrides=KEPT), folder=tmp_path / "one"), unbroken)
    assert {k: v for k, v in os.environ.items() if "MLFLOW" not in k} == {
        k: v for k, v in before.items() if "MLFLOW" not in k
    }
    asked = iter(range(1, 10))
    with pytest.raises(Stopped, match="after step 3"):
        run(shared, folder=tmp_path / "broken", should_stop=lambda: next(asked) == 3)
    assert others() == []
    assert_same(run(shared, folder=tmp_path / "broken"), unbroken)


def test_pruning_and_divergence_end_all():
    def prune(step, scores):
        raise Pruned("enough")

    assert run(recipe(2, overrides=["training.strategy=fsdp2"]), on_validation=prune).status == "pruned"
    assert others() == []
    worse = ["training.optimizer.lr=1e30", "training.gradient_clip=0", "training.log_every=1"]
    assert run(recipe(2, overrides=worse)).status == "diverged"


def test_a_run_whose_other_rank_has_died_goes_on_with_the_one_that_is_left_and_as_well_the_other_way(tmp_path):
    def kill(step, scores):
        others()[0].kill()

    with pytest.raises(RankDied, match="rank 1 ended with status -9"):
        run(recipe(2, overrides=["training.strategy=fsdp2"]), folder=tmp_path / "fewer", on_validation=kill)
    run_id = json.loads((tmp_path / "fewer" / "run.json").read_text())["run_id"]
    assert MlflowClient().get_run(run_id).info.status == "FAILED"
    asked = iter(range(1, 10))
    with pytest.raises(Stopped, match="after step 2"):
        run(recipe(1), folder=tmp_path / "more", should_stop=lambda: next(asked) == 2)

    unbroken = run(recipe(1), folder=tmp_path / "one")
    results = {1: run(recipe(1), folder=tmp_path / "fewer"), 2: run(recipe(2), folder=tmp_path / "more")}
    expected = load_file(unbroken.folder / "model.safetensors")
    for num, result in results.items():
        weights = load_file(result.folder / "model.safetensors")
        assert all((weights[name] - expected[name]).abs().max() <= 2 * ROUNDING for name in expected)
        assert result.metrics["val/loss"] == pytest.approx(unbroken.metrics["val/loss"], rel=1e-5)
        differing = unequal(read_arm([unbroken.folder]), read_arm([result.folder]))
        assert {"number of devices", "strategy"} <= set(differing) and "resumed elsewhere" not in differing
        assert differing["number of devices"] == (1, [3 - num, num])
    assert differing["strategy"] == (None, [None, "ddp"])


@pytest.mark.parametrize(
    "begun, overrides, said",
    [
        (1, ["training.max_steps=8"], "training.max_steps was 6, is 8; "),
        (2, ["model.core.initial_state=normal"], "num_devices was 2, is 1, and the model draws noise"),
        (2, ["model.core.layer.feedforward={kind: moe, balance_weight: 0.1}"], "is 1, and a term is each device's own"),
        (2, ["model.core.layer.feedforward=moe"], None),
        (2, ["training.num_microbatches=2", "training.precision=bfloat16", "training.ema=0.5"], None),
    ],
)
def test_another_recipe_is_named_by_its_field_and_so_are_devices_where_they_make_another_run(begun, overrides, said):
    there, here = recipe(begun, overrides=overrides if begun > 1 else []), recipe(1, overrides=overrides)
    with pytest.raises(Misplaced, match=said) if said else nullcontext():
        hold_recipe(Path("run"), there, here, *assemble(here))


def test_the_others_end_when_rank_0_is_killed(tmp_path, a_store):
    script = """
import os, signal, sys
from tests.lab.training.test_devices import others, recipe, run

def die(step, scores):
    print(others()[0].pid, flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)

run(recipe(2), on_validation=die)
"""
    (tmp_path / "rank_0.py").write_text(script)
    rank_0 = subprocess.Popen(
        [sys.executable, tmp_path / "rank_0.py"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    other = os.pidfd_open(int(rank_0.stdout.readline()))
    assert select.select([other], [], [], 0) == ([], [], [])  # it lives
    rank_0.communicate(b"\n")
    assert rank_0.returncode == -9 and select.select([other], [], [], 300)[0] == [other]
    os.close(other)


def test_fsdp2_spreads_weights_and_optimiser_state(monkeypatch):
    held = {}

    def count(fabric, path, training, learner):
        held["weights"] = sum(p.to_local().numel() for p in learner.model.parameters())
        held["whole"] = sum(p.numel() for p in learner.model.parameters())
        states = learner.optimizer.state.values()
        held["moments"] = sum(state["exp_avg"].to_local().numel() for state in states)
        raise Pruned

    monkeypatch.setattr(loop, "save_checkpoint", count)
    assert run(recipe(2, overrides=["training.strategy=fsdp2"])).status == "pruned"
    assert held["weights"] == held["moments"] and 0.5 <= held["weights"] / held["whole"] < 0.51


def test_a_rank_that_cannot_start_says_why(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("import sys\nassert 'pytest' in sys.modules, 'not in another process'\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RankDied, match="rank 1 ended with status 1: .*not in another process.*; see .*rank-1.log"):
        run(recipe(2, overrides=["imports=[only_here]"]))


@pytest.mark.parametrize(
    "declared, said",
    [
        ("model.core.stabilizer=spectral_clip", "model.core.stabilizer=spectral_clip changes whole matrices"),
        ("training.rounding={to: int4}", "training.rounding rounds whole rows"),
        ("training.optimizer=muon", "training.optimizer=muon makes whole matrices orthogonal"),
    ],
)
def test_what_needs_whole_weights_is_not_spread(declared, said, tmp_path):
    with pytest.raises(RecipeError, match=f"fsdp2: {said}"):
        run(recipe(2, overrides=["training.strategy=fsdp2", declared]), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["training.num_devices=3"], "training: num_devices=3 must divide batch_size=8"),
        (["training.strategy=ddp"], "training: strategy=ddp needs num_devices above 1"),
    ],
)
def test_devices_that_cannot_share_are_refused_in_one_line(overrides, said):
    with pytest.raises(RecipeError) as error:
        load_recipe("gated_loop", [*OVERRIDES["gated_loop"], *overrides])
    assert len(error.value.lines) == 1 and said in error.value.lines[0]


def test_other_devices_than_torchrun_started_are_refused(monkeypatch, tmp_path):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "4")
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    for num in (1, 2):
        with pytest.raises(
            RecipeError, match=f"num_devices={num}, and torchrun started 4 .* set training.num_devices=4"
        ):
            run(recipe(num), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def by_torchrun(train):
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", *train],
        check=True,
        capture_output=True,
    )


def by_srun(train):
    """What srun does on one machine, as far as its tasks can see."""
    shared = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "localhost",
              "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0"}  # fmt: skip
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", *train],
            env={**os.environ, **shared, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)},
            stdout=subprocess.DEVNULL,
        )
        for task in range(2)
    ]
    assert [task.wait() for task in tasks] == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("launch", [by_torchrun, by_srun])
def test_processes_that_others_start_train_together(launch, tmp_path, a_store):
    alone = run(recipe(1), folder=tmp_path / "alone")
    launch(["mythos_lab.cli", "train", "gated_loop", *OVERRIDES["gated_loop"], "training.num_devices=2"])
    (folder,) = (tmp_path / "runs").iterdir()
    a, b = (load_file(where / "model.safetensors") for where in (alone.folder, folder))
    assert all((a[name] - b[name]).abs().max() <= ROUNDING for name in a)
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_a_rank_with_other_data_trains_nothing(tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {i} of a text\n\n" for i in range(200)))

    def edited(*arguments):
        text.write_text(text.read_text() + "and one more\n")
        return begin_run(*arguments)

    monkeypatch.setattr("mythos_lab.training.run.begin_run", edited)
    overrides = ["task=text", f"task.path={text}", "task.length=16", "mask=causal", "model.core.halting=none"]
    with pytest.raises(Misplaced, match="rank 1 has other data for the task 'text' than rank 0: .*same files"):
        run(recipe(2, overrides=overrides))
