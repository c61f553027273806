"""Objectives against their equations, written out token by token."""

import math

import pytest
import torch
import torch.nn.functional as F

import mythos_blocks as mb
from mythos_blocks.objective import IGNORE, cross_entropies
from tests.blocks.parts import kinds, model, randomise, tokens


def passed(halting="none", num_loops=4):
    built = model(num_loops, injection="add", halting=halting)
    randomise(built, std=0.2)
    ids = tokens(3)
    targets = ids.roll(-1, 1)
    targets[:, :2] = IGNORE
    return built, built(ids, record=True), targets


def by_token(built, out, targets):
    """Cross-entropy of each scored token after each iteration, one at a time."""
    rows = []
    for h in out.states:
        logits = built.head(built.norm(built.coda(h)))
        rows.append(
            [
                -F.log_softmax(logits[b, i], dim=-1)[targets[b, i]]
                for b in range(targets.shape[0])
                for i in range(targets.shape[1])
                if targets[b, i] != IGNORE
            ]
        )
    return torch.stack([torch.stack(row) for row in rows])


def test_states_are_recorded_in_order_and_the_last_one_is_the_readout():
    built, out, targets = passed()

    losses = cross_entropies(built, out, targets)

    assert losses.shape == (4, 3 * 6)
    torch.testing.assert_close(losses, by_token(built, out, targets))
    torch.testing.assert_close(built.read(out.states[-1]), out.logits)
    torch.testing.assert_close(losses[-1].mean(), mb.Final().loss(built, out, targets))


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_blended_is_the_last_loss_and_the_mean_of_all(alpha):
    built, out, targets = passed()
    losses = by_token(built, out, targets)

    wanted = (1 - alpha) * losses[-1].mean() + alpha * losses.mean()

    torch.testing.assert_close(mb.Blended(alpha=alpha).loss(built, out, targets), wanted)


def test_power_weights_grow_with_the_iteration_and_sum_to_one():
    built, out, targets = passed()
    losses = by_token(built, out, targets).mean(1)

    wanted = sum((t + 1) ** 2 * losses[t] for t in range(4)) / (1 + 4 + 9 + 16)

    torch.testing.assert_close(mb.PowerWeighted(power=2.0).loss(built, out, targets), wanted)


@pytest.mark.parametrize("fields", [{}, {"beta": 0.7}, {"prior": "geometric", "rate": 0.3}], ids=str)
def test_expected_weighs_by_halting_and_diverges_from_its_prior(fields):
    built, out, targets = passed({"kind": "act", "initial_bias": -1.0, "ponder_weight": 0.0})
    objective = mb.Expected(**fields)
    losses = by_token(built, out, targets)
    q = torch.stack(out.halting.weights)[:, targets != IGNORE]
    prior = [1 / 4] * 4 if objective.rate is None else [0.3 * 0.7**t / (1 - 0.7**4) for t in range(4)]

    wanted = 0.0
    for i in range(losses.shape[1]):
        wanted += sum(q[t, i] * losses[t, i] for t in range(4))
        wanted += objective.beta * sum(q[t, i] * (q[t, i] / prior[t]).log() for t in range(4) if q[t, i] > 0)

    torch.testing.assert_close(objective.loss(built, out, targets), wanted / losses.shape[1])


def test_the_uniform_prior_is_ouros_entropy_bonus():
    built, out, targets = passed({"kind": "act", "initial_bias": -1.0, "ponder_weight": 0.0})
    q = torch.stack(out.halting.weights)[:, targets != IGNORE]
    entropy = -torch.xlogy(q, q).sum(0).mean()

    plain, bonus = (mb.Expected(beta=beta).loss(built, out, targets) for beta in (0.0, 0.1))

    torch.testing.assert_close(bonus, plain + 0.1 * (math.log(4) - entropy))


def test_the_halting_rule_learns_from_the_expected_loss():
    built, out, targets = passed({"kind": "act", "initial_bias": -1.0, "ponder_weight": 0.0})

    mb.Expected(beta=0.0).loss(built, out, targets).backward()

    assert built.core.halting.probability.weight.grad.any()


def test_what_would_have_no_effect_is_refused():
    with pytest.raises(ValueError, match="core.halting is 'none'"):
        mb.Expected().check(model())
    with pytest.raises(ValueError, match="rate is for prior 'geometric'"):
        mb.Expected(rate=0.5)
    with pytest.raises(ValueError, match="rate is for prior 'geometric'"):
        mb.Expected(prior="geometric")


@pytest.mark.parametrize("halting", [kind for _, kind in kinds("halting")])
@pytest.mark.parametrize(
    "slot, kind",
    [("objective", "expected"), ("objective", "supervised_halting"), ("penalty", "gate_improvement")],
)
def test_what_weighs_iterations_by_halting_teaches_it_or_refuses_it(slot, kind, halting):
    part = mb.Slot(slot).resolve(kind).build()
    made = model(halting=halting, injection="add").train()
    randomise(made, std=0.2)
    try:
        part.check(made)
    except ValueError as error:
        assert f"{halting!r}" in str(error)
        return
    term = part.loss(made, made(tokens(), record=True), tokens())
    (term if slot == "objective" else term[0]).backward()
    assert all(p.grad is not None and p.grad.any() for p in made.core.halting.parameters())
