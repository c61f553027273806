"""Norms against their equations in NumPy, forward and backward, and what they read of the iteration."""

import math

import numpy as np
import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import LOOPS, WIDTH, make, randn, randomise


def array(x):
    return x.detach().double().numpy()


def rms(x, eps=1e-6):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)


def centred(x, eps=1e-5):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


X = 3 * randn(2, 5, WIDTH).double() + 1


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_rms(eps):
    norm = make("norm", {"kind": "rms", "eps": eps}).double()
    np.testing.assert_allclose(array(norm(X)), rms(array(X), eps) * array(norm.weight), rtol=1e-12)
    bare = mb.RMSNorm(WIDTH, eps=eps, gain=False)
    assert not list(bare.parameters())
    np.testing.assert_allclose(array(bare(X)), rms(array(X), eps), rtol=1e-12)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
def test_layer(eps):
    norm = make("norm", {"kind": "layer", "eps": eps}).double()
    wanted = centred(array(X), eps) * array(norm.weight)
    np.testing.assert_allclose(array(norm(X)), wanted + array(norm.bias), rtol=1e-10, atol=1e-12)
    bare = make("norm", {"kind": "layer", "bias": False}).double()
    assert [name for name, _ in bare.named_parameters()] == ["weight"]
    np.testing.assert_allclose(array(bare(X)), centred(array(X)) * array(bare.weight), rtol=1e-10, atol=1e-12)


def test_none_is_the_vector_as_it_is():
    assert make("norm", "none")(X, 3) is X


def direction_and_gradients(norm, x, t=None):
    g = randn(*x.shape, seed=3).double()
    x = x.clone().requires_grad_()
    (norm(x, t) * g).sum().backward()
    return array(g), array(x.grad)


def test_the_gradient_of_rms_is_projected_off_the_vector():
    norm = make("norm", "rms").double()
    g, grad = direction_and_gradients(norm, X)
    x, gained = array(X), g * array(norm.weight)
    root = np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    wanted = gained / root - x * (gained * x).mean(-1, keepdims=True) / root**3
    np.testing.assert_allclose(grad, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(array(norm.weight.grad), (g * x / root).sum((0, 1)), rtol=1e-9)


def test_the_gradient_of_layer_is_projected_off_the_mean_and_the_vector():
    norm = make("norm", "layer").double()
    g, grad = direction_and_gradients(norm, X)
    y, gained = centred(array(X)), g * array(norm.weight)
    root = np.sqrt(array(X).var(-1, keepdims=True) + 1e-5)
    wanted = (gained - gained.mean(-1, keepdims=True) - y * (gained * y).mean(-1, keepdims=True)) / root
    np.testing.assert_allclose(grad, wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(array(norm.bias.grad), g.sum((0, 1)), rtol=1e-9)


def per_loop(beyond):
    norm = mb.PerLoopNorm(WIDTH, max_loops=3, beyond=beyond)
    randomise(norm)
    return norm.double()


@pytest.mark.parametrize("beyond", ["clamp", "zero", "extrapolate", "error"])
def test_every_trained_iteration_has_its_own_gain(beyond):
    norm = per_loop(beyond)
    for t, index in ((0, 0), (1, 1), (2, 2), (None, 0)):
        np.testing.assert_allclose(array(norm(X, t)), rms(array(X)) * array(norm.gain)[index], rtol=1e-12)


def test_gains_beyond_the_table():
    gain = array(per_loop("clamp").gain)
    for t in (3, 7):
        np.testing.assert_allclose(array(per_loop("clamp")(X, t)), rms(array(X)) * gain[2], rtol=1e-12)
        assert not per_loop("zero")(X, t).any()
        line = gain[2] + (t - 2) * (gain[2] - gain[1])
        np.testing.assert_allclose(array(per_loop("extrapolate")(X, t)), rms(array(X)) * line, rtol=1e-12)
        with pytest.raises(ValueError, match=f"iteration {t} is beyond the table's 3 rows"):
            per_loop("error")(X, t)


def test_an_iteration_gives_gradient_to_its_own_gain_alone():
    norm = per_loop("clamp")
    g, _ = direction_and_gradients(norm, X, t=1)
    np.testing.assert_allclose(array(norm.gain.grad)[1], (g * rms(array(X))).sum((0, 1)), rtol=1e-9)
    assert not norm.gain.grad[[0, 2]].any()


def test_a_negative_iteration_is_refused():
    with pytest.raises(ValueError, match="count from 0"):
        per_loop("clamp")(X, -1)


def adaptive(norm, x, t):
    count = norm.inner.in_features // 2
    angles = [t * 10_000 ** (-i / count) for i in range(count)]
    time = np.array([math.cos(a) for a in angles] + [math.sin(a) for a in angles])
    inner = array(norm.inner.weight) @ time + array(norm.inner.bias)
    both = array(norm.outer.weight) @ (inner / (1 + np.exp(-inner))) + array(norm.outer.bias)
    return rms(x, norm.eps) * (1 + both[: x.shape[-1]]) + both[x.shape[-1] :]


@pytest.mark.parametrize("fields", [{}, {"num_frequencies": 3, "hidden": 5, "eps": 0.5}], ids=str)
def test_adaptive_scales_and_shifts_by_the_iteration(fields):
    norm = make("norm", {"kind": "adaptive", **fields}).double()
    for t in (0, 1, 6, 40):
        np.testing.assert_allclose(array(norm(X, t)), adaptive(norm, array(X), t), rtol=1e-4, atol=1e-5)
    assert torch.equal(norm(X), norm(X, 0))


def test_adaptive_differs_between_iterations_beyond_the_trained_ones_too():
    norm = make("norm", "adaptive")
    outs = [norm(X.float(), t) for t in range(3 * LOOPS)]
    for i, one in enumerate(outs):
        assert all((one - other).abs().max() > 1e-3 for other in outs[:i])


@pytest.mark.parametrize("kind", ["rms", "layer", "per_loop"])
def test_reset_makes_the_gain_one(kind):
    norm = make("norm", kind)
    norm.reset_parameters(torch.Generator())
    gain = norm.gain if kind == "per_loop" else norm.weight
    assert torch.equal(gain, torch.ones_like(gain))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["rms", "layer", "per_loop", "adaptive", "none"])
def test_in_bfloat16_a_norm_is_the_float32_one_rounded(kind):
    norm, x = make("norm", kind), X.bfloat16()
    mixed, wanted = norm(x, 2), norm(x.float(), 2)
    assert mixed.dtype is torch.bfloat16
    torch.testing.assert_close(mixed.float(), wanted, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(norm.bfloat16()(x, 2).float(), wanted, rtol=3e-2, atol=3e-2)
