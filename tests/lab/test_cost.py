"""Counts against what runs: torch's own counter, real caches, the profiler's memory events of real steps."""

import pytest
import torch
from typer.testing import CliRunner

import mythos_blocks as mb
from benchmarks.memory_over_loops import MODEL
from mythos_blocks.declaring.registry import slot_info
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_lab.cli import app
from mythos_lab.metrics import METRICS
from mythos_lab.recipe import RecipeError, load_recipe
from mythos_lab.recipe import cost as cost_module
from mythos_lab.recipe.cost import COUNTS, cost, cost_metric
from mythos_lab.recipe.draws import spread_counts
from mythos_lab.recipe.rank import Rank
from mythos_lab.recipe.step import Learner, begin, step
from mythos_lab.training.data import training_batch
from tests.lab.counting import (
    TEXT,
    Real,
    assemble,
    bytes_of,
    loop_counts,
    most_alive,
    peak_and_between,
    recipe_of,
    torch_counts,
)
from tests.lab.recipes import DISTINCT


@pytest.mark.parametrize("name", DISTINCT)
def test_flops_are_those_that_torch_counts_on_real_steps(name):
    recipe = recipe_of(name)
    real, counted, steps = Real(recipe), cost(recipe), recipe.training.max_steps
    for num_loops in loop_counts(recipe):
        at = counted.at(num_loops)
        real.model.train()
        assert at.training_flops == pytest.approx(steps * torch_counts(lambda n=num_loops: real.step(n)), rel=0.01)
        real.model.eval()
        with torch.no_grad():
            executed = real.forward(num_loops).num_loops  # fewer where every position has halted
            forward = torch_counts(lambda n=num_loops: real.forward(n))
        per_token = counted.at(executed).inference_flops_per_token
        assert per_token * real.batch.tokens.numel() == pytest.approx(forward, rel=0.01)


@pytest.mark.parametrize("checkpointing", ["layer", "iteration"])
def test_flops_of_what_is_computed_again_are_those_of_a_real_step(checkpointing):
    changes = [*MODEL, "model.width=32", "training.objective=expected", f"training.checkpointing={checkpointing}"]
    recipe = load_recipe("fixed_depth", changes)
    model, task = assemble(recipe)
    learner, batch = Learner.of(recipe, model.train()), training_batch(task, recipe.training.samples(0), Rank())
    flops = torch_counts(lambda: step(learner, batch, 6))
    assert cost(recipe).at(6).training_flops == pytest.approx(flops * recipe.training.max_steps, rel=0.01)


@pytest.mark.parametrize("name", DISTINCT)
def test_peak_memory_is_that_of_real_steps(name):
    recipe = recipe_of(name)
    real, counted = Real(recipe), cost(recipe)
    real.model.train()
    # Where the tied embedding's two gradients are added at the peak, torch adds in place, and a dry run does not.
    near = 0.2 if name == "mqar" else 0.05
    for num_loops in loop_counts(recipe):
        peak, between = peak_and_between(real, num_loops)
        at = counted.at(num_loops)
        assert at.peak_memory_bytes == pytest.approx(peak, rel=0.15 if name == "mqar" else 0.02), num_loops
        assert at.activation_bytes == pytest.approx(peak - between, rel=near), num_loops


@pytest.mark.parametrize("name", ["openmythos", "gated_loop", "huginn"])
def test_peak_memory_of_bfloat16_training(name):
    recipe = recipe_of(name, "training.precision=bfloat16")
    real = Real(recipe)
    real.model.train()
    peak, between = peak_and_between(real, 3)
    counted = cost(recipe).at(3)
    assert counted.peak_memory_bytes == pytest.approx(peak, rel=0.05)
    assert counted.activation_bytes == pytest.approx(peak - between, rel=0.1)
    assert counted.activation_bytes < 0.9 * cost(recipe_of(name)).at(3).activation_bytes


def test_peak_memory_is_that_of_training_with_the_counts_that_it_draws():
    recipe = recipe_of("parcae")
    model, task = assemble(recipe)
    weights = bytes_of([*model.parameters(), *model.buffers()])
    batches = [task.batch("train", range(4 * i, 4 * i + 4)) for i in range(4)]
    learner = Learner.of(recipe, model.train())
    with torch.profiler.profile(profile_memory=True) as profile:
        for index, batch in enumerate(batches):
            step(learner, batch, begin(learner, index, batch))
    assert cost(recipe).peak_memory_bytes == pytest.approx(weights + most_alive(profile), rel=0.15)


