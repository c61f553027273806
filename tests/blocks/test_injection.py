"""Every injection: one fused step is its two parts, and what it says of its stability is what is measured."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mythos_blocks import Injection
from tests.blocks.parts import WIDTH, declarations, deterministic, make, randn

INJECTIONS = [declared for _, declared in declarations("injection")]


@pytest.mark.parametrize("with_signal", [True, False], ids=["signal", "no signal"])
@pytest.mark.parametrize("declared", INJECTIONS, ids=str)
def test_advance_has_the_values_and_gradients_of_inject_then_combine(declared, with_signal):
    injection = make("injection", declared)
    leaves = {name: randn(2, 3, WIDTH, seed=i).requires_grad_() for i, name in enumerate(("h", "e", "y"))}
    signal = randn(WIDTH, seed=5).requires_grad_() if with_signal else None
    inputs = {**leaves, **({"signal": signal} if with_signal else {}), **dict(injection.named_parameters())}
    directions = randn(2, 2, 3, WIDTH, seed=6)

    results = []
    for advance in (injection.advance, lambda *args: Injection.advance(injection, *args)):
        outputs = advance(*leaves.values(), signal)
        loss = sum((out * direction).sum() for out, direction in zip(outputs, directions, strict=True))
        results.append((outputs, torch.autograd.grad(loss, list(inputs.values()), allow_unused=True)))

    (fused, fused_grads), (plain, plain_grads) = results
    for ours, wanted in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-5)
    for name, ours, wanted in zip(inputs, fused_grads, plain_grads, strict=True):
        assert (ours is None) == (wanted is None), name
        if ours is not None:
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


@torch.no_grad()
@pytest.mark.parametrize("declared", INJECTIONS, ids=str)
def test_advance_in_bfloat16_stays_within_the_rounding_of_its_parts(declared):
    injection = make("injection", declared).bfloat16()
    h, e, y = (randn(2, 3, WIDTH, seed=i).bfloat16() for i in range(3))
    signal = randn(WIDTH, seed=5).bfloat16()

    fused, plain = injection.advance(h, e, y, signal), Injection.advance(injection, h, e, y, signal)

    for ours, wanted in zip(fused, plain, strict=True):
        assert ours.dtype is wanted.dtype is torch.bfloat16
        assert (ours - wanted).abs().max() <= 2**-6 * wanted.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("std", [0.3, 6.0])
@pytest.mark.parametrize("declared", INJECTIONS, ids=str)
def test_rho_is_the_largest_eigenvalue_of_the_measured_jacobian(declared, std, dtype):
    injection = make("injection", declared, std=std).to(dtype)
    h, e, y = (randn(WIDTH, seed=i).to(dtype) for i in range(3))

    rho = injection.rho()
    if rho is None:
        assert injection.linear_part(h) is None
        after = torch.autograd.functional.jacobian(lambda state: injection.inject(state, e, y), h)
        assert not after.any(), "a linear map carries the state on, and rho() denies it"
    else:
        jacobian = torch.autograd.functional.jacobian(injection.linear_part, h)
        measured = torch.linalg.eigvals(jacobian.float()).abs().max()
        assert rho.dim() == 0 and rho.requires_grad
        torch.testing.assert_close(measured, rho.detach().float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", [d["kind"] for d in INJECTIONS if d == {"kind": d["kind"]}])
@deterministic
@given(values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2))
def test_rho_of_the_default_is_below_one_in_every_dtype_wherever_the_parameters_go(kind, values):
    injection = make("injection", kind)
    with torch.no_grad():
        for i, parameter in enumerate(injection.parameters()):
            parameter.fill_(values[i % 2])

    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        rho = injection.rho()
        assert rho is None or 0 <= rho.detach().to(dtype) < 1


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_state_under_lti_stays_bounded_where_it_would_drift_without_a_margin(dtype):
    safe, published = (make("injection", {"kind": "lti", "margin": margin}) for margin in (2**-8, 0.0))
    h = {}
    for name, injection in (("safe", safe), ("published", published)):
        injection.log_A.fill_(-50.0)
        injection.B.fill_(0.0)
        injection.to(dtype)
        state, push = torch.zeros(WIDTH, dtype=dtype), torch.full((WIDTH,), 0.125, dtype=dtype)
        for _ in range(1024):
            state = injection.inject(state, push, push)
        h[name] = float(state.max())

    # The fixed point is push / (1 - A) = 32; without a margin the state is the sum of what was pushed.
    assert h["safe"] <= 32.5
    assert h["published"] >= (32 if dtype is torch.bfloat16 else 127)
