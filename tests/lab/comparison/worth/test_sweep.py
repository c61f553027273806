"""The iso-depth sweep: what its arms have in common, and in what they differ."""

import pytest
import yaml
from optuna.trial import FixedTrial

from mythos_lab.comparison.worth import once_and_recurrent, plan
from mythos_lab.comparison.worth.arms import applied
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.compose import build_on_meta, validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.mask import mask_for
from mythos_lab.search.spaces.space import load_space
from mythos_lab.training.assembly import assemble

SMALL = {"widths": [48, 96], "loops": [1, 2, 4], "steps": [120, 240]}
ALL = ["gated_loop", "openmythos", "huginn", "parcae", "looped", "fixed_depth", "mqar"]


def built(sweep, name, recipe):
    """An arm's recipe, its model and its task."""
    made = applied(load_recipe(recipe).model_dump(mode="json"), sweep.arms[name].changes, name)
    return made, *build_on_meta(made)


@pytest.mark.parametrize("recipe", ALL)
def test_every_arm_has_as_many_layers(recipe):
    sweep = plan(recipe, **SMALL)
    assert len(sweep.arms) == 2 * 3 * 2 and sweep.num_runs == 36
    for name, arm in sweep.arms.items():
        made, model, _ = built(sweep, name, recipe)
        passed = len(model.prelude.layers) + arm.loops * len(model.core.layers) + len(model.coda.layers)
        assert passed == sweep.num_layers
        assert model.core.loops.mean == pytest.approx(arm.loops) and model.core.loops.eval_loops == arm.loops
        assert model.embedding.embedding_dim == arm.width
        assert (arm.num_once, arm.num_rec) == once_and_recurrent(made)


@pytest.mark.parametrize("recipe", ["fixed_depth", "mqar"])
def test_layers_are_traded_one_for_one(recipe):
    """Where the recipe has nothing but layers, r loops store an r-th of them."""
    sweep = plan(recipe, **SMALL)
    for width in (48, 96):
        stack = sweep.arms[f"w{width}-r1-s120"]
        for r in (2, 4):
            arm = sweep.arms[f"w{width}-r{r}-s120"]
            assert arm.num_rec * r == stack.num_rec and arm.num_once == stack.num_once
            assert arm.training_flops == pytest.approx(stack.training_flops)


@pytest.mark.parametrize("recipe", ["openmythos", "gated_loop", "huginn"])
def test_the_arm_without_a_loop_is_a_plain_stack(recipe):
    sweep = plan(recipe, **SMALL)
    _, model, _ = built(sweep, "w96-r1-s120", recipe)
    core = model.core
    parts = (
        core.injection,
        core.halting,
        core.depth_signal,
        core.depth_adapter,
        core.exit,
        core.interface,
        core.input_norm,
    )
    assert {part.kind for part in parts} == {"none"}
    assert (core.update.kind, core.initial_state.kind, core.loops.max_loops) == ("replace", "input", 1)


def test_sizes_keep_their_ratio_to_the_width():
    sweep = plan("openmythos", widths=[64, 192], loops=[1, 4], steps=[120])
    for name, factor in (("w64-r1-s120", 0.5), ("w64-r4-s120", 0.5), ("w192-r1-s120", 1.5), ("w192-r4-s120", 1.5)):
        recipe, *_ = built(sweep, name, "openmythos")
        core = recipe.model_dump(mode="json")["model"]["core"]["layer"]
        assert core["feedforward"]["expert_hidden"] == 64 * factor and core["feedforward"]["num_experts"] == 8
        assert core["attention"]["kv_rank"] == 32 * factor and core["attention"]["num_heads"] == 4
    assert sweep.notes[0].startswith("grow with the width: coda.layer.attention.kv_rank")


