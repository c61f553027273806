"""Whole layers against a rendering without modules, forward and backward; LayerScale, dropout, frames."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import LOOPS, WIDTH, make, randn

PLACEMENTS = ["pre_norm", "post_norm", "sandwich", "stream_norm"]
PARTS = {
    "attention": {"kind": "gqa", "num_heads": 2, "rope_theta": None},
    "feedforward": {"kind": "relu2", "hidden": 12},
}
placements = pytest.mark.parametrize("kind", PLACEMENTS)


def exact(kind, **fields):
    return make("layer", {"kind": kind, **PARTS, **fields}).double()


def rms(x, norm):
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight


def attend(attention, x):
    """Causal, head by head and query by query."""
    size, out = WIDTH // 2, torch.zeros_like(x)
    for head in (slice(0, size), slice(size, WIDTH)):
        q, k, v = (x @ part.weight[head].T for part in (attention.q, attention.k, attention.v))
        rows = []
        for i in range(x.shape[1]):
            scores = (k[:, : i + 1] @ q[:, i, :, None]).squeeze(-1) / size**0.5
            rows.append((scores.softmax(-1)[..., None] * v[:, : i + 1]).sum(1))
        out = out + torch.stack(rows, 1) @ attention.out.weight[:, head].T
    return out


def feed(feedforward, x):
    return (x @ feedforward.up.weight.T).clamp_min(0) ** 2 @ feedforward.down.weight.T


def plain(layer, x):
    for part, name in ((attend, "attention"), (feed, "feedforward")):
        module, first = getattr(layer, name), getattr(layer, f"{name}_norm")
        scale = getattr(layer, f"{name}_branch").scale
        scale = 1 if scale is None else scale
        if layer.kind == "pre_norm":
            x = x + scale * part(module, rms(x, first))
        elif layer.kind == "post_norm":
            x = rms(x + scale * part(module, x), first)
        elif layer.kind == "sandwich":
            x = x + scale * rms(part(module, rms(x, first)), getattr(layer, f"{name}_out_norm"))
        else:
            x = rms(x + scale * part(module, rms(x, first)), getattr(layer, f"{name}_stream_norm"))
    return x


def same_with_gradients(layer, ours, wanted, x):
    inputs = {"x": x, **dict(layer.named_parameters())}
    direction = randn(*x.shape, seed=7).double()
    torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad((out * direction).sum(), list(inputs.values())) for out in (ours, wanted)]
    for name, one, other in zip(inputs, *grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8, msg=lambda m, name=name: f"{name}: {m}")
        assert other.any(), name


@pytest.mark.parametrize("scale", [None, 0.3], ids=["no scale", "scaled"])
@placements
def test_placements_of_norms(kind, scale):
    layer, x = exact(kind, layer_scale=scale), randn(2, 5, WIDTH).double().requires_grad_()
    same_with_gradients(layer, layer(x), plain(layer, x), x)


def own_token(attention, x):
    """Without other iterations, the only depth that is read is the present one."""
    return x @ attention.v.weight.T @ attention.out.weight.T


@pytest.mark.parametrize("depth_attention", ["own_token", "none"])
@pytest.mark.parametrize("wiring", ["parallel", "sequential"])
def test_a_mixture_of_branches(wiring, depth_attention):
    layer = exact("mixture", wiring=wiring, depth_attention=depth_attention)
    x = randn(2, 5, WIDTH).double().requires_grad_()
    branches = [(attend, layer.attention), (own_token, layer.depth_attention), (feed, layer.feedforward)]
    if depth_attention == "none":
        del branches[1]
    if wiring == "parallel":
        n = rms(x, layer.norms[0])
        wanted = x + torch.cat([part(module, n) for part, module in branches], -1) @ layer.mix.weight.T
    else:
        wanted = x
        for norm, (part, module) in zip(layer.norms, branches, strict=True):
            wanted = wanted + part(module, rms(wanted, norm))
    torch.testing.assert_close(layer(x), wanted, rtol=1e-9, atol=1e-9)
    loose = [
        p
        for name, p in layer.named_parameters()
        if name not in ("depth_attention.q.weight", "depth_attention.k.weight")
    ]
    grads = [torch.autograd.grad((out * randn(2, 5, WIDTH, seed=7)).sum(), [x, *loose]) for out in (layer(x), wanted)]
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["pre_norm", "sandwich"])
def test_a_small_layer_scale_makes_the_layer_near_the_identity(kind):
    layer, x = make("layer", {"kind": kind, "layer_scale": 1e-4}), randn(2, 5, WIDTH)
    layer.reset_parameters(torch.Generator())
    change = (layer(x) - x).abs().max()
    assert 0 < change < 0.02


@placements
def test_the_layer_scale_starts_at_its_value_in_every_channel_of_both_branches(kind):
    layer = make("layer", {"kind": kind, "layer_scale": 0.25})
    layer.reset_parameters(torch.Generator())
    for branch in (layer.attention_branch, layer.feedforward_branch):
        assert torch.equal(branch.scale, torch.full((WIDTH,), 0.25))
    assert "attention_branch.scale" not in dict(make("layer", kind).named_parameters())


@torch.no_grad()
@placements
def test_dropout_is_off_in_evaluation(kind):
    dropping, without = (make("layer", {"kind": kind, "dropout": p}).eval() for p in (0.5, 0.0))
    x = randn(2, 5, WIDTH)
    assert torch.equal(dropping(x), without(x))
    assert not torch.equal(dropping.train()(x), without(x))


@torch.no_grad()
@pytest.mark.parametrize("silent", ["attention", "feedforward"])
def test_dropout_drops_channels_of_each_branch_and_scales_the_rest(silent):
    layer, x = make("layer", {"kind": "pre_norm", "dropout": 0.25}), randn(8, 64, WIDTH)
    (layer.attention.out if silent == "attention" else layer.feedforward.down).weight.zero_()
    branch = layer.eval()(x) - x
    torch.manual_seed(0)
    dropped = layer.train()(x) - x
    kept = dropped.abs() > 1e-6
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(dropped[kept], branch[kept] / 0.75, rtol=1e-3, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", [*PLACEMENTS, "mixture"])
def test_every_norm_is_told_the_iteration(kind):
    layer = mb.Slot("layer").resolve({"kind": kind, "norm": "per_loop"}).build(WIDTH, LOOPS)
    norms = [module for module in layer.modules() if isinstance(module, mb.PerLoopNorm)]
    assert len(norms) == {"pre_norm": 2, "post_norm": 2, "mixture": 3}.get(kind, 4)
    x = randn(2, 5, WIDTH)
    before = layer(x, mb.Frame(t=2))
    assert torch.equal(before, layer(x, mb.Frame(t=2)))
    for norm in norms:
        norm.gain[2] *= 2
        after = layer(x, mb.Frame(t=2))
        assert (after - before).abs().max() > 1e-3
        norm.gain[2] /= 2
    for norm in norms:
        norm.gain[[0, 1, 3]] *= 2
    torch.testing.assert_close(layer(x, mb.Frame(t=2)), before)
