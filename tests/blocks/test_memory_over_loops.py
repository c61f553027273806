"""What a training step keeps for its backward pass follows the gradient window, whatever the objective reads."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.objective import base
from tests.blocks.parts import VOCAB, WIDTH, randomise, tokens

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
    """Bytes of what autograd saves in a forward pass, parameters apart, each storage once."""
    model, held = made(num_loops), {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(x):
        held[x.untyped_storage().data_ptr()] = x  # alive, so that no other takes its place
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        loss_of(model, objective)
    return sum(x.untyped_storage().nbytes() for place, x in held.items() if place not in weights)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_an_iteration_before_the_window_keeps_its_state_and_little_more(objective):
    few, more = kept(4, objective), kept(16, objective)
    assert (more - few) / 12 < 1.5 * A_STATE, (few, more)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.kind)
def test_readouts_that_are_computed_again_have_the_gradients_of_those_that_are_kept(objective, monkeypatch):
    model, found = made(4), []
    for _ in range(2):
        loss = loss_of(model, objective)
        found.append(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))
        monkeypatch.setattr(base, "is_computed_as_written", lambda x: False)
    for ours, wanted in zip(*found, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
