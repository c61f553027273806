"""Low-rank updates that change from loop to loop, and what they recover of an untied model."""

import copy

import pytest
import torch
from torch import nn

import mythos_blocks as mb
from mythos_blocks.uptraining.tying import relax, svd_residual, tie
from tests.blocks.parts import model, randomise, tokens


def test_a_linear_of_anybodys_has_an_update_in_each_loop_and_none_outside():
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 6))
    lora = mb.add_loop_lora(net, num_loops=3, rank=2, on=["2"], std=0.5)
    x = torch.randn(4, 6)
    plain = net(x)
    assert torch.equal(plain, net[2](torch.relu(net[0](x))))
    hidden = torch.relu(net[0](x))
    for t in range(3):
        with lora.at(t):
            out = net(x)
        wanted = plain + hidden @ lora.down["2"][t].T @ lora.up["2"][t].T
        torch.testing.assert_close(out, wanted)
    assert torch.equal(net(x), plain)
    assert set(net.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_pattern_that_fits_nothing_names_the_nearest():
    with pytest.raises(ValueError, match="fits no linear; did you mean"):
        model(depth_adapter={"kind": "loop_lora", "on": ["atention.q"]})


def test_only_the_running_iterations_matrices_get_gradient():
    made = model(4, injection="add", depth_adapter={"kind": "loop_lora", "rank": 2, "on": ["attention.q"]})
    made(tokens(), iterations=[0, 2]).logits.square().sum().backward()
    up = made.core.depth_adapter.linears.up["0-attention-q"].grad
    assert [bool(up[t].any()) for t in range(4)] == [True, False, True, False]


@torch.no_grad()
def test_copies_and_loaded_weights_use_their_own_updates():
    made = model(3, injection="add", depth_adapter={"kind": "loop_lora", "rank": 2}).eval()
    randomise(made, std=0.2)
    other = copy.deepcopy(made)
    for parameter in other.core.depth_adapter.parameters():
        parameter.zero_()
    before = made(tokens()).logits
    assert not torch.allclose(other(tokens()).logits, before, atol=1e-3)
    assert torch.equal(made(tokens()).logits, before)
    other.load_state_dict(made.state_dict())
    assert torch.equal(other(tokens()).logits, before)
    with mb.knocked_out(made.core, "depth_adapter"):
        assert not torch.allclose(made(tokens()).logits, before, atol=1e-3)


def test_truncated_singular_values_are_the_best_of_their_rank():
    original, tied = torch.randn(9, 5), torch.randn(9, 5)
    singular = torch.linalg.svdvals(original - tied)
    for rank in range(1, 6):
        up, down = svd_residual(original, tied, rank)
        error = torch.linalg.matrix_norm(original - tied - up @ down)
        torch.testing.assert_close(error, singular[rank:].square().sum().sqrt(), atol=1e-5, rtol=1e-4)


def untied(depth=4):
    deep = mb.LoopedTransformer(29, width=32, core={"depth": depth})
    randomise(deep, std=0.2)
    return deep.eval()


@torch.no_grad()
@pytest.mark.parametrize("how", ["average", "lower", "stepwise"])
def test_full_rank_recovers_the_untied_model(how):
    deep = untied()
    looped = mb.LoopedTransformer(
        29, width=32,
        core={"depth": 2, "loops": {"kind": "fixed", "num_loops": 2}, "depth_adapter": {"kind": "loop_lora", "rank": 42}},
    ).eval()  # fmt: skip
    looped.embedding.load_state_dict(deep.embedding.state_dict())
    looped.norm.load_state_dict(deep.norm.state_dict())
    tie(looped.core.layers, deep.core.layers, how)
    for i, layer in enumerate(looped.core.layers):  # norms are not linears: they are taken to be shared
        for t in range(2):
            for name in ("attention_norm", "feedforward_norm"):
                getattr(deep.core.layers[i + 2 * t], name).load_state_dict(getattr(layer, name).state_dict())
    assert not torch.allclose(looped(tokens()).logits, deep(tokens()).logits, atol=1e-2)

    relax(looped.core.depth_adapter.linears, looped.core.layers, deep.core.layers)

    torch.testing.assert_close(looped(tokens()).logits, deep(tokens()).logits, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_tied_weights_are_what_they_are_named_after():
    deep, core = untied(6), mb.LoopedTransformer(29, width=32, core={"depth": 2}).core.layers
    source = [layer.attention.q.weight for layer in deep.core.layers]
    for how, wanted in (
        ("average", [(source[0] + source[2] + source[4]) / 3, (source[1] + source[3] + source[5]) / 3]),
        ("lower", [source[0], source[1]]),
        ("stepwise", [source[0], source[5]]),
    ):
        tie(core, deep.core.layers, how)
        for layer, value in zip(core, wanted, strict=True):
            torch.testing.assert_close(layer.attention.q.weight, value)
    with pytest.raises(ValueError, match="not a number of loops"):
        tie(core, deep.core.layers[:3])
