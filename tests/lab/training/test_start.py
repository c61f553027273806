"""A training that begins with what another one came to, and one that ends before its last step."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.compare import compare
from mythos_lab.comparison.inputs import read_arm, unequal
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.training.assembly import assemble, effects
from mythos_lab.training.history import HISTORY, read_history
from mythos_lab.training.result import DATA, read_recipe, read_values
from mythos_lab.training.run import Stopped, run
from tests.lab.training.runs import assert_same, timeless
from tests.lab.training.test_stop import after

TINY = [
    "training.max_steps=8", "training.validate_every=4", "training.log_every=2", "training.batch_size=4", "model.width=8",
    "training.schedule=constant", "training.num_threads=1", "task.validation_size=16", "task.test_size=8", "measures=[]",
    "monitor.measures=[]", "evaluation.depth_factor=1", "evaluation.knockouts=false", "evaluation.ood=false",
]  # fmt: skip
KEPT = ["training.ema=0.5", "training.optimizer={kind: muon, lr: 0.002}"]


def trained(folder, *overrides, **options):
    return run(load_recipe("gated_loop", [*TINY, *overrides]), folder=Path(folder), **options)


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


@pytest.fixture
def first():
    return trained("first", *KEPT)


def test_a_training_starts_with_the_weights_that_another_run_saved(first):
    for start in ("first", "first/model.safetensors"):
        model, _ = assemble(load_recipe("gated_loop", [*TINY, f"training.start={start}", "seed=5"]))
        assert all(torch.equal(x, weights("first")[name]) for name, x in model.named_parameters())


def test_the_command_line_says_from_which_run(first):
    Path("first").rename("it's first")
    found = CliRunner().invoke(app, ["train", "gated_loop", *TINY, "training.max_steps=2", "--from", "it's first"])
    assert found.exit_code == 0, found.output
    (folder,) = Path("runs").iterdir()
    assert read_recipe(folder).training.start == "it's first" and "start" in read_values(folder, DATA)


@pytest.mark.parametrize("kept", [KEPT, []], ids=["Muon and an average", "AdamW"])
def test_a_training_that_goes_on_comes_to_what_one_of_as_many_steps_does(kept):
    trained("first", *kept)
    more = ["training.max_steps=14", *kept]
    whole, goes_on = trained("whole", *more), [*more, "training.start=first", "training.start_with=everything"]
    with pytest.raises(Stopped, match="after step 9"):
        trained("second", *goes_on, should_stop=after(1))
    Path("first").rename("away")  # what a run has begun with need not stay
    second = trained("second", *goes_on)
    assert all(torch.equal(x, weights("whole")[name]) for name, x in weights("second").items())
    assert second.metrics["val/loss"] == whole.metrics["val/loss"]
    ours, theirs = (
        [timeless(entry) for entry in read_history(result.folder / HISTORY) if entry["step"] > 8]
        for result in (second, whole)
    )
    assert ours == theirs


def test_what_goes_on_does_so_at_the_rates_that_it_declares():
    trained("first")
    rates = {}
    for lr in (0.002, 0.004):
        second = trained(
            f"at {lr}", "training.start=first", "training.start_with=everything", "training.max_steps=12",
            f"training.optimizer.lr={lr}", "training.schedule={kind: wsd, decay_steps: 2}", "training.log_every=1",
        )  # fmt: skip
        rates[lr] = [
            e["train/learning_rate"] for e in read_history(second.folder / HISTORY) if "train/learning_rate" in e
        ]
    assert rates[0.002] == pytest.approx([0.002, 0.002, 0.002, 0.002 * (1 - 0.5**0.5)])
    assert rates[0.004] == pytest.approx([2 * rate for rate in rates[0.002]])


def test_what_a_run_began_with_is_among_its_inputs(first):
    trained("seeded")
    trained("started", "training.start=first")
    trained("again", "training.start=first/model.safetensors")
    arms = {name: read_arm([Path(name)]) for name in ("seeded", "started", "again")}
    assert len(json.loads(Path("started/data.json").read_text())["start"]) == 64
    began = f"the weights {json.loads(Path('started/data.json').read_text())['start']}"
    assert unequal(arms["seeded"], arms["started"])["start"] == ("the seed's weights", began)
    assert unequal(arms["started"], arms["again"]) == {}


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["training.start=nowhere"], "nowhere"),
        (["training.start=first", "model.width=16"], "training.start: .*embedding.weight"),
        (["training.start=first", "training.start_with=everything"], "max_steps=8: first has 8 steps behind it"),
        (["training.start=first/model.safetensors", "training.start_with=everything"], "has no last.ckpt"),
        (["training.start_with=everything"], "start_with=everything needs start"),
    ],
)
def test_what_cannot_be_started_with_is_refused_in_one_line_before_anything_is_written(overrides, said, first):
    with pytest.raises((RecipeError, Misplaced), match=said) as error:
        trained("second", *overrides)
    assert "\n" not in str(error.value) and not Path("second").exists()


def test_another_optimiser_does_not_go_on_with_the_state_of_this_one(first):
    with pytest.raises(RecipeError, match="training.optimizer=adamw: first was trained by muon"):
        trained("second", "training.start=first", "training.start_with=everything", "training.max_steps=12")
    assert not Path("second").exists()


def test_seeds_that_nothing_follows_from_are_found(first):
    start, fixed = "training.start=first", "model.core.loops={kind: fixed, num_loops: 2}"
    for overrides, codes in [([start, fixed], ["seed.no_effect"]), ([start], []), ([fixed], [])]:
        recipe = load_recipe("gated_loop", [*TINY, *overrides])
        assert [finding.code for finding in effects(recipe, *assemble(recipe))] == codes


def test_a_solved_task_ends_its_training_and_says_so():
    solved = trained("solved", "training.solved_at=0.01")
    assert (solved.status, solved.metrics["train/num_steps"]) == ("finished", 4)
    assert solved.reason == "solved after 4 steps: val/accuracy is at least 0.01"
    assert json.loads(Path("solved/result.json").read_text())["reason"] == solved.reason
    with pytest.raises(Stopped, match="after step 4"):
        trained("stopped", "training.solved_at=0.01", should_stop=after(4))
    assert_same(trained("stopped", "training.solved_at=0.01"), solved)
    unsolved = trained("unsolved", "training.solved_at=1.0")
    assert (unsolved.reason, unsolved.metrics["train/num_steps"]) == ("", 8)
    found = compare([Path("solved")], [Path("unsolved")], "val/accuracy", ["training.solved_at"])
    assert found.undeclared == [] and [line[:47] for line in found.ended_early] == [
        "A: 1 of 1 runs ended after 4 of 8 steps, when s"
    ]
