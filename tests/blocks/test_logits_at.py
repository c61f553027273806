"""Reading chosen positions only: the same logits, losses and gradients as reading all."""

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks import LoopedTransformer
from mythos_blocks.declaring.registry import slots
from mythos_blocks.objective import IGNORE

TOKENS = torch.randint(0, 11, (3, 7), generator=torch.Generator().manual_seed(0))
TARGETS = torch.where(torch.arange(7) % 3 == 1, TOKENS, IGNORE)
AT = TARGETS != IGNORE
HALTING = {"expected": "gate_cdf", "supervised_halting": "q_head"}


def model_for(objective):
    core = {"loops": {"kind": "fixed", "num_loops": 3}, "halting": HALTING.get(objective, "act")}
    coda = {"depth": 1}
    return LoopedTransformer(11, width=16, core=core, coda=coda)


def test_chosen_rows_are_those_of_the_full_logits():
    model = model_for("final").eval()
    chosen = model(TOKENS, logits_at=AT).logits
    assert chosen.shape == (int(AT.sum()), 11)
    torch.testing.assert_close(chosen, model(TOKENS).logits[AT])


@pytest.mark.parametrize("objective", sorted(slots()["objective"].kinds))
def test_every_objective_has_the_same_loss_and_gradient(objective):
    loss = slots()["objective"].kinds[objective]()
    results = []
    for at in (None, AT):
        model = model_for(objective)
        out = model(TOKENS, record=loss.every_step, logits_at=at)
        value = loss.loss(model, out, TARGETS)
        value.backward()
        results.append((value.detach(), [p.grad for p in model.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0])
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["z_loss"])
def test_penalties_on_logits_see_the_scored_ones(kind):
    penalty = slots()["penalty"].kinds[kind](weight=1.0)
    model = model_for("final")
    full, chosen = (penalty.loss(model, model(TOKENS, logits_at=at), TARGETS)[0] for at in (None, AT))
    torch.testing.assert_close(full, chosen)


def test_rules_that_stop_positions_still_read_all_of_them():
    model = model_for("final").eval()
    rule = mb.MinPKLExit(16)
    with torch.no_grad():
        full, chosen = model(TOKENS, exit=rule), model(TOKENS, exit=rule, logits_at=AT)
    torch.testing.assert_close(chosen.logits, full.logits[AT])
    assert torch.equal(chosen.executed, full.executed)