def test_samplers_with_a_mean_are_kept():
    sweep = plan("openmythos", **SMALL)
    loops = sweep.arms["w96-r2-s120"].changes["model.core.loops"]
    assert (loops["kind"], loops["mean"], loops["maximum"], loops["gradient_window"]) == ("poisson_lognormal", 2, 6, 4)
    assert "loop counts are sampled (poisson_lognormal)" in " ".join(sweep.notes)
    curriculum = plan(
        "openmythos", ["model.core.loops={kind: curriculum, base: {kind: poisson, mean: 4}, share: 0.2}"], **SMALL
    )
    grown = curriculum.arms["w96-r2-s120"].changes["model.core.loops"]
    assert (grown["kind"], grown["share"], grown["base"]["mean"]) == ("curriculum", 0.2, 2)


def test_samplers_without_a_mean_are_fixed_and_the_reader_is_told():
    sweep = plan("gated_loop", **SMALL)
    assert sweep.arms["w96-r2-s120"].changes["model.core.loops"] == {
        "kind": "fixed",
        "num_loops": 2,
        "gradient_window": None,
    }
    assert "the recipe's sampler 'uniform' has no mean to set" in " ".join(sweep.notes)


@pytest.mark.parametrize(
    "recipe, loops, said",
    [("huginn", [1, 8], True), ("huginn", [1, 4], False), ("parcae", [1, 2], True), ("looped", [1, 4], False)],
)
def test_truncated_gradients_are_named(recipe, loops, said):
    """Huginn's window is 4 loops here, Parcae's half the mean; the others have none."""
    notes = " ".join(plan(recipe, widths=[48], loops=loops, steps=[300]).notes)
    assert ("arms of more loops are differentiated in part" in notes) is said


def test_the_plan_says_what_the_runs_cost():
    sweep = plan("gated_loop", **SMALL)
    total = 0
    for name, arm in sweep.arms.items():
        recipe, _, task = built(sweep, name, "gated_loop")
        assert arm.training_flops == pytest.approx(cost(recipe).training_flops)
        assert arm.tokens == recipe.training.max_steps * recipe.training.batch_size * task.positions
        total += 3 * arm.training_flops
    assert sweep.training_flops == pytest.approx(total)


def test_defaults_follow_the_recipe():
    sweep = plan("gated_loop")
    assert {arm.loops for arm in sweep.arms.values()} == {1, 2, 4}, "it applies one layer four times on average"
    assert {arm.steps for arm in sweep.arms.values()} == {250, 500, 1000}
    assert {arm.width for arm in sweep.arms.values()} == {24, 36, 48, 72}
    assert {arm.loops for arm in plan("huginn", widths=[48], steps=[120]).arms.values()} == {1, 2, 4, 8}


def test_alternating_layers_stay_in_pairs():
    pairs = ["model.core.alternate={kind: pre_norm, feedforward: gelu}", "model.core.depth=2"]
    sweep = plan("fixed_depth", pairs, widths=[64], loops=[1, 4], steps=[120])
    _, model, _ = built(sweep, "w64-r4-s120", "fixed_depth")
    assert sweep.num_layers == 8
    with pytest.raises(RecipeError, match="--loops 4: leaves 1 layers, and the recipe's alternate in pairs"):
        plan("fixed_depth", pairs, widths=[64], loops=[1, 4], steps=[120], core_layers=4)


def called(recipe, num_loops):
    """Parameters of the core's modules that a forward pass calls so many times."""
    model, task = assemble(recipe)
    calls = dict.fromkeys(model.core.modules(), 0)

    def count_call(module, inputs):
        calls[module] += 1

    for module in calls:
        module.register_forward_pre_hook(count_call)
    batch = task.batch("train", range(1))
    model.train()(batch.tokens, mask_for(recipe, batch.allowed), num_loops)
    return sum(
        sum(p.numel() for p in module.parameters(recurse=False)) for module, n in calls.items() if n == num_loops
    )


