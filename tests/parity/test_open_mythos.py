"""Ours against the published package open-mythos 0.5.0, weights copied; its defects, each by name."""

import pytest
import torch

from mythos_blocks.checkpoints import from_open_mythos
from tests.parity.open_mythos import ours, published_model, translate, with_weights

TOKENS = torch.randint(0, 61, (2, 11), generator=torch.Generator().manual_seed(1))
ATTENTION = ["gqa", "mla"]


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("num_loops", [1, 4, 16])
@pytest.mark.parametrize("std, bias", [(0.02, 0.0), (0.02, -6.0), (0.15, -3.0)])
def test_logits_are_equal(attention, num_loops, std, bias):
    theirs = published_model(attention, std=std, halting_bias=bias).eval()
    mine = with_weights(ours(attention), theirs).eval()
    with torch.no_grad():
        difference = (theirs(TOKENS, num_loops) - mine(TOKENS, iterations=num_loops).logits).abs().max()
    assert difference <= 1e-5


@pytest.mark.parametrize("attention", ATTENTION)
@torch.no_grad()
def test_the_importer_needs_its_weights_and_its_config(attention):
    theirs = published_model(attention, std=0.1, halting_bias=-3.0).eval()
    theirs.recurrent.block.ffn.router_bias.normal_()

    mine = from_open_mythos(theirs.state_dict(), theirs.cfg)

    assert mine.core.loops.eval_loops == theirs.cfg.max_loop_iters and mine.core.halting.threshold == 0.99
    torch.testing.assert_close(mine(TOKENS).logits, theirs(TOKENS), rtol=1e-5, atol=1e-5)
    assert torch.equal(mine.core.layers[0].feedforward.bias, theirs.recurrent.block.ffn.router_bias)
    weights = theirs.state_dict()
    expert = weights.pop("recurrent.block.ffn.routed_experts.3.up.weight")
    with pytest.raises(ValueError, match="'recurrent.block.ffn.routed_experts.3.up.weight' is missing; nearest"):
        from_open_mythos(weights, theirs.cfg)
    with pytest.raises(ValueError, match="'recurrent.block.ffn.routed_experts.4.up.weight' is not expected"):
        from_open_mythos({**theirs.state_dict(), "recurrent.block.ffn.routed_experts.4.up.weight": expert}, theirs.cfg)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("bias", [0.0, -3.0])
def test_gradients_are_equal(attention, bias):
    theirs = published_model(attention, std=0.1, halting_bias=bias)
    mine = with_weights(ours(attention), theirs)
    probe = torch.randn(61, generator=torch.Generator().manual_seed(2))
    (theirs(TOKENS, 4) @ probe).sum().backward()
    (mine(TOKENS, iterations=4).logits @ probe).sum().backward()
    wanted = translate({n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in theirs.named_parameters()})
    for name, parameter in mine.named_parameters():
        error = (parameter.grad - wanted[name]).abs().max()
        assert error <= 1e-4 * wanted[name].abs().max() + 1e-7, name


def test_defect_loops_beyond_the_second_have_no_effect():
    theirs = published_model("gqa").eval()
    with torch.no_grad():
        assert torch.equal(theirs(TOKENS, 3), theirs(TOKENS, 16))
        mine = ours("gqa", final_remainder=True, initial_bias=-3.0).eval()
        assert not torch.equal(mine(TOKENS, iterations=15).logits, mine(TOKENS, iterations=16).logits)


def test_defect_adapter_rows_beyond_halting_get_exactly_zero_gradient():
    theirs = published_model("gqa")
    theirs(TOKENS, 16).sum().backward()
    assert (theirs.recurrent.lora.scale.weight.grad.abs().sum(1) > 0).nonzero().flatten().tolist() in (
        [0, 1],
        [0, 1, 2],
    )
    mine = ours("gqa", final_remainder=True, initial_bias=-3.0)
    mine(TOKENS, iterations=16).logits.sum().backward()
    assert (mine.core.depth_adapter.scale.grad.abs().sum(1) > 0).all()


def test_defect_halting_mass_is_below_one_where_the_threshold_is_not_reached():
    theirs = published_model("gqa")
    published_form = with_weights(ours("gqa"), theirs).eval()
    repaired = ours("gqa", final_remainder=True).eval()
    with torch.no_grad():
        mass = torch.stack(published_form(TOKENS, iterations=1).halting.weights).sum(0)
        assert mass.max() < 0.7
        for num_loops in (1, 2, 5, 16):
            weights = torch.stack(repaired(TOKENS, iterations=num_loops).halting.weights).sum(0)
            torch.testing.assert_close(weights, torch.ones_like(weights))


def test_defect_the_router_bias_is_never_updated():
    theirs = published_model("gqa").train()
    theirs(TOKENS, 2).sum().backward()
    assert not theirs.recurrent.block.ffn.router_bias.any()


@pytest.mark.parametrize("dtype, log_sum", [(torch.float32, -18.0), (torch.bfloat16, -10.0), (torch.float16, -10.0)])
def test_defect_A_rounds_to_one(dtype, log_sum):
    theirs = published_model("gqa").recurrent.injection
    published_form, repaired = ours("gqa").core.injection, ours("gqa").core.injection
    repaired.margin = 2**-8
    with torch.no_grad():
        for injection in (theirs, published_form, repaired):
            injection.log_A.fill_(log_sum)
    assert theirs.get_A().to(dtype).max() == 1
    assert published_form.A().to(dtype).max() == 1
    assert repaired.A().to(dtype).max() < 1
