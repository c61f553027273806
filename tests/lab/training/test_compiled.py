"""``training.compile``: the layers of the model that trains are compiled, and the step stays what it was, to rounding."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
import torch._dynamo.config
import torch._inductor.config

import mythos_lab
from mythos_blocks.layer.base import Layer
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe.errors import Misplaced
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Learner, begin, differentiate, step
from mythos_lab.report.result import run_report
from mythos_lab.training import compiled
from mythos_lab.training.assembly import assemble
from mythos_lab.training.compiled import CompiledLayers
from mythos_lab.training.data import training_batch
from mythos_lab.training.run import Stopped, run
from tests.lab.training.runs import assert_same
from tests.lab.training.test_start import TINY
from tests.lab.training.test_stop import after

OTHERS = {
    "iterations that are computed again, rounded weights, parts of a batch, an average": [
        "training.checkpointing=iteration", "training.rounding={to: int4}", "training.num_microbatches=2",
        "training.ema=0.5",
    ],
    "layers that are computed again, bfloat16": ["training.checkpointing=layer", "training.precision=bfloat16"],
    "a loop count for each sequence": ["model.core.loops_per=sequence", "model.core.loops={kind: uniform, low: 1, high: 2}"],
    "every iteration scored, padding": [
        "task=copy", "mask=causal", "model.core.halting=gate_cdf", "training.objective=expected",
    ],
    "experts, of which a step counts the load": ["model.core.layer.feedforward={kind: moe, balance_weight: 0.1}"],
}  # fmt: skip


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Graphs as torch makes and differentiates them, run by its own operations: what Inductor makes of them takes long."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")


def declared(*overrides):
    return load_recipe("gated_loop", [*TINY, *overrides])


def learner_of(*overrides, compiles=True):
    """A learner, and its layers where they are compiled."""
    recipe = declared(*overrides)
    model, task = assemble(recipe)
    learner = Learner.of(recipe, model.train())
    if not compiles:
        return learner, task, None
    layers = CompiledLayers(model)
    learner.running = layers.running
    return learner, task, layers


def said_of(result):
    return " ".join(getattr(part, "text", "") for part in run_report(result).parts)


def batch_of(learner, task, index):
    return training_batch(task, learner.recipe.training.samples(index), Rank())


def trained(learner, task, layers):
    """What three steps come to, and how many graphs there were after each."""
    shown, graphs = [], []
    for index in range(3):
        batch = batch_of(learner, task, index)
        shown.append(step(learner, batch, begin(learner, index, batch), shows=True))
        graphs.append(layers and layers.num_graphs)
    gradients = {name: p.grad for name, p in learner.model.named_parameters()}
    return shown, gradients, dict(learner.model.named_parameters()), graphs


@pytest.mark.parametrize("overrides", OTHERS.values(), ids=OTHERS)
def test_a_compiled_step_is_the_step(overrides):
    *plain, _ = trained(*learner_of(*overrides, compiles=False))
    learner, task, layers = learner_of(*overrides)
    *ours, graphs = trained(learner, task, layers)
    rtol, atol = (2e-2, 1e-2) if learner.recipe.training.precision == "bfloat16" else (1e-4, 1e-5)
    torch.testing.assert_close(ours, plain, rtol=rtol, atol=atol)
    assert graphs[0] >= 1 and layers.num_given_up == 0


def test_one_graph_of_each_layer_serves_all_loop_counts():
    drawn = "model.core.loops={kind: uniform, low: 1, high: 8}"
    learner, task, layers = learner_of(drawn, "model.prelude={depth: 1}", "model.coda={depth: 1}")
    for num_loops in range(1, 9):
        differentiate(learner, batch_of(learner, task, 0), num_loops)
        assert layers.num_graphs == sum(isinstance(module, Layer) for module in learner.model.modules()) == 3


@torch._dynamo.config.patch(accumulated_recompile_limit=1)  # of one function in a process, which is 256
def test_a_search_over_widths_in_one_process_stays_compiled():
    for width in (8, 16):
        learner, task, layers = learner_of(f"model.width={width}")
        differentiate(learner, batch_of(learner, task, 0), 2)
        assert (layers.num_graphs, layers.num_given_up) == (1, 0)


def test_layers_are_plain_but_in_a_step():
    learner, task, layers = learner_of()
    (layer,) = learner.model.core.layers

    def seen():
        return [m._compiled_call_impl is not None for m in (layer, *copy.deepcopy(learner.model).core.layers)]

    assert seen() == [False, False]
    with layers.running():
        assert layer._compiled_call_impl is not None
    batch = batch_of(learner, task, 0)
    learner.loss.register_forward_hook(lambda *_: found.append(layer._compiled_call_impl is not None))
    found = []
    with pytest.raises(RuntimeError, match="in the backward pass"):
        differentiate(learner, batch, 2, backward=failing)
    assert found == [True] and seen() == [False, False]


def failing(loss):
    raise RuntimeError("in the backward pass")


def test_a_run_says_what_was_compiled_goes_on_to_the_same_bits_and_has_the_names_of_a_plain_one():
    short = ["training.max_steps=4", "training.validate_every=2"]
    recipe, plain = declared("training.compile=true", *short), run(declared(*short), folder=Path("plain"))
    unbroken = run(recipe, folder=Path("unbroken"))
    assert unbroken.metrics["speed/num_graphs"] == 1 and unbroken.metrics["speed/num_given_up"] == 0
    assert "speed/num_graphs" not in plain.metrics
    assert "compiled in part" not in said_of(unbroken)
    with pytest.raises(Stopped):
        run(recipe, folder=Path("broken"), should_stop=after(3))
    assert_same(run(recipe, folder=Path("broken")), unbroken)
    ours, theirs = (mythos_lab.load(folder).model.state_dict() for folder in ("unbroken", "plain"))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@torch._dynamo.config.patch(accumulated_recompile_limit=1)
def test_a_run_that_ends_up_uncompiled_says_so():
    grows = ["training.max_steps=4", "training.batch_warmup={first: 2, steps: 2}"]
    result = run(declared("training.compile=true", *grows))
    assert result.metrics["speed/num_given_up"] >= 1
    assert "compiled in part: " in said_of(result)


@pytest.mark.parametrize(
    "overrides, said",
    [
        (["model.core.gradient=implicit"], "training.compile: core.gradient 'implicit' goes back through one graph"),
        (["training.penalties=[jacobian_radius]"], "training.compile: penalty 'jacobian_radius' differentiates"),
    ],
)
def test_gradients_that_compiled_layers_do_not_have_are_refused(overrides, said):
    declared(*overrides)
    with pytest.raises(RecipeError, match=said):
        declared(*overrides, "training.compile=true")


@torch._inductor.config.patch("cpp.cxx", ("no-such-compiler",))
def test_a_machine_without_a_compiler_is_refused():
    with pytest.raises(Misplaced, match="training.compile: torch compiles for CPUs by a C.. compiler, and finds none"):
        run(declared("training.compile=true"), folder=Path("run"))
    assert not Path("run").exists()


@pytest.mark.slow
def test_what_inductor_makes_is_the_step(monkeypatch):
    if shutil.which("g++") is None:
        pytest.skip("torch's Inductor compiles for CPUs by g++, which is not here")
    monkeypatch.setattr(compiled, "BACKEND", "inductor")
    *plain, _ = trained(*learner_of("training.checkpointing=iteration", compiles=False))
    *ours, graphs = trained(*learner_of("training.checkpointing=iteration"))
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    assert graphs == [1, 1, 1]
