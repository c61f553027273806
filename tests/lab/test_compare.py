"""Comparisons: every unequal input is named, and "better" is said only where nothing undeclared differs."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.search.compare import compare
from mythos_lab.search.inputs import differences, read_arm, unequal
from mythos_lab.training.run import run

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
        }.items():
            for seed in (0, 1, 2) if name in ("plain", "deeper") else (0,):
                recipe = load_recipe("gated_loop", [*SMALL, *overrides, f"seed={seed}"])
                made[name, seed] = run(recipe, folder=root / f"{name}-{seed}").folder
    return made


def arm(runs, name, seeds=(0, 1, 2)):
    return [runs[name, seed] for seed in seeds]


def rewritten(folders, root, values):
    """Copies of runs with other accuracies."""
    copies = []
    for folder, value in zip(folders, values, strict=True):
        copy = root / f"copy-{len(list(root.iterdir()))}-{folder.name}"
        shutil.copytree(folder, copy)
        written = json.loads((copy / "result.json").read_text())
        written["metrics"]["val/accuracy"] = value
        (copy / "result.json").write_text(json.dumps(written))
        copies.append(copy)
    return copies


@pytest.mark.parametrize(
    "other, names",
    [
        ("plain", set()),
        ("slower", {"learning rate curve"}),
        ("other data", {"data"}),
        ("deeper", {"model.core.depth", "parameters", "training FLOPs", "inference FLOPs per token"}),
    ],
)
def test_what_differs_is_named_and_nothing_else(runs, other, names):
    assert set(unequal(read_arm([runs["plain", 0]]), read_arm([runs[other, 0]]))) == names


def test_other_seeds_and_initial_weights_are_inputs_too(runs):
    found = unequal(read_arm([runs["plain", 0]]), read_arm([runs["plain", 1]]))
    assert (
        set(found) == {"seeds", "initial weights"}
        and "shared parameters begin otherwise" in found["initial weights"][0]
    )


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


def test_lower_is_better_for_losses(runs, tmp_path):
    found = compare(arm(runs, "plain"), arm(runs, "plain"), "val/loss")
    assert found.verdict.outcome == "no effect" and found.unequal == {}


def test_one_seed_and_noise_are_said_as_such(runs, tmp_path):
    assert "one seed tells nothing" in compare([runs["plain", 0]], [runs["deeper", 0]], "val/accuracy").sentence
    a = rewritten(arm(runs, "plain"), tmp_path, [0.5, 0.6, 0.4])
    b = rewritten(arm(runs, "plain"), tmp_path, [0.7, 0.5, 0.6])
    assert "not enough seeds to tell" in compare(a, b, "val/accuracy").sentence


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
    result = CliRunner().invoke(app, ["compare", "nowhere", folders[0]])
    assert result.exit_code == 2 and len(result.stderr.strip().splitlines()) == 1
