"""What MLflow is told of a run: the parameters that are not defaults, what a study varies, what the run is for."""

from mythos_lab.recipe import load_recipe
from mythos_lab.training.described import description, parameters


def test_parameters_are_what_is_declared_otherwise_than_by_default_besides_seed_and_steps():
    told = parameters(load_recipe("gated_loop", ["training.max_steps=1000", "training.batch_size=64"]), {})
    assert told["model.core.loops.high"] == 7 and "model.core.loops.low" not in told
    assert told["model.core.update.kind"] == "highway" and "model.core.injection.kind" not in told
    assert told["training.max_steps"] == 1000 and told["seed"] == 0 and "training.batch_size" not in told
    assert not {"name", "description", "tracking.uri"} & set(told)


def test_one_field_that_is_changed_is_one_parameter_more():
    plain = parameters(load_recipe("gated_loop"), {})
    for override in ("model.core.layer.norm.eps=0.01", "training.gradient_clip=0.5", "training.penalties=[z_loss]"):
        path = override.partition("=")[0]
        assert set(parameters(load_recipe("gated_loop", [override]), {})) - set(plain) == {path}


def test_what_a_study_varies_is_told_whether_or_not_it_is_what_stands_by_default():
    recipe = load_recipe("gated_loop", ["training.optimizer.lr=0.001"])
    assert parameters(recipe, {"training.optimizer.lr": 0.001, "arm": "gated"}).items() >= {
        "training.optimizer.lr": 0.001, "arm": "gated",
    }.items()  # fmt: skip


def test_the_description_is_the_recipes_and_where_a_study_has_put_the_run():
    recipe = load_recipe("gated_loop", ["description='<b>_why_</b>'"])
    assert description(recipe, {}) == "&lt;b>_why_&lt;/b>".replace(">", "\\>").replace("_why_", "\\_why\\_")
    assert description(recipe, {"arm": "a`b"}).endswith("Here `arm` is ``a`b``.")
