"""Ablations: which parts a recipe has, what stands in their place, and the arms of every design."""

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mythos_blocks import Component, LoopedTransformer, SwiGLU, build, component
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.cli import app
from mythos_lab.comparison.ablate import ablation, retuned, with_best_rates
from mythos_lab.comparison.designs import DESIGNS, parts
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.search.spaces.space import load_space
from tests.lab.recipes import DISTINCT

MYTHOS = {"feedforward", "loops", "injection", "depth_signal", "depth_adapter", "halting"}


def planned(recipe="openmythos", overrides=(), **options):
    return ablation("a", recipe, list(overrides), load_recipe(recipe, overrides), **{"hold": (), **options})


def test_the_parts_are_those_that_are_on():
    found = parts(load_recipe("openmythos"))
    assert set(found) == MYTHOS and found["halting"].changes == {"model.core.halting": "none"}
    assert set(parts(load_recipe("openmythos", ["model.core.halting=none"]))) == MYTHOS - {"halting"}
    assert parts(load_recipe("fixed_depth")) == {}


def test_experts_give_way_to_one_feed_forward_of_as_many_channels_as_a_token_uses():
    recipe = load_recipe("openmythos")
    off = parts(recipe)["feedforward"].changes["model.core.layer.feedforward"]
    moe = recipe.model.core.layer.feedforward
    assert off == {"kind": "swiglu", "hidden": moe.expert_hidden * moe.num_active * (1 + moe.num_shared)}
    torch.manual_seed(0)
    experts = build(moe, 16, 1)
    plain = SwiGLU(16, hidden=off["hidden"])
    with torch.no_grad():  # one expert's weights everywhere: routed and dense are one function
        gate, up, down = (torch.randn_like(w[0]) for w in (experts.gate, experts.up, experts.down))
        for weight, one in ((experts.gate, gate), (experts.up, up), (experts.down, down)):
            weight.copy_(one.expand_as(weight))
        k, shared = moe.num_active, experts.shared[0]
        for weight, one in ((shared.gate.weight, gate), (shared.up.weight, up)):
            weight.copy_(one.repeat(k, 1))
        shared.down.weight.copy_(down.repeat(1, k) / k)
        plain.gate.weight.copy_(gate.repeat(2 * k, 1)), plain.up.weight.copy_(up.repeat(2 * k, 1))
        plain.down.weight.copy_(down.repeat(1, 2 * k) / k)
    x = torch.randn(2, 3, 16)
    torch.testing.assert_close(experts.eval()(x), plain(x), rtol=1e-4, atol=1e-4)


def test_without_its_loop_a_core_has_no_use_for_halting():
    changes = parts(load_recipe("openmythos"))["loops"].changes
    assert changes == {"model.core.loops": {"kind": "fixed", "num_loops": 1}, "model.core.halting": "none"}
    assert LoopedTransformer(8, width=16).core.loops.off() is None, "there is no loop to take out"


@pytest.mark.parametrize("name", DISTINCT)
def test_every_arm_of_every_recipe_is_a_recipe(name, tmp_path):
    recipe = load_recipe(name)
    if not parts(recipe):
        with pytest.raises(RecipeError, match="has no part that can be off"):
            planned(name)
        return
    for design in ("leave-one-out", "add-one-in"):
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(planned(name, design=design), sort_keys=False))
        space = load_space(str(tmp_path / "a.yaml"))  # which builds every arm
        assert space.num_trials() == len(space.file.arms) and space.file.seeds == 3


def test_designs():
    found = parts(load_recipe("openmythos"))
    sizes = {name: len(design(found)) for name, design in DESIGNS.items()}
    assert sizes == {"leave-one-out": 7, "add-one-in": 6, "pairs": 22, "factorial": 64}
    assert DESIGNS["leave-one-out"](found)["full"] == {} == DESIGNS["factorial"](found)["full"]
    bare, alone = (DESIGNS["add-one-in"](found)[name] for name in ("bare", "+injection"))
    assert "model.core.loops" not in bare, "what is added one by one is added to a loop"
    assert set(bare) - set(alone) == {"model.core.injection"}
    both = DESIGNS["pairs"](found)["-injection-halting"]
    assert both == {"model.core.injection": "none", "model.core.halting": "none"}


def test_a_part_of_somebody_elses_is_ablated_like_ours():
    @component("injection", "tests_twice")
    class Twice(type(build(load_recipe("gated_loop").model.core.injection, 8))):
        """The identity under another name."""

        def __init__(self, *context):
            super().__init__(*context)

    found = parts(load_recipe("gated_loop", ["model.core.injection=tests_twice"]))
    assert found["injection"].changes == {"model.core.injection": "none"}


def test_a_component_is_off_as_its_slot_says_unless_it_says_otherwise():
    off = {"injection": "none", "update": "replace", "initial_state": "input", "attention": None, "norm": None}
    for slot, expected in off.items():
        cls = next(iter(slot_info(slot).kinds.values()))
        assert Component.off(cls.__new__(cls)) == expected


