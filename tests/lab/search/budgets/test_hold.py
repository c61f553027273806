"""Candidates of a search space at equal budgets."""

import copy

import pytest

import mythos_blocks as mb
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost, cost_metric
from mythos_lab.search.budgets import sized
from mythos_lab.search.budgets.hold import Hold, Vetoed, held
from mythos_lab.search.spaces.space import load_space
from tests.lab.counting import Real, torch_counts

INNER = "model.core.layer.feedforward.hidden"


@pytest.fixture
def builds(monkeypatch):
    """How many models were built to find sizes."""
    built, build = [], sized.build_on_meta
    monkeypatch.setattr(sized, "build_on_meta", lambda recipe: built.append(recipe) or build(recipe))
    return built


def candidate(depth, **model):
    config = copy.deepcopy(load_space("quickstart").base)
    config["model"] |= model
    config["model"]["core"]["depth"] = depth
    return config


def params(config):
    recipe = validate(config, "q")
    model = recipe.model_spec().build(mb.build(recipe.task).vocab_size)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_parameters_are_held_by_building_few_models(depth, builds, monkeypatch):
    monkeypatch.setattr(sized, "cost_metric", None)  # nothing is rehearsed
    hold = Hold(budgets={"cost/params": 60_000}, by=INNER)
    assert abs(params(held(candidate(depth), hold, "q")) / 60_000 - 1) <= 0.01
    assert len(builds) <= 10


def test_the_nearest_legal_width_is_taken():
    """Four heads of even size: every eighth width is legal, and the nearest may miss by more."""
    hold = Hold(budgets={"cost/params": 28_000}, by="model.width", tolerance=0.2)
    config = held(candidate(2), hold, "q")
    width = config["model"]["width"]
    misses = {n: abs(params(candidate(2, width=n)) / 28_000 - 1) for n in (width - 8, width, width + 8)}
    assert width % 8 == 0 and min(misses, key=misses.get) == width
    with pytest.raises(Vetoed, match=f"cost/params misses 28000 by .* at the nearest model.width={width}"):
        held(candidate(2), Hold(budgets={"cost/params": 28_000}, by="model.width", tolerance=0.001), "q")


def test_several_budgets_are_held_by_several_fields():
    budgets = {"cost/training_flops": 2e11, "cost/params": 50_000, "cost/training_tokens": 200_000}
    hold = Hold(budgets=budgets, by=["training.max_steps", "training.batch_size", INNER], tolerance=0.02)
    base = {**candidate(1), "training": {**candidate(1)["training"], "schedule": {"kind": "cosine", "warmup_steps": 5}}}
    with pytest.raises(Vetoed):  # FLOPs are those of so many tokens through so many parameters
        held(base, hold, "q")
    per_token = cost_metric(validate(base, "q"), "cost/training_flops") / cost(validate(base, "q")).training_tokens
    budgets["cost/training_flops"] = 200_000 * per_token * 50_000 / cost(validate(base, "q")).params
    found = validate(held(base, hold.model_copy(update={"budgets": budgets}), "q"), "q")
    assert abs(params(found.model_dump(mode="json")) / 50_000 - 1) <= 0.02
    assert cost(found).training_tokens == pytest.approx(200_000, rel=0.02)
    real = Real(found)
    real.model.train()
    mean = sum(torch_counts(lambda n=n: real.step(n)) for n in range(1, 8)) / 7
    assert mean * found.training.max_steps == pytest.approx(budgets["cost/training_flops"], rel=0.03)


def test_equal_compute_by_longer_training():
    """What ablations hold: a step is rehearsed once, however many lengths are tried."""
    full, bare = (
        load_recipe("looped", [f"model.core.injection={kind}", "training.batch_size=2"]) for kind in ("concat", "none")
    )
    budget = cost_metric(full, "cost/training_flops")
    hold = Hold(budgets={"cost/training_flops": budget}, by="training.max_steps", tolerance=0.001)
    found = validate(held(bare.model_dump(mode="json"), hold, "q"), "q")
    assert found.training.max_steps > full.training.max_steps
    assert cost(found).training_flops == pytest.approx(budget, rel=0.001)


def test_the_recipe_s_own_budget_is_held_in_numbers():
    recipe = load_recipe("gated_loop")
    hold = Hold(budgets={"cost/params": "recipe", "cost/training_flops": 2e11}, by=["model.width", INNER])
    resolved = hold.resolved(recipe)
    assert resolved.budgets == {"cost/params": params(recipe.model_dump(mode="json")), "cost/training_flops": 2e11}
    assert resolved.resolved(load_recipe("looped")) == resolved and hold.budgets["cost/params"] == "recipe"
    alone = Hold(budgets={"cost/params": "recipe"}, by="model.width")
    assert held(recipe.model_dump(mode="json"), alone.resolved(recipe), "q")["model"]["width"] == recipe.model.width
    with pytest.raises(RecipeError, match="positions read later ones"):
        Hold(budgets={"cost/cache_bytes": "recipe"}, by="model.width").resolved(recipe)


def test_the_declared_candidate_is_not_changed():
    config = candidate(2)
    before = copy.deepcopy(config)
    held(config, Hold(budgets={"cost/params": 60_000}, by=INNER), "q")
    assert config == before


@pytest.mark.parametrize(
    "hold, error, said",
    [
        ({"by": "model.mask"}, RecipeError, "unknown field 'mask'"),
        ({"by": "model.core.layer.norm"}, RecipeError, "hold.by: model.core.layer.norm: not a whole number"),
        ({"by": "training.max_steps"}, RecipeError, "training.max_steps: does not change cost/params"),
        ({"budgets": {"cost/cache_bytes": 9}}, RecipeError, "positions read later ones"),
        ({"budgets": {"cost/params": 9}}, Vetoed, "cost/params misses 9 by"),
    ],
)
def test_mistakes_and_vetoes(hold, error, said):
    with pytest.raises(error, match=said):
        held(candidate(1), Hold(**{"budgets": {"cost/params": 30_000}, "by": INNER, **hold}), "q")
