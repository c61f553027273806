"""Every recipe of the tree trains and says what it measures, and so does what systems are made of."""

import pytest
from mlflow import MlflowClient

from mythos_lab.metrics import METRICS
from mythos_lab.recipe import load_recipe
from mythos_lab.recipe.compose import as_recorded
from mythos_lab.tracking.mlflow import flatten
from mythos_lab.training.result import load_run
from mythos_lab.training.run import run
from tests.lab.recipes import DISTINCT, short
from tests.lab.training.runs import SMALL

SYSTEMS = {
    "Ouro": (
        ["model.core.halting=gate_cdf", "training.objective=expected", "training.penalties=[gate_improvement]"],
        ["penalty/gate_improvement"],
    ),
    "TRM": (
        [
            "model.core={kind: hierarchical, shared: true, depth: 1, loops: {kind: fixed, num_loops: 3}, "
            "gradient: segments, halting: {kind: q_head, read: first}, layer: {kind: post_norm}}",
            "training.objective=supervised_halting",
        ],
        ["train/objective"],
    ),
    "a loop that settles": (
        [
            "training.penalties=[{kind: fixed_point, weight: 0.1}, {kind: jacobian_radius, limit: 0.1}, z_loss]",
            "model.core.stabilizer=spectral_clip",
            "model.core.layer.layer_scale=0.1",
            "model.core.exit={kind: latent, threshold: 0.5}",
        ],
        ["stability/fixed_point_residual", "stability/rho_J", "stability/max_spectral_norm", "stability/layer_scale"],
    ),
    "a curriculum for each sequence": (
        ["model.core.loops={kind: curriculum, base: {kind: poisson, mean: 4}}", "model.core.loops_per=sequence"],
        ["train/num_loops"],
    ),
    "an equilibrium": (["model.core.gradient=implicit", "model.core.injection=concat"], []),
    "mixture of recursions": (
        [
            "model.core.halting={kind: token_choice, num_depths: 7}",
            "model.core.kv_policy=recursion_wise",
            "waive=[depth.no_effect]",
        ],
        ["auxiliary/halting"],
    ),
}


@pytest.mark.parametrize("overrides, shown", SYSTEMS.values(), ids=SYSTEMS)
def test_what_systems_are_made_of_trains_and_shows_its_monitors(overrides, shown):
    result = run(load_recipe("gated_loop", [*SMALL, *overrides, "evaluation.knockouts=false"]))
    assert result.status == "finished", result.reason
    assert set(shown) <= set(result.metrics)
    assert all(name in METRICS for name in shown)


@pytest.mark.parametrize("name", DISTINCT)
def test_every_recipe_in_the_tree_trains_and_logs_known_metrics(name):
    few = [*SMALL, *short(name), "training.max_steps=4", "training.validate_every=2", "training.log_every=2"]
    if load_recipe(name).task.build().size("ood"):
        few += ["evaluation.ood=true", "task.ood_size=32"]
    result = run(load_recipe(name, few))
    assert result.status == "finished" and set(result.metrics) <= set(METRICS)
    client = MlflowClient()
    logged = client.get_run(result.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.params["task.kind"] == load_recipe(name).task.kind
    assert len(logged.data.tags["mythos.data_fingerprint"]) == 64
    assert {"mlflow.user", "mlflow.source.name", "mlflow.note.content"} <= set(logged.data.tags)
    assert [each.dataset.name for each in logged.inputs.dataset_inputs] == [logged.data.params["task.kind"]]
    assert 2 * len(logged.data.params) < len(flatten(as_recorded(load_recipe(name))))
    artifacts = {a.path for a in client.list_artifacts(result.run_id)}
    assert artifacts >= {"recipe.yaml", "environment.json", "depth_curve.png", "result.json", "model.safetensors"}
    assert ("halting.png" in artifacts) == (sum(share > 0 for share in result.histogram) > 1)
    assert {f"depth/{k}" for k in ("loss", "accuracy")} <= set(logged.data.metrics)
    assert {"train/loss", "val/loss", "loops/executed", "cost/params"} <= set(logged.data.metrics)
    core = load_recipe(name).model.core
    halts = {"halting/mean_loops", "halting/depth_read"} if {core.halting.kind, core.exit.kind} != {"none"} else set()
    trains = {"train/mean_loops", "train/depth_read"} if core.halting.kind != "none" else set()
    of_halting = {each for each in logged.data.metrics if each.endswith(("/mean_loops", "/depth_read"))}
    assert of_halting == halts | trains, "said where nothing halts they are the loop count again"
    if name == "openmythos":
        assert {
            "stability/rho_A",
            "experts/load_cv",
            "knockout/injection",
            "knockout/depth_signal",
            "knockout/depth_adapter",
        } <= set(logged.data.metrics)
    recipe, model, _ = load_run(result.folder)
    assert sum(p.numel() for p in model.parameters()) == result.cost.params
    assert recipe == load_recipe(name, few)
