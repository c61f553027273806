"""The small parts of the loop, each against its formula written out."""

import pytest
import torch

import mythos_blocks as mb
from tests.blocks.parts import WIDTH, declarations, make, model, randn

UPDATES = [declared for _, declared in declarations("update")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("declared", UPDATES, ids=str)
def test_an_update_keeps_shape_and_dtype_and_reads_the_core(declared, dtype):
    update = make("update", declared).to(dtype)
    h, u = (randn(2, 3, WIDTH, seed=i).to(dtype).requires_grad_() for i in range(2))

    y, carry = update(h, u)
    y, _ = update(y, u, carry)
    y.square().sum().backward()

    assert y.shape == h.shape and y.dtype is dtype
    assert u.grad.any() and all(parameter.grad.any() for parameter in update.parameters())


@torch.no_grad()
def test_replace_is_the_output_and_residual_adds_it():
    h, u = randn(3, WIDTH), randn(3, WIDTH, seed=1)

    assert torch.equal(make("update", "replace")(h, u)[0], u)
    assert torch.equal(make("update", "residual")(h, u)[0], h + u)


@torch.no_grad()
def test_highway_moves_from_the_state_to_the_output_by_its_gate():
    highway, h, u = make("update", "highway"), randn(3, WIDTH), randn(3, WIDTH, seed=1)

    of_u, of_h = highway.gate.weight.split(WIDTH, dim=1)
    z = 1 / (1 + torch.exp(-(u @ of_u.T + h @ of_h.T + highway.gate.bias)))

    torch.testing.assert_close(highway(h, u)[0], z * u + (1 - z) * h)


@torch.no_grad()
@pytest.mark.parametrize("bias, z", [(-2.0, 0.1192), (0.0, 0.5), (3.0, 0.9526)])
def test_highway_starts_at_the_declared_gate(bias, z):
    highway = model(update={"kind": "highway", "bias": bias}).core.update
    h, u = torch.zeros(3, WIDTH), torch.full((3, WIDTH), 1e-3)  # too small to move the gate

    torch.testing.assert_close(highway(h, u)[0] / u, torch.full_like(u, z), rtol=2e-3, atol=0)


@torch.no_grad()
def test_lti_is_the_recurrence_of_its_docstring():
    injection = make("injection", {"kind": "lti", "margin": 0.25})
    h, e, y, signal = (randn(3, WIDTH, seed=i) for i in range(4))

    decay = 0.75 * torch.exp(-torch.exp(injection.log_dt + injection.log_A))
    z = h + signal + e
    normed = z / (z.square().mean(-1, keepdim=True) + 1e-6).sqrt() * injection.norm.weight

    torch.testing.assert_close(injection.inject(h, e, y), decay * h + injection.B * e + y)
    torch.testing.assert_close(injection.combine(h, e, signal + 0), normed)


@torch.no_grad()
def test_add_lets_the_core_read_the_sum_and_none_the_state_alone():
    h, e, y, signal = (randn(3, WIDTH, seed=i) for i in range(4))

    for kind, read in (("add", h + e), ("none", h)):
        injection = make("injection", kind)
        assert torch.equal(injection.combine(h, e, None), read)
        torch.testing.assert_close(injection.combine(h, e, signal), read + signal)
        assert torch.equal(injection.inject(h, e, y), y)


@torch.no_grad()
def test_the_loop_starts_from_the_input_or_from_zeros():
    e = randn(2, 3, WIDTH)

    assert torch.equal(make("initial_state", "input")(e), e)
    assert torch.equal(make("initial_state", "zeros")(e), torch.zeros_like(e))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rms_norm_divides_by_the_root_mean_square_whatever_the_gain(dtype):
    norm, x = mb.RMSNorm(WIDTH).to(dtype), (7 * randn(5, WIDTH)).to(dtype)
    assert (norm(x).float().square().mean(-1) - 1).abs().max() < (1e-5 if dtype is torch.float32 else 0.02)

    norm.weight.copy_(randn(WIDTH, seed=1))
    wanted = x.float() / x.float().square().mean(-1, keepdim=True).sqrt() * norm.weight.float()
    torch.testing.assert_close(norm(x).float(), wanted, rtol=1e-5 if dtype is torch.float32 else 0.02, atol=1e-2)