@pytest.mark.parametrize("name", DISTINCT)
def test_parameters_are_those_of_the_model(name):
    recipe = recipe_of(name)
    model, _ = assemble(recipe)
    counted = cost(recipe)
    assert counted.params == sum(p.numel() for p in model.parameters())
    assert counted.at(1).params_applied <= counted.params, "tables have rows that one loop does not read"
    core = sum(p.numel() for part in (model.core.layers, model.core.injection) for p in part.parameters())
    assert counted.at(5).params_applied - counted.at(4).params_applied >= core
    assert counted.training_tokens == recipe.training.max_steps * 4 * mb.build(recipe.task).positions


def test_what_is_applied_are_the_parameters_of_the_unrolled_stack():
    looped = cost(recipe_of("gated_loop", "model.core.update=replace"))
    for num_loops in (1, 3):
        stack = recipe_of(
            "gated_loop", "model.core.update=replace", "model.core.loops=fixed", f"model.core.depth={num_loops}"
        )
        assert looped.at(num_loops).params_applied == cost(stack).params


def test_a_net_that_moves_several_times_in_an_iteration_is_applied_as_often():
    core = "{kind: hierarchical, depth: 1, num_high_cycles: 2, num_low_cycles: 3, loops: {kind: fixed, num_loops: 1}}"
    recipe = recipe_of("fixed_depth", f"model.core={core}")
    layer = sum(p.numel() for p in assemble(recipe)[0].core.layers.parameters())
    counted = cost(recipe)
    assert counted.params_applied == counted.params + (2 * 3 - 1) * layer + (2 - 1) * layer


def test_experts_that_are_not_routed_to_are_idle():
    counted = cost(recipe_of("openmythos"))
    expert = 3 * 64 * 128
    assert counted.params - counted.params_active == (8 - 2) * expert


@pytest.mark.parametrize("name", [*TEXT, "looped", "mqar"])
def test_the_cache_is_what_decoding_allocates(name):
    recipe = recipe_of(name)
    real, counted = Real(recipe), cost(recipe)
    tokens = real.batch.tokens
    for num_loops in (1, 3, 11) if name == "looped" else (3,):
        at = counted.at(num_loops)
        assert {policy.kind for policy in at.cache_policies} == set(slot_info("kv_policy").kinds)
        assert at.cache_policies[0].total == at.cache_bytes
        for policy in at.cache_policies:
            real.model.core.kv_policy = slot_info("kv_policy").kinds[policy.kind]()
            decoder = mb.Decoder(real.model, len(tokens), iterations=num_loops)
            decoder.prefill(tokens)
            assert (
                policy.total * len(tokens) == decoder.cache.num_bytes == decoder.cache.allocated_bytes - flags(decoder)
            )
            assert policy.exact == decoder.cache.exact or not decoder.exact


def flags(decoder):
    """Bytes of which positions ran which iteration, which recursion-wise caches keep beside keys and values."""
    return sum(x.numel() for x in decoder.cache._flags.values())


@pytest.mark.parametrize("name", [*TEXT, "looped", "mqar"])
def test_decoding_takes_the_flops_that_torch_counts(name):
    recipe = recipe_of(name)
    real, counted = Real(recipe), cost(recipe)
    tokens = real.batch.tokens[:1]
    decoder = mb.Decoder(real.model, 1)
    assert counted.prefill_flops == pytest.approx(torch_counts(lambda: decoder.prefill(tokens)), rel=0.01)
    assert counted.decode_flops_per_token == pytest.approx(torch_counts(lambda: decoder.step(tokens[:, 0])), rel=0.01)


@pytest.mark.parametrize("name", DISTINCT)
def test_the_state_is_what_the_loop_passes_on(name):
    recipe = recipe_of(name)
    real = Real(recipe)
    with torch.no_grad():
        state = real.model.eval()
        state = real.forward(2).state
    halting = [getattr(state.halting, x) for x in ("readout", "halted", "mass", "num_updates", "remainder")]
    kept = [x for x in (state.h, state.carry, *halting, *state.halting.kept.values()) if x is not None]
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in kept}
    assert cost(recipe).at(2).state_bytes == sum(storages.values()) / 4


