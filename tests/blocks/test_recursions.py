"""What MoR's code has besides its paper: a router and a gate for each recursion, a factor of the gate, a readout by sum."""

import pytest
import torch

from tests.blocks.parts import WIDTH, make, model, observed, randn, randomise, started, tokens


def test_the_readout_may_be_the_sum_of_the_initial_state_and_the_chosen_one_times_its_chance():
    rule = make("halting", {"kind": "token_choice", "num_depths": 3, "readout": "residual", "alpha": 0.7})
    states = randn(4, 2, 5, WIDTH)
    state = started(rule, states[0])
    for t, h in enumerate(states[1:]):
        state = observed(rule, state, h, last=t == 2)
    chances = rule.router(states[0]).softmax(-1)
    chance, choice = chances.max(-1)
    chosen = states[1:].gather(0, choice[None, ..., None].expand(1, -1, -1, WIDTH))[0]
    torch.testing.assert_close(state.readout, states[0] + 0.7 * chance[..., None] * chosen)
    with pytest.raises(ValueError, match="alpha=0.7 is a factor in the sum that readout='residual' reads"):
        make("halting", {"kind": "token_choice", "alpha": 0.7})


def test_the_router_learns_by_the_value_of_the_sum():
    halting = {"kind": "token_choice", "num_depths": 3, "readout": "residual", "balance_weight": 0.0}
    made = model(3, halting=halting).train()
    randomise(made, std=0.2)
    made(tokens()).logits.square().mean().backward()
    assert made.core.halting.router.weight.grad.any()


@pytest.mark.parametrize("t", [0, 1, 2, 5])
def test_each_recursion_has_a_router_and_a_gate_and_later_ones_the_last(t):
    update = make("update", {"kind": "gated_residual", "num_gates": 3, "alpha": 0.1})
    h, u = randn(2, 2, 5, WIDTH)
    row = min(t, 2)
    gate = torch.sigmoid(h @ update.gate.weight[row] + update.gate.bias[row])
    for index in (t, torch.tensor(t)):
        torch.testing.assert_close(update(h, u, None, index)[0], h + 0.1 * gate[..., None] * u)
    rule = make("halting", {"kind": "expert_choice", "num_routers": 3}).eval()
    state = observed(rule, started(rule, h), h, t=t)
    logit = h @ rule.router.weight[row] + rule.router.bias[row]
    assert torch.equal(state.halted, logit <= 0) and 0 < int(state.halted.sum()) < state.halted.numel()


@pytest.mark.parametrize("training", [True, False])
def test_shares_are_of_the_whole_sequence_and_may_decide_outside_training_too(training):
    rule = make("halting", {"kind": "expert_choice", "shares": [0.8, 0.45], "chosen_by": "rank"}).train(training)
    h = randn(2, 7, WIDTH)
    state = started(rule, h)
    for t, kept in enumerate((5, 3, 3)):
        before = ~state.halted
        state = observed(rule, state, h, t=t)
        assert (~state.halted).sum(1).tolist() == [kept, kept]
        score = rule.router(h)[..., 0].where(before, torch.tensor(-torch.inf))
        assert torch.equal((~state.halted).nonzero()[:, 1].view(2, kept), score.topk(kept).indices.sort().values)
    assert not rule.per_position, "a token is chosen by what comes after it"
    with pytest.raises(ValueError, match=r"shares=\[\] are one or more, in the place of capacity=0.5"):
        make("halting", {"kind": "expert_choice", "shares": []})
    with pytest.raises(ValueError, match=r"shares=\[0.5\] are one or more, in the place of capacity=0.3"):
        make("halting", {"kind": "expert_choice", "shares": [0.5], "capacity": 0.3})
