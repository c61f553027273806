"""Comparisons: every unequal input is named, and "better" is said only where nothing undeclared differs."""

import json
import shutil

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from typer.testing import CliRunner

from mythos_kernels.dispatch import backend
from mythos_lab.cli import app
from mythos_lab.comparison.compare import compare, compare_arms
from mythos_lab.comparison.inputs import differences, read_arm, unequal
from mythos_lab.comparison.table import _unequal
from mythos_lab.input_names import INPUTS
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.report.table import plain
from mythos_lab.tracking.environment import environment
from mythos_lab.training.data import order_of
from mythos_lab.training.run import run
from tests.lab.training.sealing import edit

SMALL = [
    "training.max_steps=4", "training.validate_every=4", "training.batch_size=8", "task.validation_size=32",
    "task.test_size=8", "task.ood_range=0", "training.schedule.warmup_steps=0", "training.num_threads=1",
    "evaluation.knockouts=false", "evaluation.depth_factor=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder for each recipe and seed; the weights of nothing here matter."""
    root = tmp_path_factory.mktemp("runs")
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        for name, overrides in {
            "plain": [],
            "deeper": ["model.core.depth=2"],
            "slower": ["training.optimizer.lr=1e-3"],
            "other data": ["task.seed=5"],
            "smaller batches, more of them": ["training.batch_size=4", "training.max_steps=8"],
            "twice the steps": ["training.max_steps=8"],
        }.items():
            for seed in (0, 1, 2) if name in ("plain", "deeper") else (0,):
                recipe = load_recipe("gated_loop", [*SMALL, *overrides, f"seed={seed}"])
                made[name, seed] = run(recipe, folder=root / f"{name}-{seed}").folder
    return made


def arm(runs, name, seeds=(0, 1, 2)):
    return [runs[name, seed] for seed in seeds]


def rewritten(folders, root, values, metric="val/accuracy"):
    """Copies of runs with other values of a metric."""
    copies = []
    for folder, value in zip(folders, values, strict=True):
        copy = root / f"copy-{len(list(root.iterdir()))}-{folder.name}"
        shutil.copytree(folder, copy)
        edit(copy, "result.json", lambda written, value=value: written["metrics"].update({metric: plain(value)}))
        copies.append(copy)
    return copies


@pytest.mark.parametrize(
    "other, names",
    [
        ("plain", set()),
        ("slower", {"learning rate curve"}),
        ("other data", {"data", "data order"}),
        ("smaller batches, more of them", {"steps", "batch size", "learning rate curve"}),
        ("twice the steps", {"steps", "tokens seen", "training FLOPs", "learning rate curve"}),
        ("deeper", {"model.core.depth", "parameters", "training FLOPs", "inference FLOPs per token"}),
    ],
)
def test_what_differs_is_named_and_nothing_else(runs, other, names):
    assert set(unequal(read_arm([runs["plain", 0]]), read_arm([runs[other, 0]]))) == names


def changed(folder, root, file, **values):
    """A copy of a run of which a file says something else."""
    copy = root / f"{folder.name}-{len(list(root.iterdir()))}"
    shutil.copytree(folder, copy)

    def change(written):
        for name, value in values.items():
            *parents, last = name.removeprefix("/").split(".")
            inner = written["training"] if file == "recipe.yaml" and not name.startswith("/") else written
            for parent in parents:
                inner = inner[parent]
            inner[last] = value

    edit(copy, file, change)
    return copy


@pytest.mark.parametrize(
    "file, values, names",
    [
        ("data.json", {"order": "ab12"}, {"data order"}),
        ("environment.json", {"kernels": "triton"}, {"kernel path"}),
        ("environment.json", {"attention": ["math"]}, {"kernel path"}),
        ("environment.json", {"python": "3.14.0"}, set()),
        ("environment.json", {"device": "NVIDIA H100"}, {"device"}),
        ("environment.json", {"git_commit": "ab12"}, {"git commit"}),
        ("environment.json", {"git_changes": "ab12"}, {"git commit"}),
        ("environment.json", {"source": "ab12"}, {"source"}),
        ("environment.json", {"code": {"mine": "ab12"}}, {"imported code"}),
        ("environment.json", {"resumed": [{"device": "NVIDIA H100"}]}, {"resumed elsewhere"}),
        ("environment.json", {"packages": {"torch": "1.0"}}, {"versions"}),
        ("data.json", {"fingerprint": "ab12"}, {"data"}),
        ("data.json", {"tokenizer_sha256": "ab12"}, {"tokenizer"}),
        ("recipe.yaml", {"precision": "bfloat16"}, {"precision"}),
        ("recipe.yaml", {"gradient_clip": 7.0}, {"gradient clip"}),
        ("recipe.yaml", {"num_threads": 2}, {"training.num_threads"}),
        ("recipe.yaml", {"optimizer": {"kind": "adamw", "lr": 3e-3, "weight_decay": 0.3}}, {"optimizer"}),
        ("recipe.yaml", {"objective": {"kind": "blended", "alpha": 0.3}}, {"objective"}),
        ("recipe.yaml", {"penalties": [{"kind": "z_loss"}]}, {"objective"}),
        ("recipe.yaml", {"/evaluation.depth_factor": 8}, {"evaluation.depth_factor"}),
        ("recipe.yaml", {"/stability.max_spectral_radius": 0.9}, {"stability.max_spectral_radius"}),
        ("recipe.yaml", {"num_devices": 2}, {"number of devices", "strategy"}),
        ("recipe.yaml", {"num_devices": 2, "strategy": "fsdp2"}, {"number of devices", "strategy"}),
    ],
)
def test_what_a_run_has_recorded_is_compared(runs, tmp_path, file, values, names):
    plain = runs["plain", 0]
    assert set(unequal(read_arm([plain]), read_arm([changed(plain, tmp_path, file, **values)]))) == names


def test_a_strategy_that_auto_comes_to_is_no_difference(runs, tmp_path):
    one, other = (
        changed(runs["plain", 0], tmp_path, "recipe.yaml", num_devices=2, strategy=strategy)
        for strategy in ("auto", "ddp")
    )
    assert unequal(read_arm([one]), read_arm([other])) == {}


def test_runs_record_kernels_attention_and_the_order_of_their_samples(runs):
    where = json.loads((runs["plain", 0] / "environment.json").read_text())
    assert where["kernels"] == backend(torch.empty(0)) and where["attention"] == ["flash", "efficient", "cudnn", "math"]
    order = {name: json.loads((runs[name, 0] / "data.json").read_text())["order"] for name, _ in runs}
    assert order["plain"] == order["deeper"] == order["slower"] != order["other data"]


def test_the_order_is_of_samples_whatever_the_batches():
    class Reversed:
        """Samples of a task, the first 128 of them backwards."""

        def __init__(self, task):
            self.task = task

        def batch(self, split, indices):
            backwards = self.task.batch(split, range(128)).map(lambda tensor: tensor.flip(0))
            return backwards.map(lambda tensor: tensor[indices.start : indices.stop])

    task = load_recipe("gated_loop", SMALL).task.build()
    assert order_of(task, 4) == order_of(task, 50) == order_of(task, 100) != order_of(Reversed(task), 4)


def test_attention_that_is_kept_from_a_path_is_recorded():
    with sdpa_kernel(SDPBackend.MATH):
        assert environment(torch.device("cpu"))["attention"] == ["math"]


def test_other_seeds_and_initial_weights_are_inputs_too(runs):
    found = unequal(read_arm([runs["plain", 0]]), read_arm([runs["plain", 1]]))
    assert (
        set(found) == {"seeds", "initial weights"}
        and "shared parameters begin otherwise" in found["initial weights"][0]
    )


def test_every_input_has_its_name_among_those_that_can_be_declared(runs):
    arm = read_arm([runs["plain", 0]])
    assert {*arm.inputs[0], "seeds", "initial weights"} == set(INPUTS) and len(INPUTS) == len(set(INPUTS))


def test_better_is_withheld_while_anything_undeclared_differs(runs, tmp_path):
    a = rewritten(arm(runs, "plain"), tmp_path, [0.50, 0.51, 0.52])
    b = rewritten(arm(runs, "deeper"), tmp_path, [0.80, 0.82, 0.81])
    silent = compare(a, b, "val/accuracy")
    assert silent.verdict.outcome == "higher" and "better" not in silent.sentence
    assert "no more can be said: the arms also differ in" in silent.sentence and "training FLOPs" in silent.sentence
    partly = compare(a, b, "val/accuracy", ["model"])
    assert "better" not in partly.sentence and partly.undeclared == [
        "parameters", "training FLOPs", "inference FLOPs per token",
    ]  # fmt: skip
    declared = compare(a, b, "val/accuracy", ["model", *partly.undeclared])
    assert declared.sentence.startswith("B is better: B's val/accuracy is higher by +0.3")
    turned = compare(b, a, "val/accuracy", ["model", *partly.undeclared])
    assert turned.sentence.startswith("A is better")


def test_inputs_of_every_seed_are_compared(runs, tmp_path):
    plain = arm(runs, "plain")
    other = [plain[0], changed(plain[1], tmp_path, "environment.json", device="NVIDIA H100"), plain[2]]
    assert unequal(read_arm(plain), read_arm(other)) == {"device": (read_arm(plain).inputs[1]["device"], "NVIDIA H100")}
    assert unequal(read_arm(other), read_arm(other)) == {}, "seed by seed they are paired"


@pytest.mark.parametrize(
    "metric, better",
    [
        ("val/loss", "A"), ("val/accuracy", "B"), ("cost/peak_memory_bytes", "A"), ("cost/cache_bytes", "A"),
        ("speed/tokens_per_second", "B"), ("loops/gain", "B"), ("loops/overthinking", "A"),
        ("halting/mean_loops", None), ("train/gradient_norm", None), ("cost/training_tokens", None),
    ],
)  # fmt: skip
def test_a_metric_says_which_way_is_better(runs, tmp_path, metric, better):
    a = rewritten(arm(runs, "plain"), tmp_path, [0.50, 0.51, 0.52], metric)
    b = rewritten(arm(runs, "plain"), tmp_path, [0.80, 0.82, 0.81], metric)
    found = compare(a, b, metric)
    assert found.verdict.outcome == "higher" and found.unequal == {}
    expected = "neither way is better by itself" if better is None else f"{better} is better: B's {metric} is higher by"
    assert expected in found.sentence
    one, other = read_arm(a), read_arm(b)
    assert compare_arms(one, other, metric, [], 0.01, "lower").sentence.startswith("A is better"), (
        "a study may say otherwise"
    )


def test_nothing_that_matters_is_not_said_either_while_anything_undeclared_differs(runs, tmp_path):
    a = rewritten(arm(runs, "plain"), tmp_path, [0.500, 0.510, 0.520])
    b = rewritten(arm(runs, "deeper"), tmp_path, [0.5020, 0.5121, 0.5220])
    silent = compare(a, b, "val/accuracy")
    assert silent.verdict.outcome == "negligible" and "no more can be said" in silent.sentence
    assert compare(a, b, "val/accuracy", [*silent.unequal]).sentence.startswith("too small to matter")


def test_equal_accuracies_of_unequal_runs_say_nothing_of_their_scatter(runs, tmp_path):
    for metric in ("val/accuracy", "ood/best_accuracy", "loops/useful_depth"):
        a = rewritten(arm(runs, "plain"), tmp_path, [0.531, 0.421, 0.611], metric)
        b = rewritten(arm(runs, "plain"), tmp_path, [0.631, 0.521, 0.711], metric)
        assert compare(a, b, metric).verdict.outcome == "higher", "the losses are the same: it is what it is"
        b = rewritten(b, tmp_path, [0.7, 0.6, 0.5], "val/loss")
        assert "how it scatters is not seen" in compare(a, b, metric).sentence
    same = compare(arm(runs, "plain"), arm(runs, "plain"), "val/loss")
    assert same.verdict.outcome == "no effect" and same.unequal == {}


def test_arms_at_the_ceiling_are_said_to_be_there_with_the_metric_that_tells_them_apart(runs, tmp_path):
    a, b = (rewritten(arm(runs, "plain"), tmp_path, [1.0, 1.0, 1.0]) for _ in range(2))
    b = rewritten(b, tmp_path, [0.2, 0.21, 0.2], "val/loss")
    found = compare(a, b, "val/accuracy")
    assert found.sentence.startswith(
        "both arms are at the ceiling of val/accuracy, which cannot tell them apart; val/loss does"
    )
    assert "seeds" not in found.sentence and "inf" not in found.sentence
    below = rewritten(arm(runs, "plain"), tmp_path, [1.0, 1.0, 0.9])
    assert "ceiling" not in compare(a, below, "val/accuracy").sentence


def test_what_is_no_number_is_not_compared(runs, tmp_path):
    broken = rewritten(arm(runs, "plain"), tmp_path, [0.5, float("nan"), 0.5], "val/loss")
    with pytest.raises(RecipeError, match="val/loss is nan; only finite values can be compared"):
        compare(arm(runs, "plain"), broken, "val/loss")


def test_one_seed_and_noise_are_said_as_such(runs, tmp_path):
    assert "one seed tells nothing" in compare([runs["plain", 0]], [runs["deeper", 0]], "val/accuracy").sentence
    a = rewritten(arm(runs, "plain"), tmp_path, [0.5, 0.6, 0.4])
    b = rewritten(arm(runs, "plain"), tmp_path, [0.7, 0.5, 0.6])
    noisy = compare(a, b, "val/accuracy")
    assert "not enough seeds to tell" in noisy.sentence
    assert f"a true difference of {noisy.verdict.detectable:.2g} would be found in 4 of 5" in noisy.sentence
    two = rewritten(a[:2], tmp_path, [0.9, 0.1]), rewritten(b[:2], tmp_path, [0.2, 0.8])
    assert "no difference that there can be would be found" in compare(*two, "val/accuracy").sentence


def test_differences_are_by_path_and_a_component_of_another_kind_is_one():
    a = {"core": {"kind": "loop", "depth": 1, "halting": {"kind": "act", "threshold": 0.9}}, "width": 8}
    b = {"core": {"kind": "loop", "depth": 2, "halting": {"kind": "none"}}, "width": 8}
    assert differences(a, b) == [("core.depth", 1, 2), ("core.halting", "act", "none")]


def test_mistakes(runs, tmp_path):
    with pytest.raises(RecipeError, match="no seed is in both arms"):
        compare([runs["plain", 0]], [runs["plain", 1]], "val/accuracy")
    with pytest.raises(RecipeError, match="has seed 0, as"):
        read_arm([runs["plain", 0], runs["slower", 0]])
    with pytest.raises(RecipeError, match="differs from .* in model.core.depth"):
        read_arm([runs["plain", 0], runs["deeper", 1]])
    with pytest.raises(RecipeError, match="'val/acuracy' is no metric"):
        compare([runs["plain", 0]], [runs["plain", 0]], "val/acuracy")
    with pytest.raises(RecipeError, match="a metric, but not of this run"):
        compare([runs["plain", 0]], [runs["plain", 0]], "val/bits_per_byte")
    with pytest.raises(RecipeError, match="--declare modle: does not differ; what differs is"):
        compare([runs["plain", 0]], [runs["deeper", 0]], "val/accuracy", ["modle"])
    with pytest.raises(RecipeError, match="not the folder of a finished run"):
        read_arm([tmp_path])


def test_the_command(runs):
    folders = [",".join(map(str, arm(runs, name))) for name in ("plain", "deeper")]
    result = CliRunner().invoke(app, ["compare", *folders, "--declare", "model"])
    assert result.exit_code == 0
    for text in ("model.core.depth", "declared", "undeclared", "training FLOPs", "val/accuracy"):
        assert text in result.output
    for none in ("nowhere", "", f"{folders[0]},"):
        result = CliRunner().invoke(app, ["compare", none, folders[0]])
        assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
    assert "one of them is empty" in result.stderr, "it is no name of the working directory"


def test_a_curve_that_differs_is_shown_by_its_ends_and_where_it_parts_and_a_hash_by_its_beginning():
    one, other = [0.001 * i for i in range(101)], [0.001 * i for i in range(100)] + [0.5]
    _, a, b, _ = _unequal("learning rate curve", one, other, False)
    assert (a.text, b.text) == ("0 ... 0.1 ... 0.1", "0 ... 0.5 ... 0.5")
    assert (a.value, b.value) == (one, other), "JSON has all of it"
    _, a, b, _ = _unequal("data", "a" * 64, "b" * 64, False)
    assert (a.text, b.text) == ("a" * 12, "b" * 12)
    assert _unequal("data", "a" * 63 + "b", "a" * 63 + "c", False)[1].text != "a" * 12, "hashes that begin alike"
