"""ACT against the equations of the Universal Transformer's code, rendered in NumPy one number at a time."""

import numpy as np
import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import observed, started

WIDTH, EPS = 6, 0.01


def t2t(probabilities, states, act_type, eps=EPS):
    """Readout, updates and remainders of one position: p (loops,), states (loops, width)."""
    c = remainder = updates = 0.0
    running = True
    previous = np.zeros(states.shape[1])
    weights = []
    for p, state in zip(probabilities, states, strict=True):
        still = running and c < 1.0
        newly = still and c + p > 1 - eps
        running = still and c + p <= 1 - eps
        if running:
            c += p
        if newly:
            remainder += 1 - c
            c += remainder
        updates += float(running) + float(newly)
        weight = p * running + newly * remainder
        weights.append(weight)
        previous = weight * state + (1 - weight) * previous if act_type == "basic" else previous + weight * state
    return previous, updates, remainder, weights


def ours(logits, states, mix, **fields):
    """The rule fed with given halting logits: the states' first channel is the logit that it reads."""
    act = mb.ACT(
        WIDTH, threshold=1 - EPS, crossing="above", reads="before", mix=mix, final_remainder=False, **fields
    ).double()
    with torch.no_grad():
        act.probability.weight.zero_()
        act.probability.weight[0, 0] = 1
        act.probability.bias.zero_()
    state, chances = started(act, states[0]), []
    for t in range(len(states)):
        x = torch.zeros_like(states[t])
        x[..., 0] = logits[t]
        state = observed(act, state, states[t], x=x)
        chances.append(torch.sigmoid(act.probability(x)).squeeze(-1).detach())  # to the last bit, for ties
    return act, state, torch.stack(chances).numpy()


def cases():
    rng = np.random.default_rng(0)
    yield "random", rng.normal(size=(9, 3, 5)) * 3
    yield "never", np.full((7, 2, 2), -9.0)
    yield "at once", np.full((4, 2, 2), 20.0)
    yield "zero and one", np.where(rng.random((8, 2, 4)) < 0.5, -800.0, 800.0)
    half = np.log(0.495 / 0.505)
    yield "exactly at the threshold", np.full((6, 2, 2), half)
    yield "ties", np.zeros((10, 2, 3))
    yield "one loop", rng.normal(size=(1, 2, 3))
    yield "two loops", rng.normal(size=(2, 2, 3)) * 5
    yield "many loops", rng.normal(size=(64, 1, 3)) - 3


@pytest.mark.parametrize("mix, act_type", [("interpolate", "basic"), ("accumulate", "accumulated")])
@pytest.mark.parametrize("name, logits", cases(), ids=[name for name, _ in cases()])
def test_readout_updates_and_remainder_are_those_of_the_published_code(mix, act_type, name, logits):
    states = torch.randn(*logits.shape, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    _, state, p = ours(torch.tensor(logits), states, mix)
    for b in range(logits.shape[1]):
        for i in range(logits.shape[2]):
            wanted, updates, remainder, weights = t2t(p[:, b, i], states[:, b, i].numpy(), act_type)
            np.testing.assert_allclose(state.readout[b, i].detach().numpy(), wanted, atol=1e-6)
            assert float(state.num_updates[b, i]) == updates
            np.testing.assert_allclose(float(state.remainder[b, i].detach()), remainder, atol=1e-9)
            if mix == "accumulate":
                ours_w = [float(w[b, i].detach()) for w in state.weights]
                np.testing.assert_allclose(ours_w, weights, atol=1e-9)


@pytest.mark.parametrize("mix", ["interpolate", "accumulate"])
def test_weights_are_those_of_the_states_in_the_readout(mix):
    logits = torch.randn(7, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    states = torch.randn(7, 2, 3, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    _, state, _ = ours(logits, states, mix)
    mixed = sum(w.unsqueeze(-1) * s for w, s in zip(state.weights, states, strict=True))
    torch.testing.assert_close(mixed, state.readout)


def test_the_ponder_loss_is_iterations_plus_remainder_and_its_gradient_is_the_remainders():
    logits = torch.randn(6, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) - 1
    logits.requires_grad_()
    states = torch.randn(6, 1, 4, WIDTH, dtype=torch.float64)
    act, state, _ = ours(logits, states, "accumulate", ponder_weight=1.0)

    act.loss(state).backward()

    def ponder(values):
        found = [t2t(1 / (1 + np.exp(-values[:, 0, i])), states[:, 0, i].numpy(), "accumulated") for i in range(4)]
        return np.mean([n + r for _, n, r, _ in found])

    values = logits.detach().numpy()
    assert abs(float(act.loss(state)) - ponder(values)) < 1e-9
    for t in range(6):
        for i in range(4):
            shifted = [values.copy(), values.copy()]
            shifted[0][t, 0, i] += 1e-6
            shifted[1][t, 0, i] -= 1e-6
            numeric = (ponder(shifted[0]) - ponder(shifted[1])) / 2e-6
            assert abs(numeric - float(logits.grad[t, 0, i])) < 1e-6


def test_accumulators_do_not_share_memory():
    state = started(mb.ACT(WIDTH), torch.zeros(2, 3, WIDTH))
    pointers = {t.data_ptr() for t in (state.mass, state.num_updates, state.remainder, state.readout)}
    assert len(pointers) == 4


def test_a_sequence_shares_the_mean_probability():
    act = mb.ACT(WIDTH, granularity="sequence")
    h = torch.randn(3, 5, WIDTH)
    state = observed(act, started(act, h), h)
    mean = torch.sigmoid(act.probability(h)).squeeze(-1).mean(1, keepdim=True)
    torch.testing.assert_close(state.weights[0], mean.expand(3, 5))
    whole = mb.ACT(WIDTH, granularity="global")
    state = observed(whole, started(whole, h), h)
    assert (state.weights[0] == state.weights[0][0, 0]).all()


@pytest.mark.parametrize("num_loops", [1, 2, 5, 16])
def test_the_repaired_interpolation_gives_all_of_its_mass_away(num_loops):
    act = mb.ACT(WIDTH, mix="interpolate")
    states = torch.randn(num_loops, 2, 3, WIDTH)
    state = started(act, states[0])
    for t, h in enumerate(states):
        state = observed(act, state, h, last=t + 1 == num_loops)
    mass = torch.stack(state.weights).sum(0)
    torch.testing.assert_close(mass, torch.ones_like(mass))
    mixed = sum(w.unsqueeze(-1) * s for w, s in zip(state.weights, states, strict=True))
    torch.testing.assert_close(mixed, state.readout)
