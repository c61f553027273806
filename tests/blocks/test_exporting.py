"""Whole models in the hands of whatever traces them: what is traced is what runs, for every kind that acts in a pass."""

import copy

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from tests.blocks.covering import POSITIONS, VOCAB, build, tokens
from tests.blocks.exporting import BEFORE, Logits, assert_same, begun, every_kind, exported, made

MOST = {
    "layer": {"attention": {"kind": "gqa", "num_kv_heads": 2}, "feedforward": "moe"},
    "injection": "lti",
    "depth_adapter": "loop_lora",
    "halting": {"kind": "act", "halted_state": "frozen", "initial_bias": 0.5},
    "exit": "kl",
    "loops": {"kind": "fixed", "num_loops": 2},
}


@torch.no_grad()
@pytest.mark.parametrize("num_loops", [1, 3])
@every_kind
def test_an_exported_program_takes_any_batch(core, num_loops):
    """Some 45 s of CPU for all of these. Eight loops take more than twice as long as three, and are exported by
    ``make interop`` (``tests/interop/test_exporting.py``)."""
    model = made(core, num_loops)
    assert_same(exported(model), model, 2, 5)


@torch.no_grad()
@pytest.mark.parametrize("slot, kind", BEFORE)
def test_what_stands_before_the_layers_is_exported(slot, kind):
    model = begun(slot, BEFORE[slot, kind])
    assert_same(exported(model), model, 2, 5)


@torch.no_grad()
def test_a_program_is_exported_by_reading_the_code_too():
    model = Logits(build({"injection": "lti", "halting": "act"}).eval(), num_loops=2)
    assert_same(exported(model, strict=True), model, 2, 5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["normal", "truncated_normal", "unit"])
@pytest.mark.parametrize("training", [False, True])
def test_an_exported_program_draws_its_noise_anew(kind, training):
    model = Logits(build({"initial_state": {"kind": kind, "at_evaluation": "fresh"}}, prelude=0), num_loops=1)
    program = exported(model.train(training))
    first, again, other = (torch.manual_seed(seed) and program(tokens(5)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.isclose(first, other).any(-1).all()


def test_an_exported_program_holds_no_change_of_gradient_recording_that_changes_nothing():
    """``torch.export`` takes time that grows with their square."""
    for recorded in (False, True):
        with torch.set_grad_enabled(recorded):
            program = exported(made(MOST))
        assert not [node for node in program.graph.nodes if "set_grad_enabled" in str(node.target)]


@torch.no_grad()
@every_kind
def test_a_traced_function_takes_any_batch(core):
    """As TensorBoard's graphs and fvcore's counts are made."""
    model = made(core)
    assert_same(torch.jit.trace(model, (tokens(3),), check_trace=False), model, 3, 5)


@torch.no_grad()
@every_kind
def test_fake_tensors_go_through_a_model_that_is_made_of_them(core):
    with FakeTensorMode() as mode:
        model = made(core)
        assert model(mode.from_tensor(tokens(3))).shape == (3, POSITIONS, VOCAB)
    real = made(core)
    assert real(tokens(3)).isfinite().all(), "nothing fake was kept"


@torch.no_grad()
@every_kind
def test_a_whole_model_is_one_graph(core):
    torch._dynamo.reset()
    model = made(core, num_loops=1)  # a further iteration is traced as the first is
    assert_same(torch.compile(model, fullgraph=True, backend="eager"), model, 3)


@torch.no_grad()
def test_a_whole_model_is_one_graph_with_the_loops_that_are_declared():
    torch._dynamo.reset()
    model = made(MOST)
    assert_same(torch.compile(model, fullgraph=True, backend="eager", dynamic=True), model, 3, 5)


def test_a_whole_model_is_trained_in_one_graph():
    torch._dynamo.reset()
    # A further iteration is traced as the first is, and layers around the loop as those in it are.
    plain = build({**MOST, "loops": {"kind": "fixed", "num_loops": 1}}, prelude=0).train()
    again = copy.deepcopy(plain)
    compiled = torch.compile(again, fullgraph=True, backend="aot_eager", dynamic=True)
    for size in (3, 5):
        for model in (plain, compiled):
            model(tokens(size)).logits.sin().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(
                other.grad, one.grad, rtol=1e-4, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}"
            )


@torch.no_grad()
def test_recorded_operations_are_those_of_any_numbers():
    model = made(MOST)
    assert_same(make_fx(model, tracing_mode="real")(tokens(3)), model, 3)
    other = tokens(3).flip(0, 1)
    torch.testing.assert_close(make_fx(model)(tokens(3))(other), model(other))


@torch.no_grad()
def test_compiled_models_take_loop_counts_and_positions_of_all_kinds():
    torch._dynamo.reset()
    model = build({"initial_state": "normal", "injection": "add"}).eval()
    compiled = torch.compile(model, backend="eager")
    for iterations in (2, 3, torch.tensor([3, 1, 2]), [1, 0]):
        torch.testing.assert_close(
            compiled(tokens(), None, iterations).logits, model(tokens(), None, iterations).logits
        )
    positions = torch.arange(POSITIONS) + 3
    torch.testing.assert_close(
        compiled(tokens(), positions=positions).logits, model(tokens(), positions=positions).logits
    )


NUMBERS = {
    "iterations": (torch.tensor([3, 1, 2]), "give a loop count or indices as numbers"),
    "positions": (torch.arange(POSITIONS), "initial_state 'normal' .* declare at_evaluation: fresh"),
}


@pytest.mark.parametrize("argument", NUMBERS)
def test_what_needs_numbers_says_in_one_line_what_to_choose_in_a_graph(argument):
    torch._dynamo.reset()
    model, (value, said) = build({"initial_state": "normal", "injection": "add"}).eval(), NUMBERS[argument]
    with pytest.raises(ValueError, match=said) as caught:
        torch.export.export(model, (tokens(),), {argument: value}, strict=False)
    assert "\n" not in str(caught.value)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=said):
        torch.compile(model, fullgraph=True, backend="eager")(tokens(), **{argument: value})


def test_an_implicit_gradient_says_what_to_do_instead():
    torch._dynamo.reset()
    model = build({"gradient": "implicit", "injection": "lti"}).train()
    said = "gradient 'implicit' .*uncompiled.*in evaluation mode.*one_step"
    with pytest.raises(torch._dynamo.exc.Unsupported, match=said):
        torch.compile(model, fullgraph=True, backend="eager")(tokens())
    with pytest.raises(ValueError, match=said):
        exported(Logits(model))