@pytest.mark.parametrize("recipe", ["gated_loop", "looped", "huginn", "fixed_depth", "mqar"])
def test_recurrent_is_what_a_pass_uses_again(recipe):
    composed = load_recipe(recipe)
    once, recurrent = once_and_recurrent(composed, "all")
    assert called(composed, 3) == recurrent and once + recurrent == cost(composed).params
    model, _ = build_on_meta(composed)
    ends = model.embedding.weight.numel() * (1 if model.head.weight is model.embedding.weight else 2)
    assert once_and_recurrent(composed) == (once - ends, recurrent)


@pytest.mark.parametrize(
    "changes, of_each_loop",
    [
        (["model.core.depth_signal=learned"], 64),
        (["model.core.depth_adapter=loop_affine"], 2 * 64),
        (["model.core.depth_adapter={kind: loop_lora, rank: 2, on: [attention.q]}"], 2 * (64 + 64)),
        (["model.core.layer.norm=per_loop"], 2 * 64),
    ],
)
def test_what_belongs_to_one_iteration_is_used_once(changes, of_each_loop):
    """A recipe that reaches seven loops."""
    plain, own = (once_and_recurrent(load_recipe("looped", change)) for change in ([], changes))
    shared_norms = 2 * 64 if "norm" in changes[0] else 0
    assert own == (plain[0] + 7 * of_each_loop, plain[1] - shared_norms)


WARM = ["training.schedule.warmup_steps=50"]


@pytest.mark.parametrize(
    "recipe, options, said",
    [
        ("gated_loop", {"loops": [1, 3], "core_layers": 4}, "--loops 3: does not divide the 4 layers .* multiple of 3"),
        ("gated_loop", {"loops": [0]}, "--loops 0: expected a whole number of at least 1"),
        ("gated_loop", {"widths": [50]}, "--widths 50: .*; the nearest that builds: 52"),
        (
            "gated_loop",
            {"overrides": WARM, "steps": [20]},
            "width 24, 1 loops, 20 steps: .*warmup_steps=50 must be below max_steps=20",
        ),
        ("gated_lop", {}, "did you mean 'gated_loop'"),
    ],
)
def test_mistakes(recipe, options, said):
    with pytest.raises(RecipeError, match=said):
        plan(recipe, **options)


def test_a_core_of_two_states_has_no_layers_to_trade():
    with pytest.raises(RecipeError, match="model.core: 'hierarchical' has no layers to trade for loops; one of: loop"):
        plan("looped", ["model.core=hierarchical"])


def test_a_study_that_has_runs_keeps_its_sweep(tmp_path):
    sweep = plan("gated_loop", **SMALL)
    path = sweep.write(tmp_path)
    written = yaml.safe_load(path.read_text())
    assert path.name == "gated_loop-worth.yaml" and "&" not in path.read_text()
    assert written["seeds"] == 3 and list(written["arms"]) == list(sweep.arms)
    assert written["objectives"] == {"val/loss": "minimize"}
    path.write_text(path.read_text() + "# mine\n")
    assert "# mine" in plan("gated_loop", **SMALL).write(tmp_path).read_text(), "the same sweep goes on"
    more = plan("gated_loop", **SMALL, num_seeds=4)
    assert yaml.safe_load(more.write(tmp_path).read_text())["seeds"] == 4, "nothing has run yet"
    (tmp_path / "gated_loop-worth").mkdir()
    with pytest.raises(
        RecipeError, match="gated_loop-worth: holds runs of another sweep; give this one another --name"
    ):
        sweep.write(tmp_path)


def test_the_study_that_it_writes_is_one(tmp_path):
    """Every arm, as the study's machinery makes it, is the recipe that was planned."""
    sweep = plan("openmythos", ["training.batch_size=4"], **SMALL)
    space = load_space(str(sweep.write(tmp_path)))
    assert space.num_trials(None) == len(sweep.arms)
    for name, arm in sweep.arms.items():
        config = space.candidate(FixedTrial({"arm": name}))
        assert validate(config, name) == arm.recipe