@pytest.mark.parametrize(
    "name, overrides",
    [
        ("openmythos", ["model.core.loops={kind: poisson, mean: 2, maximum: 5, gradient_window: 2}"]),
        ("huginn", ["model.core.loops={kind: uniform, low: 2, high: 5, gradient_window: 3}"]),
        ("looped", ["model.core.loops={kind: curriculum, base: {kind: fixed, num_loops: 6, gradient_window: 4}, on: both}"]),
        ("looped", ["model.core.layer={kind: mixture, depth_attention: {kind: all_tokens}}", "model.core.loops.high=4"]),
        ("looped", ["model.core.kv_policy={kind: modulo, period: 2}", "model.core.loops={kind: uniform, low: 1, high: 5}"]),
        ("looped", ["model.core.tying=sequence", "model.core.depth=2", "model.core.loops={kind: uniform, low: 1, high: 4, gradient_window: 3}"]),
    ],
)  # fmt: skip
def test_training_flops_are_the_mean_over_what_is_drawn(name, overrides):
    recipe = recipe_of(name, *overrides)
    counted = cost(recipe)
    core = assemble(recipe)[0].core
    expected, seen = 0.0, {}
    for i in range(16):
        core.loops.progress = (i + 0.5) / 16
        for num_loops, share in enumerate(core.loops.pmf_now().tolist()):
            if share:
                key = num_loops, core.gradient.window(num_loops)
                if key not in seen:
                    seen[key] = step_flops(counted, core.loops.progress, num_loops)
                expected += share / 16 * seen[key]
    assert counted.training_flops / recipe.training.max_steps == pytest.approx(expected, rel=1e-9)


def step_flops(counted, progress, num_loops):
    rehearsal = counted._subject.rehearsal
    rehearsal.model.core.loops.progress = progress
    return rehearsal.training_step(num_loops).flops


def test_counts_of_each_sequence_cost_their_mean():
    recipe = recipe_of("parcae", batch=16)
    real = Real(recipe)
    counts = spread_counts(real.model.core, real.batch.tokens.shape)
    assert float(counts.float().mean()) == pytest.approx(real.model.core.loops.mean, rel=0.02)
    real.model.train()
    per_step = cost(recipe).training_flops / recipe.training.max_steps
    assert per_step == pytest.approx(torch_counts(lambda: real.step(counts)), rel=0.02)


def test_counts_of_each_position_run_as_they_are():
    recipe = recipe_of("looped", "model.core.loops_per=token", batch=4)
    real = Real(recipe)
    real.model.train()
    counts = spread_counts(real.model.core, real.batch.tokens.shape)
    per_step = cost(recipe).training_flops / recipe.training.max_steps
    assert per_step == pytest.approx(torch_counts(lambda: real.step(counts)), rel=0.01)


def test_devices_share_the_work_and_the_activations():
    alone = cost(recipe_of("looped"))
    shared = cost(recipe_of("looped", "training.num_devices=2"))
    assert shared.training_flops == pytest.approx(alone.training_flops, rel=0.01)  # of other samples, half as many
    assert shared.activation_bytes == pytest.approx(alone.activation_bytes / 2, rel=0.05)
    assert shared.training_tokens == alone.training_tokens


def test_the_head_is_counted_where_something_is_scored():
    few, many = (cost(recipe_of("mqar", f"task.settings=[{{length: 64, num_pairs: {n}}}]")) for n in (2, 8))
    head = 2 * 64 * 8192
    positions = mb.build(few.recipe.task).positions
    assert (many.inference_flops_per_token - few.inference_flops_per_token) * positions == (8 - 2) * head


def test_what_is_not_asked_for_is_not_counted(monkeypatch):
    def never(*_):
        raise AssertionError("rehearsed")

    monkeypatch.setattr(cost_module, "Rehearsal", never)
    recipe = recipe_of("openmythos", "model.width=96")  # which no other test rehearses
    counted = cost(recipe)
    assert counted.params == cost_metric(recipe, "cost/params") == counted.params_active + 6 * 3 * 64 * 96
    assert cost_metric(recipe, "cost/training_tokens") == counted.training_tokens
    with pytest.raises(AssertionError, match="rehearsed"):
        _ = counted.state_bytes


def test_counting_draws_nothing_from_the_global_generator():
    torch.manual_seed(5)
    cost(recipe_of("huginn")).metrics()
    drawn = torch.rand(())
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(()))


