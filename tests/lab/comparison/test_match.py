"""Counterparts at equal budgets, verified by counting what the models store and run."""

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mythos_lab.cli import app
from mythos_lab.comparison.match import BUDGETS, match
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.cost import cost
from tests.lab.counting import Real, assemble, peak_and_between, torch_counts

SHORT = ["training.batch_size=2", "task.validation_size=8", "task.test_size=8"]


def stored(recipe):
    return sum(p.numel() for p in assemble(recipe)[0].parameters())


def expected_training_flops(recipe):
    """torch's own counter on real steps at every loop count, weighed by how often the sampler draws it."""
    real, total = Real(recipe), 0.0
    real.model.train()
    for n, share in enumerate(real.model.core.loops.training_pmf().tolist()):
        if n and share:
            total += share * torch_counts(lambda n=n: real.step(n))
    return total * recipe.training.max_steps


@pytest.mark.parametrize("name", ["openmythos", "gated_loop", "huginn", "parcae", "looped"])
def test_a_stack_with_as_many_parameters(name):
    original = load_recipe(name, SHORT)
    found = match(original, ["params"])
    assert abs(stored(found.recipe) / stored(original) - 1) <= 0.01
    model, _ = assemble(found.recipe)
    assert model.core.loops.max_loops == 1 and len(model.core.layers) == original.model_spec().core.depth
    assert model.core.injection.kind == model.core.halting.kind == model.core.depth_signal.kind == "none"


@pytest.mark.parametrize("name, short", [("openmythos", ["task.length=32"]), ("gated_loop", [])])
def test_a_stack_that_computes_as_much(name, short):
    original = load_recipe(name, [*SHORT, *short])
    found = match(original, ["training_flops"])
    assert found.mismatch <= 0.01
    assert abs(expected_training_flops(found.recipe) / expected_training_flops(original) - 1) <= 0.01
    assert found.recipe.training == original.training and found.recipe.task == original.task


def test_a_loop_for_a_stack():
    original = load_recipe("fixed_depth", SHORT)
    found = match(original, ["params"], loops=6)
    model, _ = assemble(found.recipe)
    assert model.core.loops.eval_loops == 6 and len(model.core.layers) == 1
    assert abs(stored(found.recipe) / stored(original) - 1) <= 0.01


def test_a_loop_that_computes_as_much_as_a_stack():
    original = load_recipe("fixed_depth", [*SHORT, "task.length=16"])
    found = match(original, ["training_flops"], loops=3)
    assert assemble(found.recipe)[0].core.loops.max_loops == 3
    assert abs(expected_training_flops(found.recipe) / expected_training_flops(original) - 1) <= 0.01


def test_as_many_parameters_and_as_much_computing_by_longer_or_shorter_training():
    original = load_recipe("gated_loop", SHORT)
    found = match(original, ["training_flops", "params"], ["training.max_steps", "model.core.layer.feedforward.hidden"])
    assert abs(stored(found.recipe) / stored(original) - 1) <= 0.01
    assert abs(expected_training_flops(found.recipe) / expected_training_flops(original) - 1) <= 0.01
    assert found.recipe.training.max_steps > 2 * original.training.max_steps, "a step of one layer costs less"


def test_a_stack_that_takes_as_much_memory():
    original = load_recipe("looped", ["training.batch_size=8", "task.validation_size=8"])
    found = match(original, ["memory"])
    peaks = []
    for recipe in (original, found.recipe):
        real = Real(recipe)
        real.model.train()
        peaks.append(peak_and_between(real, real.model.core.loops.max_loops)[0])
    assert peaks[1] == pytest.approx(peaks[0], rel=0.01)


@pytest.mark.parametrize("name", sorted(set(BUDGETS) - {"params", "training_flops", "memory"}))
def test_every_budget_can_be_held(name):
    original = load_recipe("looped", SHORT)
    found = match(original, [BUDGETS[name]])
    assert set(found.held) == {name}, "by its metric's name or its own"
    metric = BUDGETS[name].removeprefix("cost/")
    assert abs(getattr(cost(found.recipe), metric) / getattr(cost(original), metric) - 1) <= 0.01


def test_the_sizes_that_are_solved_for_can_be_chosen():
    found = match(load_recipe("gated_loop"), ["params"], ["model.core.depth", "model.width"])
    assert set(found.varied) == {"model.core.depth", "model.width"} and found.mismatch <= 0.01
    assert assemble(found.recipe)[0].embedding.embedding_dim % 8 == 0, "four heads of even size"


def test_what_cannot_be_held_together_is_refused_with_the_nearest():
    with pytest.raises(
        RecipeError, match="no counterpart within 1%; the nearest misses params .*, training_flops .* at"
    ):
        match(load_recipe("gated_loop"), ["params", "training_flops"])


@pytest.mark.parametrize(
    "recipe, options, said",
    [
        ("gated_loop", {"hold": ["parms"]}, "--hold parms: cannot be held; did you mean 'params'"),
        ("gated_loop", {"hold": ["params", "cost/params"]}, "names a budget twice"),
        ("gated_loop", {"hold": ["params"], "vary": ["model.core.layer.norm"]}, "not a whole number"),
        ("gated_loop", {"hold": ["params"], "vary": ["model.wdith"]}, "did you mean 'width'"),
        ("gated_loop", {"hold": ["params"], "loops": 4}, "the counterpart of a looped recipe has none"),
        ("fixed_depth", {"hold": ["params"], "loops": 1}, "at least 2"),
        ("mqar", {"hold": ["params"], "loops": 2}, "feed-forward 'identity' has no inner size"),
        ("gated_loop", {"hold": ["cache_bytes"]}, "mask: 'task' lets positions read later ones"),
        ("looped", {"hold": ["params"], "vary": ["training.max_steps"]}, "max_steps: does not change cost/params"),
    ],
)
def test_mistakes(recipe, options, said):
    with pytest.raises(RecipeError, match=said):
        match(load_recipe(recipe), **options)


def test_the_command_writes_a_recipe_that_is_clean(tmp_path):
    path = tmp_path / "layers.yaml"
    result = CliRunner().invoke(app, ["match", "gated_loop", "--hold", "params", "--write", str(path)])
    assert result.exit_code == 0 and "28,080" in result.output
    assert yaml.safe_load(path.read_text())["name"] == "gated_loop-layers"
    torch.manual_seed(0)
    assert "clean" in CliRunner().invoke(app, ["check", str(path)]).output
