"""What a training step keeps for its backward pass follows the gradient window, whatever the objective reads."""

import weakref

import pytest
import torch

import mythos_blocks as mb
from benchmarks.memory_over_loops import counts
from mythos_blocks.objective import base
from mythos_blocks.objective.known import known_sum
from tests.blocks.parts import VOCAB, WIDTH, kinds, randomise, tokens

OBJECTIVES = [mb.Expected(), mb.Blended(), mb.PowerWeighted()]
WINDOW, SHAPE = 2, (2, 16)
A_STATE = 4 * SHAPE[0] * SHAPE[1] * WIDTH


def made(num_loops):
    core = {"injection": "lti", "depth_signal": "sinusoidal", "halting": "ponder"}
    core["loops"] = {"kind": "fixed", "num_loops": num_loops, "gradient_window": WINDOW}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core, coda={"depth": 1}).train()
    randomise(model, std=0.2)
    return model


def loss_of(model, objective):
    out = model(tokens(*SHAPE), record="states", logits_at=torch.ones(SHAPE, dtype=torch.bool))
    return objective.loss(model, out, tokens(*SHAPE, seed=1))


def kept(num_loops, objective):
    """Bytes of what autograd still holds after a forward pass, parameters apart, each storage once."""
    model, held = made(num_loops), []
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(x):
        if (place := x.untyped_storage().data_ptr()) not in weights:
            held.append((weakref.ref(x.untyped_storage()), place, x.untyped_storage().nbytes()))
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss = loss_of(model, objective)
    alive = {place: size for storage, place, size in held if storage() is not None}
    assert loss.requires_grad and alive
    return sum(alive.values())


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_an_iteration_before_the_window_keeps_less_than_its_state(objective):
    few, more = kept(4, objective), kept(16, objective)
    assert (more - few) / 12 < 0.5 * A_STATE, (few, more)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_gradients_that_are_taken_early_are_those_of_readouts_that_are_kept(objective, monkeypatch):
    model, found = made(4), []
    for _ in range(2):
        loss = loss_of(model, objective)
        found.append([loss, *torch.autograd.grad(3 * loss, list(model.parameters()), materialize_grads=True)])
        monkeypatch.setattr(base, "is_computed_as_written", lambda x: False)
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype, early", [(torch.bfloat16, True), (torch.float16, False)])
def test_a_loss_that_will_be_scaled_has_no_gradients_taken_before(dtype, early, monkeypatch):
    taken = []
    monkeypatch.setattr(base, "known_sum", lambda *given: taken.append(given) or known_sum(*given))
    with torch.autocast("cpu", dtype):
        loss_of(made(4), mb.Blended()).backward()
    assert bool(taken) == early


@pytest.mark.parametrize("layer", [kind for _, kind in kinds("layer")])
def test_what_is_read_depends_on_the_state_and_on_parameters_alone(layer, monkeypatch):
    """Gradients that are taken early do not go on to anything else that a coda might read."""
    stack, found = {"depth": 1, "layer": {"kind": layer, "feedforward": "moe"}}, []
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, prelude=stack, core={"halting": "ponder"}, coda=stack).train()
    randomise(model, std=0.2)
    for _ in range(2):
        loss = loss_of(model, mb.Expected())
        found.append(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))
        monkeypatch.setattr(base, "is_computed_as_written", lambda x: False)
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


def test_the_peak_of_a_step_does_not_follow_its_loops_where_iterations_are_computed_again():
    """Counted on real steps by shapes alone: memory of the step, weights and optimiser included."""
    kept, again = (
        counts(["training.objective=expected", f"training.checkpointing={what}"], (4, 16))
        for what in ("none", "iteration")
    )
    assert again[1][0] < 1.02 * again[0][0] and again[0][0] < 0.7 * kept[0][0], (again, kept)
    assert again[0][1] > kept[0][1] and again[1][1] > kept[1][1], "what is computed again is counted"