def test_every_count_is_a_metric_with_a_meaning_and_can_be_asked_for_alone():
    recipe = recipe_of("looped")
    metrics = cost(recipe).metrics()
    assert list(metrics) == [f"cost/{name}" for name in COUNTS if "breadth" not in name] and set(metrics) <= set(
        METRICS
    )
    assert {name: cost_metric(recipe, name) for name in metrics} == metrics


def test_every_start_of_evaluation_is_a_pass_of_its_own():
    one, many = (cost(recipe_of("parcae", f"evaluation.breadth={n}")) for n in (1, 5))
    per_token = one.inference_flops_per_token
    assert many.metrics() == one.metrics() | {"cost/breadth_flops_per_token": 5 * per_token}
    assert cost_metric(many.recipe, "cost/breadth_flops_per_token") == 5 * per_token


def test_what_cannot_be_counted_is_named():
    with pytest.raises(RecipeError, match="cost/parms: no cost; did you mean 'cost/params'"):
        cost_metric(recipe_of("looped"), "cost/parms")
    recipe = recipe_of("gated_loop")
    assert not cost(recipe).decodes and cost(recipe).cache_policies == []
    assert "cost/cache_bytes" not in cost(recipe).metrics()
    with pytest.raises(RecipeError, match="gated_loop: mask: 'task' lets positions read later ones"):
        cost_metric(recipe, "cost/cache_bytes")


def test_the_command_shows_counts_caches_and_loop_counts():
    def said(*arguments):
        result = CliRunner().invoke(app, ["cost", *arguments])
        return result.exit_code, result.output

    code, output = said("looped", "training.batch_size=2")
    assert code == 0 and "cost/peak_memory_bytes" in output and "recursion_wise" in output and "inexact" in output
    code, output = said("gated_loop", "training.batch_size=2", "--loops", "1,4")
    assert code == 0 and "4 loops" in output and "cost/training_flops" in output and "cache_bytes" not in output
    code, output = said("gated_loop", "--loops", "1,zero")
    assert code == 2 and "expected whole numbers from 1 to 4096" in output


@pytest.mark.parametrize("per", ["sequence", "token"])
def test_counts_that_grow_in_the_course_of_training_cost_their_mean_over_it(per):
    loops = "{kind: curriculum, base: {kind: poisson, mean: 6, maximum: 12}, share: 1.0}"
    recipe = recipe_of("looped", f"model.core.loops={loops}", f"model.core.loops_per={per}", batch=16)
    real = Real(recipe)
    real.model.train()
    core, total = real.model.core, 0.0
    for i in range(8):
        core.loops.progress = (i + 0.5) / 8
        counts = core.draw(keyed_generator(0, "real", i), real.batch.tokens.shape)
        total += torch_counts(lambda counts=counts: real.step(counts)) / 8
    per_step = cost(recipe).training_flops / recipe.training.max_steps
    assert per_step == pytest.approx(total, rel=0.05)


@pytest.mark.parametrize("loops", ["{kind: poisson_lognormal, mean: 8}", "{kind: uniform, low: 1, high: 12}"])
def test_the_memory_of_counts_for_each_sequence_is_that_of_a_batch_that_drew_many(loops):
    recipe = recipe_of("looped", f"model.core.loops={loops}", "model.core.loops_per=sequence", batch=8)
    counted = cost(recipe)
    core, rehearsal = counted._model.core, counted._subject.rehearsal
    shape = rehearsal.batch.tokens.shape
    drawn = [core.draw(keyed_generator(0, "real", i), shape) for i in range(200)]
    heaviest = max(drawn, key=lambda counts: int(counts.sum()))
    seen = rehearsal.training_step(heaviest).bytes_at_most
    assert 0.9 * seen <= counted.peak_memory_bytes <= 1.5 * seen


def test_a_window_that_grows_is_counted_where_it_is_widest():
    loops = "{kind: curriculum, base: {kind: fixed, num_loops: 8, gradient_window: half_mean}, share: 1.0, on: both}"
    costs = {
        per: cost(recipe_of("looped", f"model.core.loops={loops}", f"model.core.loops_per={per}"))
        for per in ("batch", "sequence", "token")
    }
    most = costs["batch"].peak_memory_bytes
    assert all(counted.peak_memory_bytes == pytest.approx(most, rel=0.02) for counted in costs.values())
    mean = costs["batch"].training_flops
    assert all(counted.training_flops == pytest.approx(mean, rel=0.01) for counted in costs.values())
