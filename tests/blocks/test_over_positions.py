"""TRM's layer with its mixer: the norm of the mixer's sum is over the positions of each channel."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import VOCAB, WIDTH, make, randn, randomise

POSITIONS = 8
LAYER = {
    "kind": "post_norm",
    "attention": {"kind": "mixer", "num_positions": POSITIONS, "hidden": 12},
    "attention_norm_over": "positions",
}
FULL = mb.AttentionMask(causal=False)


@pytest.mark.parametrize("gain", [False, True])
def test_the_mean_square_is_over_positions_and_gains_are_the_channels(gain):
    layer = make("layer", {**LAYER, "norm": {"kind": "rms", "eps": 1e-5, "gain": gain}}).double()
    x = randn(3, POSITIONS, WIDTH).double()
    out = layer(x, mb.Frame(FULL))

    mixer, forward = layer.attention, layer.feedforward
    across = x.transpose(1, 2)
    across = across + mixer.down(torch.nn.functional.silu(mixer.gate(across)) * mixer.up(across))
    normed = (across / (across.square().mean(-1, keepdim=True) + 1e-5).sqrt()).transpose(1, 2)
    normed = normed * layer.attention_norm.weight if gain else normed
    y = normed + forward(normed)
    wanted = y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    wanted = wanted * layer.feedforward_norm.weight if gain else wanted
    torch.testing.assert_close(out, wanted, rtol=1e-12, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("rule", [{"kind": "q_head", "read": "position"}, {"kind": "gate_cdf", "quantile": 0.6}])
def test_positions_that_have_stopped_count_with_what_they_had(rule):
    core = {"layer": LAYER, "halting": rule, "loops": {"kind": "fixed", "num_loops": 6}, "injection": "add"}
    model = mb.LoopedTransformer(VOCAB, width=WIDTH, core=core).eval()
    randomise(model, std=0.3)
    ids = torch.randint(VOCAB, (4, POSITIONS), generator=torch.Generator().manual_seed(1))
    left_out, computed = model(ids, FULL), model(ids, FULL, compact=False)
    assert left_out.executed.min() < left_out.executed.max()
    assert torch.equal(left_out.executed, computed.executed)
    torch.testing.assert_close(left_out.logits, computed.logits, rtol=1e-4, atol=1e-5)


def test_a_mask_and_another_norm_are_refused_by_name():
    layer = make("layer", {**LAYER, "attention": "mha"})
    with pytest.raises(ValueError, match="attention_norm_over='positions' reads all positions"):
        layer(randn(1, POSITIONS, WIDTH))
    with pytest.raises(ValueError, match="norm must be 'rms', not 'layer'"):
        make("layer", {**LAYER, "norm": "layer"})