def test_budgets_metric_and_seeds_stand_in_the_file():
    file = planned(hold=("params",), vary=("model.width",), seeds=5)
    assert file["hold"] == {"budgets": {"cost/params": "recipe"}, "by": ["model.width"]}
    assert file["objectives"] == {"val/bits_per_byte": "minimize"} and file["seeds"] == 5
    assert planned("gated_loop")["objectives"] == {"val/accuracy": "maximize"}


def test_every_arm_finds_its_learning_rate_first():
    file, recipe = planned("gated_loop"), load_recipe("gated_loop", ["training.optimizer.lr=3e-3"])
    tuning = retuned(file, recipe, [0.5, 2.0])
    assert (
        set(tuning["arms"]) == {f"{arm}.lr{f}" for arm in file["arms"] for f in ("0.5", "2.0")} and tuning["seeds"] == 1
    )
    assert tuning["overrides"] != file["overrides"], "a seed that no verdict uses"
    values = {"full.lr0.5": 0.7, "full.lr2.0": 0.6, "-loops.lr0.5": 0.5, "-loops.lr2.0": 0.6, "-update.lr2.0": 0.1}
    best = with_best_rates(file, recipe, [0.5, 2.0], values)
    rates = {arm: changes["training.optimizer.lr"] for arm, changes in best["arms"].items()}
    assert rates == pytest.approx({"full": 1.5e-3, "-loops": 6e-3, "-update": 6e-3})
    assert "learning rate curve" in best["declared"]
    with pytest.raises(RecipeError, match="-update was trained to its end at none"):
        with_best_rates(file, recipe, [0.5, 2.0], {"full.lr2.0": 0.5, "-loops.lr2.0": 0.5})
    near = retuned(file, recipe, [1.2345678, 1.2345679])["arms"]
    assert len(near) == 2 * len(file["arms"])
    found = with_best_rates(file, recipe, [1.2345678, 1.2345679], dict.fromkeys(near, 0.5))
    assert found["arms"]["full"]["training.optimizer.lr"] == 3e-3 * 1.2345678, "no digit is lost on the way"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--only", "updaet"], "did you mean 'update'"),
        (["--design", "leave-on-out"], "did you mean 'leave-one-out'"),
        (["--hold", "flops"], "cannot be held"),
        (["--retune", "fast"], "expected numbers"),
        (["--hold", "none", "--metric", "val/acuracy"], "did you mean 'val/accuracy'"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(arguments, said, tmp_path):
    result = CliRunner().invoke(app, ["ablate", "gated_loop", *arguments])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.db")) and not list(tmp_path.rglob("*.yaml"))


def test_a_dry_run_lists_the_arms_and_trains_nothing(tmp_path):
    result = CliRunner().invoke(app, ["ablate", "gated_loop", "--hold", "none", "--dry-run"])
    assert (
        result.exit_code == 0
        and "-update" in result.output
        and "mythos study studies/gated_loop-ablation.yaml" in result.output
    )
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["gated_loop-ablation.yaml"]


def test_arms_that_come_to_the_same_are_trained_once():
    file = planned(design="pairs")
    changes = [yaml.safe_dump(arm) for arm in file["arms"].values()]
    assert len(set(changes)) == len(changes)
    assert "Left out, as they come to the same: -halting-loops is -loops" in file["description"].replace(
        "-loops-halting", "-halting-loops"
    )


def test_a_study_that_was_begun_keeps_its_file(tmp_path):
    def ablate(*arguments):
        return CliRunner().invoke(app, ["ablate", "gated_loop", "--hold", "none", "--dry-run", *arguments])

    assert ablate("--seeds", "2").exit_code == 0
    path = tmp_path / "studies" / "gated_loop-ablation.yaml"
    assert ablate().exit_code == 0 and "seeds: 3" in path.read_text(), "nothing was begun"
    path.with_suffix("").mkdir()
    refused = ablate("--seeds", "4")
    assert refused.exit_code == 2 and "was begun with other seeds: 3, now 4; give this study a --name" in refused.stderr
    assert "seeds: 3" in path.read_text() and ablate("--matters", "0.05").exit_code == 0
    retuned = ablate("--retune", "0.5,1")
    assert retuned.exit_code == 2 and "was begun with other arms" in retuned.stderr, "before any rate is tried"
    assert [p.name for p in path.parent.glob("*.yaml")] == ["gated_loop-ablation.yaml"]
    assert ablate("--design", "factorial").exit_code == 0 and path.with_name("gated_loop-factorial.yaml").is_file()


def test_a_dry_run_shows_the_rates_that_would_be_tried():
    shown = CliRunner().invoke(app, ["ablate", "gated_loop", "--retune", "0.5,1", "--dry-run"])
    assert shown.exit_code == 0 and "full.lr0.5" in shown.output and "gated_loop-ablation-rates" in shown.output
