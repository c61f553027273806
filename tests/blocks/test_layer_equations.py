"""Layers, norms and depth signals against their equations."""

import math

import pytest
import torch

import mythos_blocks as mb
from mythos_blocks.tensors.rows import row
from tests.blocks.parts import WIDTH, make, randn


@torch.no_grad()
@pytest.mark.parametrize("scale", [None, 0.3])
@pytest.mark.parametrize("kind", ["pre_norm", "post_norm", "sandwich", "stream_norm"])
def test_placements(kind, scale):
    layer, x = make("layer", {"kind": kind, "layer_scale": scale}).eval(), randn(2, 5, WIDTH)

    def attention(y):
        out = layer.attention(y)
        return out if scale is None else out * layer.attention_branch.scale

    def feedforward(y):
        out = layer.feedforward(y)
        return out if scale is None else out * layer.feedforward_branch.scale

    n1, n2 = layer.attention_norm, layer.feedforward_norm
    if kind == "pre_norm":
        a = x + attention(n1(x))
        wanted = a + feedforward(n2(a))
    elif kind == "post_norm":
        a = n1(x + attention(x))
        wanted = n2(a + feedforward(a))
    elif kind == "stream_norm":
        a = layer.attention_stream_norm(x + attention(n1(x)))
        wanted = layer.feedforward_stream_norm(a + feedforward(n2(a)))
    else:
        s1, s2 = (1, 1) if scale is None else (layer.attention_branch.scale, layer.feedforward_branch.scale)
        a = x + layer.attention_out_norm(layer.attention(n1(x))) * s1
        wanted = a + layer.feedforward_out_norm(layer.feedforward(n2(a))) * s2
    torch.testing.assert_close(layer(x), wanted)


@torch.no_grad()
@pytest.mark.parametrize("wiring", ["parallel", "sequential"])
def test_the_mixture_joins_its_branches_as_it_is_wired(wiring):
    layer, x = make("layer", {"kind": "mixture", "wiring": wiring}).eval(), randn(2, 5, WIDTH)
    if wiring == "parallel":
        n = layer.norms[0](x)
        parts = (layer.attention(n), layer.depth_attention(n), layer.feedforward(n))
        wanted = x + torch.cat(parts, -1) @ layer.mix.weight.T
    else:
        wanted = x
        for norm, part in zip(layer.norms, (layer.attention, layer.depth_attention, layer.feedforward), strict=True):
            wanted = wanted + part(norm(wanted))
    torch.testing.assert_close(layer(x), wanted)


def test_dropout_acts_in_training_only():
    layer, x = make("layer", {"kind": "pre_norm", "dropout": 0.5}), randn(2, 5, WIDTH)
    assert not torch.equal(layer.train()(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))


@torch.no_grad()
def test_norms():
    x = 3 * randn(4, WIDTH) + 1
    root = (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(make("norm", {"kind": "rms", "gain": False})(x), x / root)
    layer = make("norm", "layer")
    centred = x - x.mean(-1, keepdim=True)
    wanted = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.weight + layer.bias
    torch.testing.assert_close(layer(x), wanted)
    assert torch.equal(make("norm", "none")(x), x)
    per_loop = mb.PerLoopNorm(WIDTH, max_loops=3)
    per_loop.gain.normal_()
    for t, index in ((0, 0), (2, 2), (7, 2), (None, 0)):
        torch.testing.assert_close(per_loop(x, t), x / root * per_loop.gain[index])
    adaptive = mb.AdaptiveNorm(WIDTH, max_loops=3)
    for t in (0, 5):
        angles = t * adaptive.frequencies
        hidden = torch.nn.functional.silu(adaptive.inner(torch.cat((angles.cos(), angles.sin()))))
        scale, shift = adaptive.outer(hidden).chunk(2)
        torch.testing.assert_close(adaptive(x, t), x / root * (1 + scale) + shift)


@torch.no_grad()
def test_coordinates_are_the_papers():
    signal = mb.Coordinates(8, 4)
    positions, t = torch.tensor([[0, 3], [1, 5]]), 2
    out = signal(t, positions)
    for b in range(2):
        for i in range(2):
            for j in range(4):
                rate = 10_000 ** (2 * j / 8)
                position = int(positions[b, i])
                assert float(out[b, i, 2 * j]) == pytest.approx(
                    math.sin(position / rate) + math.sin((t + 1) / rate), abs=1e-5
                )
                assert float(out[b, i, 2 * j + 1]) == pytest.approx(
                    math.cos(position / rate) + math.cos((t + 1) / rate), abs=1e-5
                )


@torch.no_grad()
def test_a_rotation_keeps_norms_and_adds_up():
    rotary, h = mb.Rotary(WIDTH, 4, num_channels=8), randn(3, WIDTH)
    assert rotary(2) is None and not rotary.additive
    once = rotary.transform(h, 3)
    torch.testing.assert_close(once.norm(dim=-1), h.norm(dim=-1))
    torch.testing.assert_close(rotary.transform(rotary.transform(h, 1), 2), once, rtol=1e-4, atol=1e-5)
    assert torch.equal(once[:, 8:], h[:, 8:]) and not torch.allclose(once[:, :8], h[:, :8])


def test_what_lies_beyond_a_table():
    table = torch.tensor([[1.0], [2.0], [4.0]])
    assert row(table, 1).item() == 2 and row(table, 5).item() == 4
    assert row(table, 5, "zero").item() == 0 and row(table, 4, "extrapolate").item() == 8
    with pytest.raises(ValueError, match="beyond the table's 3 rows"):
        row(table, 3, "error")
    with pytest.raises(ValueError, match="count from 0"):
        row(table, -1)
